//! `report`: verifies a saved report offline. Everything but the channel can be verified.

use std::path::PathBuf;

use clap::Args;

use super::endpoint::supply_collateral;
use crate::args::{OutputArgs, TrustArgs};
use crate::collateral::FetchArgs;
use crate::conclusion::{Conclusion, print};
use crate::failure::Failure;
use crate::inputs;
use crate::qualified_verdict::QualifiedVerdict;
use crate::render::OutputFormat;
use crate::trust_inputs::TrustInputs;
use attest_core::{Cause, Channel, CheckId, Freshness, Outcome, Verdict};

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The report (JSON); "-" reads standard input
    pub file: PathBuf,
    /// The nonce this report was requested with; without it freshness is not proved
    #[arg(long, value_name = "HEX|@FILE")]
    pub nonce: Option<String>,
    #[command(flatten)]
    pub trust: TrustArgs,
    #[command(flatten)]
    pub fetch: FetchArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Print a policy pinned to the values in this report, for a person to review
    #[arg(long, conflicts_with_all = ["json", "policy"])]
    pub print_policy: bool,
}

pub async fn run(args: ReportArgs) -> Result<u8, Failure> {
    let mut trust = TrustInputs::from_args(&args.trust)?;
    let report = inputs::read(&args.file, inputs::MAX_EVIDENCE)?;
    let freshness = freshness(args.nonce.as_deref())?;
    if let Some(services) = args.fetch.services() {
        supply_collateral(&mut trust, &report, services).await?;
    }
    let appraisal = trust
        .appraiser()
        .report(&report, freshness, Channel::NotObserved);
    let subject = args.file.display().to_string();
    let verdict = appraisal.verdict();
    let qualified = QualifiedVerdict {
        verdict,
        policy: trust.policy_origin,
        subject: &subject,
    };
    let hint = freshness == Freshness::Unchallenged && binds_something_else(verdict);
    let code = Conclusion {
        qualified,
        form: args.output.form(),
        draft_policy: args.print_policy,
    }
    .print();
    if hint && matches!(args.output.form(), OutputFormat::Text(_)) {
        print("\nIf the report was requested with a nonce, give it with --nonce.\n");
    }
    Ok(code)
}

fn binds_something_else(verdict: &Verdict) -> bool {
    verdict
        .check(CheckId::BindingReportData)
        .is_some_and(|check| check.outcome == Outcome::Fail(Cause::ReportData))
}

pub fn freshness(nonce: Option<&str>) -> Result<Freshness, Failure> {
    Ok(match nonce {
        Some(hex) => Freshness::Challenged(inputs::nonce(hex)?),
        None => Freshness::Unchallenged,
    })
}
