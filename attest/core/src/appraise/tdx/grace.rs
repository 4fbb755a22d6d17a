//! Whether the TCB status is accepted, and the grace that a policy may give advisories.
//!
//! Intel's words for a level that lacks cures are those with "OutOfDate" in them, and for a TD that was
//! launched at such a level. A policy that gives each advisory of such a level some days, counted from
//! the level's `tcbDate`, takes the status for what it would be without: UpToDate, or
//! ConfigurationNeeded. Nothing else is excused, `Revoked` least of all.

use crate::policy::{Grace, TdxPolicy};
use crate::tdx::{TcbFacts, TcbStatus};
use crate::time::UnixTime;
use crate::verdict::{Cause, CheckId, Checks, Why};

/// Enters both checks, of the status and of the grace it stands on.
pub(super) fn appraise(tcb: &TcbFacts, policy: &TdxPolicy, now: UnixTime, checks: &mut Checks) {
    let accepts = |status: TcbStatus| policy.tcb_statuses.contains(&status);
    if accepts(tcb.status) {
        checks.pass(CheckId::TdxTcbStatus);
        let why = match policy.grace.is_empty() {
            true => Why::NotInPolicy,
            false => Why::NotNeeded,
        };
        return checks.not_required(CheckId::TdxTcbGrace, why);
    }
    let excusable = otherwise(tcb.status).is_some_and(accepts);
    let ends = match excusable {
        true => ends(tcb, &policy.grace),
        false => None,
    };
    let Some(ends) = ends else {
        checks.fail(CheckId::TdxTcbStatus, Cause::TcbStatus(tcb.status));
        let why = match policy.grace.is_empty() {
            true => Why::NotInPolicy,
            false => Why::Stopped {
                at: CheckId::TdxTcbStatus,
            },
        };
        return checks.not_required(CheckId::TdxTcbGrace, why);
    };
    checks.pass(CheckId::TdxTcbStatus);
    let over = ends.into_iter().find(|(_, until)| now > *until);
    checks.record(
        CheckId::TdxTcbGrace,
        match over {
            None => Ok(()),
            Some((advisory, until)) => Err(Cause::GraceOver { advisory, until }),
        },
    );
}

/// What a status would be if nothing were out of date.
const fn otherwise(status: TcbStatus) -> Option<TcbStatus> {
    match status {
        TcbStatus::OutOfDate | TcbStatus::TDRelaunchAdvised => Some(TcbStatus::UpToDate),
        TcbStatus::OutOfDateConfigurationNeeded
        | TcbStatus::TDRelaunchAdvisedConfigurationNeeded => Some(TcbStatus::ConfigurationNeeded),
        _ => None,
    }
}

/// When each advisory's grace ends; nothing if there is one without, or nothing that says what is
/// out of date.
fn ends(tcb: &TcbFacts, grace: &[Grace]) -> Option<Vec<(String, UnixTime)>> {
    let late = |status| otherwise(status).is_some();
    let mut ends = Vec::new();
    for level in tcb.levels.iter().filter(|level| late(level.status)) {
        if level.advisories.is_empty() {
            return None;
        }
        for advisory in &level.advisories {
            let given = grace
                .iter()
                .find(|it| it.advisory.eq_ignore_ascii_case(advisory))?;
            ends.push((advisory.clone(), level.date.plus(given.period)));
        }
    }
    match ends.is_empty() {
        true => None,
        false => Some(ends),
    }
}
