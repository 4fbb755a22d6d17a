//! `report`: a saved report, offline. Everything but the channel can be judged.

use attest_core::verdict::id;
use attest_core::{Cause, Channel, Freshness, Outcome, Verdict};

use super::endpoint::supply_collateral;
use super::{Conclusion, print};
use crate::cli::ReportArgs;
use crate::failure::Failure;
use crate::inputs::{self, Judge};
use crate::judged::Judged;
use crate::render::Form;

pub async fn run(args: ReportArgs) -> Result<u8, Failure> {
    let mut judge = Judge::from_args(&args.judge)?;
    let report = inputs::read(&args.file, inputs::MAX_EVIDENCE)?;
    let freshness = freshness(args.nonce.as_deref())?;
    if let Some(base_url) = &args.fetch.fetch_collateral {
        supply_collateral(&mut judge, &report, base_url).await?;
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
        .check(id::BINDING_REPORT_DATA)
        .is_some_and(|check| check.outcome == Outcome::Fail(Cause::ReportData))
}

pub fn freshness(nonce: Option<&str>) -> Result<Freshness, Failure> {
    Ok(match nonce {
        Some(hex) => Freshness::Challenged(inputs::nonce(hex)?),
        None => Freshness::Unchallenged,
    })
}
