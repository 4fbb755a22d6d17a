//! `report`: a saved report, offline. Everything but the channel can be judged.

use attest_core::{Channel, Freshness};

use super::Conclusion;
use super::endpoint::supply_collateral;
use crate::cli::ReportArgs;
use crate::failure::Failure;
use crate::inputs::{self, Judge};
use crate::judged::Judged;

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
    Ok(Conclusion {
        judged,
        form: args.output.form(),
        draft_policy: args.print_policy,
    }
    .show())
}

pub fn freshness(nonce: Option<&str>) -> Result<Freshness, Failure> {
    Ok(match nonce {
        Some(hex) => Freshness::Challenged(inputs::nonce(hex)?),
        None => Freshness::Unchallenged,
    })
}
