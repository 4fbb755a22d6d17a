//! Merges the checks of each NVIDIA device into one for all: it fails if it fails for any of them, and passes only if it
//! passes for every device that it applies to.

use crate::verdict::{Cause, Check, CheckId, Checks, NvidiaCause, Outcome, Why};

/// In the order in which a verdict lists them.
const PER_DEVICE: [CheckId; 18] = [
    CheckId::NvidiaEvidenceFormat,
    CheckId::NvidiaChain,
    CheckId::NvidiaReportSignature,
    CheckId::NvidiaArchitecture,
    CheckId::NvidiaFwid,
    CheckId::NvidiaNonce,
    CheckId::NvidiaOcsp,
    CheckId::NvidiaDriver,
    CheckId::NvidiaVbios,
    CheckId::NvidiaRimDriver,
    CheckId::NvidiaRimVbios,
    CheckId::NvidiaRimProduct,
    CheckId::NvidiaRimDigest,
    CheckId::NvidiaRimSignerDates,
    CheckId::NvidiaRimOcsp,
    CheckId::NvidiaMeasurementsCount,
    CheckId::NvidiaMeasurements,
    CheckId::NvidiaMode,
];

/// Enters each check once: failed for the first device it fails for; not evaluated if it was not
/// for one of them; passed only if it passed for all it applies to.
pub(super) fn merge(by_device: Vec<Checks>, checks: &mut Checks) {
    let by_device: Vec<Vec<Check>> = by_device.into_iter().map(Checks::into_vec).collect();
    for id in PER_DEVICE {
        let of_id_by_device = by_device.iter().enumerate().flat_map(|(index, device)| {
            let of_id = device.iter().filter(move |check| check.id == id);
            of_id.map(move |check| (index, check))
        });
        match of_id_by_device.min_by_key(|(_, check)| weight(check)) {
            Some((index, check)) => enter(index, check, checks),
            // It applies to none of these devices.
            None => checks.not_required(id, Why::Absent),
        }
    }
}

/// The least counts, and of equals the first.
fn weight(check: &Check) -> u8 {
    match (&check.outcome, check.required) {
        (Outcome::Fail(_), _) => 0,
        (Outcome::NotEvaluated(_), true) => 1,
        (Outcome::NotEvaluated(_), false) => 2,
        (Outcome::Pass, _) => 3,
    }
}

fn enter(index: usize, check: &Check, checks: &mut Checks) {
    match (&check.outcome, check.required) {
        (Outcome::Pass, _) => checks.pass(check.id),
        (Outcome::Fail(cause), _) => checks.fail(check.id, at_device(index, cause.clone())),
        (Outcome::NotEvaluated(why), true) => checks.not_evaluated(check.id, why.clone()),
        (Outcome::NotEvaluated(why), false) => checks.not_required(check.id, why.clone()),
    }
}

pub(super) fn at_device(index: usize, cause: Cause) -> Cause {
    NvidiaCause::Device {
        index,
        cause: Box::new(cause),
    }
    .into()
}
