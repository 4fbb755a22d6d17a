//! What the policy wants of the TD and of the TDX module under it: what hardware signed in the quote.

use super::super::pins::{listed, pinned};
use crate::encoding::to_hex;
use crate::policy::{Accepted, TdxImage, TdxPolicy, TrailingBytes, Xfam};
use crate::tdx::{TdBody, TdxFacts, Trailing};
use crate::verdict::{Cause, Checks, Why, id};

pub(super) const CHECKS: [&str; 21] = [
    id::TDX_TRAILING_BYTES,
    id::TDX_TD_DEBUG,
    id::TDX_TD_SEPT_VE_DISABLE,
    id::TDX_TD_ATTRIBUTES,
    id::TDX_TD_XFAM,
    id::TDX_TD_SERVICE_TD,
    id::TDX_TEE_TCB_SVN,
    id::TDX_TEE_TCB_SVN2,
    id::TDX_SEAM_ATTRIBUTES,
    id::TDX_MRTD,
    id::TDX_RTMR0,
    id::TDX_RTMR1,
    id::TDX_RTMR2,
    id::TDX_RTMR3,
    id::TDX_MRSEAM,
    id::TDX_MRSIGNERSEAM,
    id::TDX_MRCONFIGID,
    id::TDX_MROWNER,
    id::TDX_MROWNERCONFIG,
    id::TDX_MRSERVICETD,
    id::TDX_IMAGE,
];

pub(super) fn appraise(facts: &TdxFacts, policy: &TdxPolicy, checks: &mut Checks) {
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
    checks.judge(id::TDX_TD_XFAM, xfam(&body.xfam, &policy.xfam));
    checks.judge(id::TDX_TD_SERVICE_TD, service_td(body, policy));
    module(body, policy, checks);
    measurements(body, policy, checks);
    if policy.images.is_empty() {
        checks.not_asked(id::TDX_IMAGE, Why::NotInPolicy);
    } else {
        let known = policy.images.iter().any(|image| is_of(body, image));
        checks.require(id::TDX_IMAGE, known, || Cause::NoImage);
    }
}

/// The TDX module: how recent it was at launch and is now, and whether it is one for production.
fn module(body: &TdBody, policy: &TdxPolicy, checks: &mut Checks) {
    let svn = policy.min_tee_tcb_svn.as_ref();
    at_least(id::TDX_TEE_TCB_SVN, Some(&body.tee_tcb_svn), svn, checks);
    let svn2 = policy.min_tee_tcb_svn2.as_ref();
    let now = body.td15.as_ref().map(|td15| &td15.tee_tcb_svn2);
    at_least(id::TDX_TEE_TCB_SVN2, now, svn2, checks);
    checks.judge(
        id::TDX_SEAM_ATTRIBUTES,
        listed(&body.seam_attributes, &policy.seam_attributes),
    );
}

/// Component by component: no component makes up for another.
fn at_least(
    check: &'static str,
    svns: Option<&[u8; 16]>,
    floors: Option<&[u8; 16]>,
    checks: &mut Checks,
) {
    let (svns, floors) = match (svns, floors) {
        (_, None) => return checks.not_asked(check, Why::NotInPolicy),
        (None, Some(_)) => return checks.missed(check, Why::Absent),
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
    pinned(id::TDX_MRTD, &body.mrtd, &policy.mrtd, checks);
    let rtmrs = [id::TDX_RTMR0, id::TDX_RTMR1, id::TDX_RTMR2, id::TDX_RTMR3];
    for ((check, measured), accepted) in rtmrs.into_iter().zip(&body.rtmr).zip(&policy.rtmr) {
        pinned(check, measured, accepted, checks);
    }
    pinned(id::TDX_MRSEAM, &body.mrseam, &policy.mrseam, checks);
    pinned(
        id::TDX_MRSIGNERSEAM,
        &body.mrsignerseam,
        &policy.mrsignerseam,
        checks,
    );
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
    match (&policy.mrservicetd, &body.td15) {
        (Some(_), None) => checks.missed(id::TDX_MRSERVICETD, Why::Absent),
        (None, None) => checks.not_asked(id::TDX_MRSERVICETD, Why::NotInPolicy),
        (accepted, Some(td15)) => {
            pinned(id::TDX_MRSERVICETD, &td15.mrservicetd, accepted, checks);
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

/// The bits that accepted values speak of are theirs; in the others FP and SSE have to be on, as in
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
