//! What the policy wants of the platform: what Intel certified and says of it in collateral.

use super::super::pins::nothing_of;
use super::grace;
use crate::encoding::to_hex;
use crate::policy::TdxPolicy;
use crate::tdx::{CollateralFacts, PlatformFacts, TcbFacts, TdxFacts};
use crate::time::UnixTime;
use crate::verdict::{Cause, CheckId, Checks, Why};

pub(super) const CHECKS: [CheckId; 10] = [
    CheckId::TdxTcbStatus,
    CheckId::TdxTcbGrace,
    CheckId::TdxTcbAdvisories,
    CheckId::TdxTcbEvaluation,
    CheckId::TdxCollateralAge,
    CheckId::TdxQeSvn,
    CheckId::TdxPlatformPceSvn,
    CheckId::TdxPlatformPpid,
    CheckId::TdxPlatformFmspc,
    CheckId::TdxPlatformPceId,
];

pub(super) fn appraise(facts: &TdxFacts, policy: &TdxPolicy, now: UnixTime, checks: &mut Checks) {
    match &facts.tcb {
        Some(tcb) => {
            grace::appraise(tcb, policy, now, checks);
            checks.record(CheckId::TdxTcbAdvisories, advisories(tcb, policy));
        }
        None => nothing_of(
            &[
                CheckId::TdxTcbStatus,
                CheckId::TdxTcbGrace,
                CheckId::TdxTcbAdvisories,
            ],
            &Why::Absent,
            checks,
        ),
    }
    collateral(facts.collateral.as_ref(), policy, now, checks);
    if let Some(floor) = policy.min_qe_svn {
        let got = facts.quoting_enclave.isvsvn;
        let below = Cause::SvnBelowFloor { got, floor };
        checks.require(CheckId::TdxQeSvn, got >= floor, || below);
    } else {
        checks.not_required(CheckId::TdxQeSvn, Why::NotInPolicy);
    }
    machine(facts.platform.as_ref(), policy, checks);
}

fn advisories(tcb: &TcbFacts, policy: &TdxPolicy) -> Result<(), Cause> {
    let denied = tcb.advisories.iter().find(|advisory| {
        let mut denied = policy.denied_advisories.iter();
        denied.any(|denied| denied.eq_ignore_ascii_case(advisory))
    });
    match denied {
        Some(advisory) => Err(Cause::AdvisoryDenied(advisory.clone())),
        None => Ok(()),
    }
}

/// Old collateral may be inside its dates and omit what became known since.
fn collateral(
    collateral: Option<&CollateralFacts>,
    policy: &TdxPolicy,
    now: UnixTime,
    checks: &mut Checks,
) {
    match (policy.min_tcb_evaluation_data_number, collateral) {
        (None, _) => checks.not_required(CheckId::TdxTcbEvaluation, Why::NotInPolicy),
        (Some(_), None) => checks.not_evaluated(CheckId::TdxTcbEvaluation, Why::Absent),
        (Some(floor), Some(collateral)) => {
            let got = collateral
                .tcb_evaluation_data_number
                .min(collateral.qe_evaluation_data_number);
            checks.require(CheckId::TdxTcbEvaluation, got >= floor, || {
                Cause::EvaluationDataNumber { got, floor }
            });
        }
    }
    match (policy.max_collateral_age, collateral) {
        (None, _) => checks.not_required(CheckId::TdxCollateralAge, Why::NotInPolicy),
        (Some(_), None) => checks.not_evaluated(CheckId::TdxCollateralAge, Why::Absent),
        (Some(limit), Some(collateral)) => {
            let issued = collateral.issued;
            checks.require(CheckId::TdxCollateralAge, now <= issued.plus(limit), || {
                Cause::CollateralAge { issued, limit }
            });
        }
    }
}

/// Which machine it is, by the certificate Intel made for it.
fn machine(platform: Option<&PlatformFacts>, policy: &TdxPolicy, checks: &mut Checks) {
    const NONE: &[u8] = &[];
    let (ppid, fmspc, pce_id) = platform.map_or((NONE, NONE, NONE), |it| {
        (
            it.ppid.as_slice(),
            it.fmspc.as_slice(),
            it.pce_id.as_slice(),
        )
    });
    match (&policy.ppid, platform) {
        (None, _) => checks.not_required(CheckId::TdxPlatformPpid, Why::NotInPolicy),
        (Some(_), None) => checks.not_evaluated(CheckId::TdxPlatformPpid, Why::Absent),
        (Some(listed), Some(_)) => {
            let is_listed = listed.iter().any(|it| it == ppid);
            checks.require(CheckId::TdxPlatformPpid, is_listed, || {
                Cause::PlatformNotListed
            });
        }
    }
    one_of(
        CheckId::TdxPlatformFmspc,
        fmspc,
        policy.fmspc.as_deref(),
        checks,
    );
    one_of(
        CheckId::TdxPlatformPceId,
        pce_id,
        policy.pce_id.as_deref(),
        checks,
    );
    match (policy.min_pce_svn, platform) {
        (None, _) => checks.not_required(CheckId::TdxPlatformPceSvn, Why::NotInPolicy),
        (Some(_), None) => checks.not_evaluated(CheckId::TdxPlatformPceSvn, Why::Absent),
        (Some(floor), Some(platform)) => {
            let got = platform.pcesvn;
            let below = Cause::SvnBelowFloor { got, floor };
            checks.require(CheckId::TdxPlatformPceSvn, got >= floor, || below);
        }
    }
}

/// An empty value is one that could not be read.
fn one_of<const N: usize>(
    check: CheckId,
    value: &[u8],
    listed: Option<&[[u8; N]]>,
    checks: &mut Checks,
) {
    match listed {
        None => checks.not_required(check, Why::NotInPolicy),
        Some(_) if value.is_empty() => checks.not_evaluated(check, Why::Absent),
        Some(listed) => {
            let is_listed = listed.iter().any(|it| it.as_slice() == value);
            checks.require(check, is_listed, || Cause::NotAccepted(to_hex(value)));
        }
    }
}
