//! `quote`: verifies a raw TDX quote with its collateral at a stated time.

use std::path::PathBuf;

use clap::Args;

use crate::args::{OutputArgs, TrustArgs};
use crate::collateral::FetchArgs;
use crate::conclusion::Conclusion;
use crate::evidence_input::EvidenceInput;
use crate::failure::Failure;
use crate::inputs;
use crate::qualified_verdict::QualifiedVerdict;
use crate::trust_inputs::TrustInputs;
use attest_core::CpuEvidence;

#[derive(Debug, Args)]
pub struct QuoteArgs {
    /// The quote (raw bytes or hex); "-" reads standard input
    pub file: PathBuf,
    #[command(flatten)]
    pub trust: TrustArgs,
    #[command(flatten)]
    pub fetch: FetchArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Print a policy pinned to the values in this quote, for a person to review
    #[arg(long, conflicts_with_all = ["json", "policy"])]
    pub print_policy: bool,
}

pub async fn run(args: QuoteArgs) -> Result<u8, Failure> {
    let mut trust = TrustInputs::from_args(&args.trust)?;
    let quote = inputs::raw(inputs::read(&args.file, inputs::MAX_EVIDENCE)?);
    if let Some(services) = args.fetch.services() {
        let cpu = CpuEvidence::Tdx {
            quote: quote.clone(),
        };
        let presented = EvidenceInput {
            cpu: Some(cpu),
            ..EvidenceInput::default()
        };
        trust.supply(services.fetch_available(&presented).await?);
    }
    let verdict = trust.appraiser().quote(&quote);
    let subject = args.file.display().to_string();
    let qualified = QualifiedVerdict {
        verdict: &verdict,
        policy: trust.policy_origin,
        subject: &subject,
    };
    Ok(Conclusion {
        qualified,
        form: args.output.form(),
        draft_policy: args.print_policy,
    }
    .print())
}
