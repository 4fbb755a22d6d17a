//! `report`: a saved report, offline. Everything but the channel can be judged.

use std::path::PathBuf;

use attest_core::{Cause, Channel, CheckId, Freshness, Outcome, Verdict};

use clap::Args;

use super::endpoint::supply_collateral;
use crate::args::{JudgeArgs, OutputArgs};
use crate::collateral::FetchArgs;
use crate::conclusion::{Conclusion, print};
use crate::failure::Failure;
use crate::inputs;
use crate::judge::Judge;
use crate::judged::Judged;
use crate::render::Form;

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The report (JSON); "-" reads standard input
    pub file: PathBuf,
    /// The nonce this report was asked for with; without it freshness is not shown
    #[arg(long, value_name = "HEX|@FILE")]
    pub nonce: Option<String>,
    #[command(flatten)]
    pub judge: JudgeArgs,
    #[command(flatten)]
    pub fetch: FetchArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Print a policy pinned to the values in this report, for a person to review
    #[arg(long, conflicts_with_all = ["json", "policy"])]
    pub print_policy: bool,
}

pub async fn run(args: ReportArgs) -> Result<u8, Failure> {
    let mut judge = Judge::from_args(&args.judge)?;
    let report = inputs::read(&args.file, inputs::MAX_EVIDENCE)?;
    let freshness = freshness(args.nonce.as_deref())?;
    if let Some(services) = args.fetch.services() {
        supply_collateral(&mut judge, &report, services).await?;
    }
    let appraisal = judge
        .appraiser()
        .report(&report, freshness, Channel::NotObserved);
    let subject = args.file.display().to_string();
    let verdict = appraisal.verdict();
    let judged = Judged {
        verdict,
        policy: judge.policy_origin,
        subject: &subject,
    };
    let hint = freshness == Freshness::Unchallenged && binds_something_else(verdict);
    let code = Conclusion {
        judged,
        form: args.output.form(),
        draft_policy: args.print_policy,
    }
    .show();
    if hint && matches!(args.output.form(), Form::Person(_)) {
        print("\nIf the report was asked for with a nonce, give it with --nonce.\n");
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
