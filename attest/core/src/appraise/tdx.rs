//! What the policy wants of a genuine TDX quote.

use super::pins::{listed, nothing_of, pinned};
use crate::evidence::Standing;
use crate::policy::{Accepted, TdxImage, TdxPolicy, TrailingBytes};
use crate::tdx::{PlatformFacts, TcbFacts, TdBody, TdxFacts, Trailing};
use crate::verdict::{Cause, Checks, Why, id};

/// Enters every check of policy, as far as the quote's standing lets it be judged.
pub(super) fn appraise(
    facts: Option<&TdxFacts>,
    standing: &Standing,
    policy: &TdxPolicy,
    checks: &mut Checks,
) {
    match (facts, standing) {
        (Some(facts), Standing::Genuine { .. }) => {
            platform(facts, policy, checks);
            td(facts, policy, checks);
        }
        (Some(facts), Standing::SignedOnly(why)) => {
            nothing_of(&PLATFORM_CHECKS, why, checks);
            td(facts, policy, checks);
        }
        (_, Standing::Unproven(why)) => {
            nothing_of(&PLATFORM_CHECKS, why, checks);
            nothing_of(&TD_CHECKS, why, checks);
        }
        (None, Standing::Genuine { .. } | Standing::SignedOnly(_)) => {
            let why = Why::Absent;
            nothing_of(&PLATFORM_CHECKS, &why, checks);
            nothing_of(&TD_CHECKS, &why, checks);
        }
    }
}

const PLATFORM_CHECKS: [&str; 4] = [
    id::TDX_TCB_STATUS,
    id::TDX_TCB_ADVISORIES,
    id::TDX_TCB_EVALUATION,
    id::TDX_PLATFORM_PPID,
];

const TD_CHECKS: [&str; 16] = [
    id::TDX_TRAILING_BYTES,
    id::TDX_TD_DEBUG,
    id::TDX_TD_SEPT_VE_DISABLE,
    id::TDX_TD_ATTRIBUTES,
    id::TDX_TD_XFAM,
    id::TDX_TD_SERVICE_TD,
    id::TDX_MRTD,
    id::TDX_RTMR0,
    id::TDX_RTMR1,
    id::TDX_RTMR2,
    id::TDX_RTMR3,
    id::TDX_MRSEAM,
    id::TDX_MRCONFIGID,
    id::TDX_MROWNER,
    id::TDX_MROWNERCONFIG,
    id::TDX_IMAGE,
];

fn platform(facts: &TdxFacts, policy: &TdxPolicy, checks: &mut Checks) {
    match &facts.tcb {
        Some(tcb) => {
            checks.judge(id::TDX_TCB_STATUS, tcb_status(tcb, policy));
            checks.judge(id::TDX_TCB_ADVISORIES, advisories(tcb, policy));
        }
        None => nothing_of(
            &[id::TDX_TCB_STATUS, id::TDX_TCB_ADVISORIES],
            &Why::Absent,
            checks,
        ),
    }
    match (policy.min_tcb_evaluation_data_number, &facts.collateral) {
        (None, _) => checks.not_asked(id::TDX_TCB_EVALUATION, Why::NotInPolicy),
        (Some(_), None) => checks.missed(id::TDX_TCB_EVALUATION, Why::Absent),
        (Some(floor), Some(collateral)) => {
            let got = collateral
                .tcb_evaluation_data_number
                .min(collateral.qe_evaluation_data_number);
            let recent = if got < floor {
                Err(Cause::EvaluationDataNumber { got, floor })
            } else {
                Ok(())
            };
            checks.judge(id::TDX_TCB_EVALUATION, recent);
        }
    }
    match (&policy.ppid, &facts.platform) {
        (None, _) => checks.not_asked(id::TDX_PLATFORM_PPID, Why::NotInPolicy),
        (Some(_), None) => checks.missed(id::TDX_PLATFORM_PPID, Why::Absent),
        (Some(listed), Some(platform)) => {
            checks.judge(id::TDX_PLATFORM_PPID, machine(listed, platform));
        }
    }
}

fn tcb_status(tcb: &TcbFacts, policy: &TdxPolicy) -> Result<(), Cause> {
    if policy.tcb_statuses.contains(&tcb.status) {
        return Ok(());
    }
    Err(Cause::TcbStatus(tcb.status))
}

fn advisories(tcb: &TcbFacts, policy: &TdxPolicy) -> Result<(), Cause> {
    let denied = tcb.advisories.iter().find(|advisory| {
        policy
            .denied_advisories
            .iter()
            .any(|denied| denied.eq_ignore_ascii_case(advisory))
    });
    match denied {
        Some(advisory) => Err(Cause::AdvisoryDenied(advisory.clone())),
        None => Ok(()),
    }
}

fn machine(listed: &[Vec<u8>], platform: &PlatformFacts) -> Result<(), Cause> {
    if listed.contains(&platform.ppid) {
        Ok(())
    } else {
        Err(Cause::PlatformNotListed)
    }
}

fn td(facts: &TdxFacts, policy: &TdxPolicy, checks: &mut Checks) {
    let body = &facts.body;
    checks.judge(
        id::TDX_TRAILING_BYTES,
        trailing(facts.trailing, policy.trailing_bytes),
    );
    checks.judge(id::TDX_TD_DEBUG, debug(body, policy));
    let sept = if body.sept_ve_disable() {
        Ok(())
    } else {
        Err(Cause::SeptVeEnabled)
    };
    checks.judge(id::TDX_TD_SEPT_VE_DISABLE, sept);
    checks.judge(id::TDX_TD_ATTRIBUTES, attributes(body, policy));
    pinned(id::TDX_TD_XFAM, &body.xfam, &policy.xfam, checks);
    checks.judge(id::TDX_TD_SERVICE_TD, service_td(body, policy));

    pinned(id::TDX_MRTD, &body.mrtd, &policy.mrtd, checks);
    let rtmrs = [id::TDX_RTMR0, id::TDX_RTMR1, id::TDX_RTMR2, id::TDX_RTMR3];
    for ((check, measured), accepted) in rtmrs.into_iter().zip(&body.rtmr).zip(&policy.rtmr) {
        pinned(check, measured, accepted, checks);
    }
    pinned(id::TDX_MRSEAM, &body.mrseam, &policy.mrseam, checks);
    pinned(
        id::TDX_MRCONFIGID,
        &body.mrconfigid,
        &policy.mrconfigid,
        checks,
    );
    pinned(id::TDX_MROWNER, &body.mrowner, &policy.mrowner, checks);
    pinned(
        id::TDX_MROWNERCONFIG,
        &body.mrownerconfig,
        &policy.mrownerconfig,
        checks,
    );
    if policy.images.is_empty() {
        checks.not_asked(id::TDX_IMAGE, Why::NotInPolicy);
    } else {
        let known = policy.images.iter().any(|image| is_of(body, image));
        checks.require(id::TDX_IMAGE, known, || Cause::NoImage);
    }
}

fn is_of(body: &TdBody, image: &TdxImage) -> bool {
    let fits = |measured: &[u8; 48], accepted: &Accepted<48>| {
        accepted
            .as_ref()
            .is_none_or(|accepted| accepted.contains(measured))
    };
    let mut rtmrs = body.rtmr.iter().zip(&image.rtmr);
    fits(&body.mrtd, &image.mrtd) && rtmrs.all(|(measured, accepted)| fits(measured, accepted))
}

fn trailing(found: Trailing, allowed: TrailingBytes) -> Result<(), Cause> {
    let acceptable = match allowed {
        TrailingBytes::Any => true,
        TrailingBytes::Zero => found.all_zero,
        TrailingBytes::None => found.count == 0,
    };
    if acceptable {
        Ok(())
    } else {
        Err(Cause::TrailingBytes { count: found.count })
    }
}

fn debug(body: &TdBody, policy: &TdxPolicy) -> Result<(), Cause> {
    match body.debug_flags() {
        0 => Ok(()),
        _ if policy.allow_debug => Ok(()),
        flags => Err(Cause::DebugTd { flags }),
    }
}

fn attributes(body: &TdBody, policy: &TdxPolicy) -> Result<(), Cause> {
    let bits = body.reserved_attributes();
    if bits != 0 {
        return Err(Cause::ReservedAttributes { bits });
    }
    if body.migratable() {
        return Err(Cause::Migratable);
    }
    listed(
        &body.td_attributes,
        policy
            .td_attributes
            .as_deref()
            .unwrap_or(&[body.td_attributes]),
    )
}

fn service_td(body: &TdBody, policy: &TdxPolicy) -> Result<(), Cause> {
    if body.service_td() && !policy.allow_service_td {
        Err(Cause::ServiceTd)
    } else {
        Ok(())
    }
}
