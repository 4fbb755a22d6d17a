//! What the policy wants of the TD and of the TDX module under it: what hardware signed in the quote.

use super::super::pins::{listed, pinned};
use crate::encoding::to_hex;
use crate::policy::{Accepted, TdxImage, TdxPolicy, TrailingBytes, Xfam};
use crate::tdx::{TdBody, TdxFacts, Trailing};
use crate::verdict::{Cause, CheckId, Checks, Why};

pub(super) const CHECKS: [CheckId; 21] = [
    CheckId::TdxTrailingBytes,
    CheckId::TdxTdDebug,
    CheckId::TdxTdSeptVeDisable,
    CheckId::TdxTdAttributes,
    CheckId::TdxTdXfam,
    CheckId::TdxTdServiceTd,
    CheckId::TdxTeeTcbSvn,
    CheckId::TdxTeeTcbSvn2,
    CheckId::TdxSeamAttributes,
    CheckId::TdxMrtd,
    CheckId::TdxRtmr0,
    CheckId::TdxRtmr1,
    CheckId::TdxRtmr2,
    CheckId::TdxRtmr3,
    CheckId::TdxMrseam,
    CheckId::TdxMrsignerseam,
    CheckId::TdxMrconfigid,
    CheckId::TdxMrowner,
    CheckId::TdxMrownerconfig,
    CheckId::TdxMrservicetd,
    CheckId::TdxImage,
];

pub(super) fn appraise(facts: &TdxFacts, policy: &TdxPolicy, checks: &mut Checks) {
    let body = &facts.body;
    checks.record(
        CheckId::TdxTrailingBytes,
        trailing(facts.trailing, policy.trailing_bytes),
    );
    checks.record(CheckId::TdxTdDebug, debug(body, policy));
    let sept = if body.sept_ve_disable() {
        Ok(())
    } else {
        Err(Cause::SeptVeEnabled)
    };
    checks.record(CheckId::TdxTdSeptVeDisable, sept);
    checks.record(CheckId::TdxTdAttributes, attributes(body, policy));
    checks.record(CheckId::TdxTdXfam, xfam(&body.xfam, &policy.xfam));
    checks.record(CheckId::TdxTdServiceTd, service_td(body, policy));
    module(body, policy, checks);
    measurements(body, policy, checks);
    if policy.images.is_empty() {
        checks.not_required(CheckId::TdxImage, Why::NotInPolicy);
    } else {
        let known = policy.images.iter().any(|image| is_of(body, image));
        checks.require(CheckId::TdxImage, known, || Cause::NoImage);
    }
}

/// The TDX module: how recent it was at launch and is now, and whether it is one for production.
fn module(body: &TdBody, policy: &TdxPolicy, checks: &mut Checks) {
    let svn = policy.min_tee_tcb_svn.as_ref();
    at_least(CheckId::TdxTeeTcbSvn, Some(&body.tee_tcb_svn), svn, checks);
    let svn2 = policy.min_tee_tcb_svn2.as_ref();
    let now = body.td15.as_ref().map(|td15| &td15.tee_tcb_svn2);
    at_least(CheckId::TdxTeeTcbSvn2, now, svn2, checks);
    checks.record(
        CheckId::TdxSeamAttributes,
        listed(&body.seam_attributes, &policy.seam_attributes),
    );
}

/// Component by component: no component makes up for another.
fn at_least(
    check: CheckId,
    svns: Option<&[u8; 16]>,
    floors: Option<&[u8; 16]>,
    checks: &mut Checks,
) {
    let (svns, floors) = match (svns, floors) {
        (_, None) => return checks.not_required(check, Why::NotInPolicy),
        (None, Some(_)) => return checks.not_evaluated(check, Why::Absent),
        (Some(svns), Some(floors)) => (svns, floors),
    };
    let below = svns.iter().zip(floors).enumerate();
    let below = below.map(|(component, (got, floor))| (component, *got, *floor));
    match below.into_iter().find(|(_, got, floor)| got < floor) {
        None => checks.pass(check),
        Some((component, got, floor)) => {
            let cause = Cause::TeeTcbSvn {
                component,
                got,
                floor,
            };
            checks.fail(check, cause);
        }
    }
}

fn measurements(body: &TdBody, policy: &TdxPolicy, checks: &mut Checks) {
    pinned(CheckId::TdxMrtd, &body.mrtd, &policy.mrtd, checks);
    let rtmrs = [
        CheckId::TdxRtmr0,
        CheckId::TdxRtmr1,
        CheckId::TdxRtmr2,
        CheckId::TdxRtmr3,
    ];
    for ((check, measured), accepted) in rtmrs.into_iter().zip(&body.rtmr).zip(&policy.rtmr) {
        pinned(check, measured, accepted, checks);
    }
    pinned(CheckId::TdxMrseam, &body.mrseam, &policy.mrseam, checks);
    pinned(
        CheckId::TdxMrsignerseam,
        &body.mrsignerseam,
        &policy.mrsignerseam,
        checks,
    );
    pinned(
        CheckId::TdxMrconfigid,
        &body.mrconfigid,
        &policy.mrconfigid,
        checks,
    );
    pinned(CheckId::TdxMrowner, &body.mrowner, &policy.mrowner, checks);
    pinned(
        CheckId::TdxMrownerconfig,
        &body.mrownerconfig,
        &policy.mrownerconfig,
        checks,
    );
    match (&policy.mrservicetd, &body.td15) {
        (Some(_), None) => checks.not_evaluated(CheckId::TdxMrservicetd, Why::Absent),
        (None, None) => checks.not_required(CheckId::TdxMrservicetd, Why::NotInPolicy),
        (accepted, Some(td15)) => {
            pinned(CheckId::TdxMrservicetd, &td15.mrservicetd, accepted, checks);
        }
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
    match allowed.allow(found.count, found.all_zero) {
        true => Ok(()),
        false => Err(Cause::TrailingBytes { count: found.count }),
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

/// The bits that accepted values may set are checked by those; in the others FP and SSE have to be on, as in
/// every TD, and nothing may be that the policy does not allow.
fn xfam(measured: &[u8; 8], policy: &Xfam) -> Result<(), Cause> {
    const ALWAYS: u64 = 0b11;
    let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let (features, allowed) = (number(measured), number(&policy.allowed));
    let spoken_of = policy.accepted.as_ref().map_or(0, |_| number(&policy.mask));
    if let Some(accepted) = &policy.accepted {
        let agrees = |value: &[u8; 8]| (number(value) ^ features) & spoken_of == 0;
        if !accepted.iter().any(agrees) {
            return Err(Cause::NotAccepted(to_hex(measured)));
        }
    }
    let missing = ALWAYS & !features & !spoken_of;
    let unknown = features & !allowed & !spoken_of;
    match (missing, unknown) {
        (0, 0) => Ok(()),
        (missing, unknown) => Err(Cause::Xfam { missing, unknown }),
    }
}

fn service_td(body: &TdBody, policy: &TdxPolicy) -> Result<(), Cause> {
    if body.service_td() && !policy.allow_service_td {
        Err(Cause::ServiceTd)
    } else {
        Ok(())
    }
}
