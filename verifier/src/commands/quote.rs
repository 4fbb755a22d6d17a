//! `quote`: a raw TDX quote with its collateral at a stated time.

use std::path::PathBuf;

use attest_core::CpuEvidence;
use clap::Args;

use crate::args::{JudgeArgs, OutputArgs};
use crate::collateral::FetchArgs;
use crate::conclusion::Conclusion;
use crate::failure::Failure;
use crate::inputs;
use crate::judge::Judge;
use crate::judged::Judged;
use crate::presented::Presented;

#[derive(Debug, Args)]
pub struct QuoteArgs {
    /// The quote (raw bytes or hex); "-" reads standard input
    pub file: PathBuf,
    #[command(flatten)]
    pub judge: JudgeArgs,
    #[command(flatten)]
    pub fetch: FetchArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Print a policy pinned to the values in this quote, for a person to review
    #[arg(long, conflicts_with_all = ["json", "policy"])]
    pub print_policy: bool,
}

pub async fn run(args: QuoteArgs) -> Result<u8, Failure> {
    let mut judge = Judge::from_args(&args.judge)?;
    let quote = inputs::raw(inputs::read(&args.file, inputs::MAX_EVIDENCE)?);
    if let Some(services) = args.fetch.services() {
        let cpu = CpuEvidence::Tdx {
            quote: quote.clone(),
        };
        let presented = Presented {
            cpu: Some(cpu),
            ..Presented::default()
        };
        judge.supply(services.what_there_is_for(&presented).await?);
    }
    let verdict = judge.appraiser().quote(&quote);
    let subject = args.file.display().to_string();
    let judged = Judged {
        verdict: &verdict,
        policy: judge.policy_origin,
        subject: &subject,
    };
    Ok(Conclusion {
        judged,
        form: args.output.form(),
        draft_policy: args.print_policy,
    }
    .show())
}
