//! A device's measurements against NVIDIA's manifests for its driver and its firmware.
//!
//! Several manifests may be for one version, since NVIDIA signs one id again with other values: any
//! authentic and accepted one will do.

use super::manifest_filter::{self, AcceptedManifest, ManifestFilter, Stopped};
use super::manifest_store::{Found, ManifestStore};
use crate::nvidia::{
    CompareError, Comparison, ManifestFacts, RimKind, SpdmEvidence, VerifiedDevice, VerifiedRim,
    check_count, compare,
};
use crate::time::UnixTime;
use crate::verdict::{CheckId, Checks, NvidiaCause, Why};

/// The result for the comparison.
#[derive(Default)]
pub(super) struct Appraised {
    pub(super) manifests: Vec<ManifestFacts>,
    pub(super) compared: usize,
    pub(super) skipped: Vec<u8>,
    /// The last second at which the manifests may be relied on.
    pub(super) valid_until: Option<UnixTime>,
}

pub(super) fn appraise(
    evidence: &SpdmEvidence,
    signer: &VerifiedDevice,
    filter: &ManifestFilter<'_>,
    manifest_store: &ManifestStore<'_>,
    checks: &mut Checks,
) -> Appraised {
    let kinds: &[RimKind] = if signer.architecture().is_switch() {
        &[RimKind::Vbios]
    } else {
        &[RimKind::Driver, RimKind::Vbios]
    };
    let mut by_kind = Vec::new();
    let mut lacking = None;
    for kind in kinds {
        match usable(*kind, evidence, signer, filter, manifest_store, checks) {
            Ok(rims) => by_kind.push((*kind, rims)),
            Err(Stopped(at)) => lacking = lacking.or(Some(at)),
        }
    }
    let required = filter.policy.rims_required;
    if by_kind.is_empty() {
        incomplete(CheckId::NvidiaMeasurementsCount, lacking, required, checks);
        incomplete(CheckId::NvidiaMeasurements, lacking, required, checks);
        return Appraised::default();
    }
    match compare_any(evidence, &by_kind) {
        Err(error) => {
            let check = match error {
                CompareError::Missing(_) => CheckId::NvidiaMeasurementsCount,
                _ => {
                    checks.pass(CheckId::NvidiaMeasurementsCount);
                    CheckId::NvidiaMeasurements
                }
            };
            checks.fail(check, NvidiaCause::Measurements(error).into());
            if check == CheckId::NvidiaMeasurementsCount {
                checks.not_evaluated(CheckId::NvidiaMeasurements, Why::Stopped { at: check });
            }
            Appraised::default()
        }
        Ok(appraised) => {
            checks.pass(CheckId::NvidiaMeasurementsCount);
            match lacking {
                None => checks.pass(CheckId::NvidiaMeasurements),
                // What was compared is equal; for some measurements no manifest has a value.
                Some(_) => incomplete(CheckId::NvidiaMeasurements, lacking, required, checks),
            }
            appraised
        }
    }
}

/// The manifests of a kind that are authentic and accepted, or the check that says why none is.
fn usable(
    kind: RimKind,
    evidence: &SpdmEvidence,
    signer: &VerifiedDevice,
    filter: &ManifestFilter<'_>,
    manifest_store: &ManifestStore<'_>,
    checks: &mut Checks,
) -> Result<Vec<AcceptedManifest>, Stopped> {
    let (check, version) = match kind {
        RimKind::Driver => (
            CheckId::NvidiaRimDriver,
            evidence.driver_version().map(str::to_owned),
        ),
        RimKind::Vbios => (CheckId::NvidiaRimVbios, evidence.vbios_version()),
    };
    let required = filter.policy.rims_required;
    match manifest_store.find(kind, version.as_deref(), required) {
        Found::Authentic(rims) => {
            checks.pass(check);
            filter.accepted(rims, signer.architecture(), checks)
        }
        Found::Refused(cause) => {
            checks.fail(check, cause);
            unasked(true, Why::Stopped { at: check }, checks);
            Err(Stopped(check))
        }
        Found::Nothing => {
            match required {
                true => {
                    checks.not_evaluated(check, Why::NoCollateral);
                    unasked(true, Why::Stopped { at: check }, checks);
                }
                false => {
                    checks.not_required(check, Why::NoCollateral);
                    unasked(false, Why::NoCollateral, checks);
                }
            }
            Err(Stopped(check))
        }
    }
}

fn unasked(needed: bool, why: Why, checks: &mut Checks) {
    for check in manifest_filter::CHECKS {
        match needed {
            true => checks.not_evaluated(check, why.clone()),
            false => checks.not_required(check, why.clone()),
        }
    }
}

fn incomplete(check: CheckId, lacking: Option<CheckId>, required: bool, checks: &mut Checks) {
    let why = match lacking {
        Some(at) => Why::Stopped { at },
        None => Why::NoCollateral,
    };
    match required {
        true => checks.not_evaluated(check, why),
        false => checks.not_required(check, why),
    }
}

/// The first combination that the measurements equal; otherwise why not, and that measurements are
/// missing only if they are for every combination.
fn compare_any(
    evidence: &SpdmEvidence,
    by_kind: &[(RimKind, Vec<AcceptedManifest>)],
) -> Result<Appraised, CompareError> {
    let mut combinations: Vec<Vec<(RimKind, &AcceptedManifest)>> = vec![Vec::new()];
    for (kind, usable) in by_kind {
        let mut longer = Vec::new();
        for so_far in &combinations {
            for one in usable {
                longer.push(so_far.iter().copied().chain([(*kind, one)]).collect());
            }
        }
        combinations = longer;
    }
    let (mut reason, mut missing) = (None, None);
    for combination in &combinations {
        let rims: Vec<(RimKind, &VerifiedRim)> = combination
            .iter()
            .map(|(kind, usable)| (*kind, usable.rim.as_ref()))
            .collect();
        match check_count(evidence, &rims).and_then(|()| compare(evidence, &rims)) {
            Ok(done) => return Ok(appraised(combination, done)),
            Err(error @ CompareError::Missing(_)) => missing = missing.or(Some(error)),
            Err(error) => reason = reason.or(Some(error)),
        }
    }
    match reason.or(missing) {
        Some(error) => Err(error),
        None => Ok(Appraised::default()),
    }
}

fn appraised(combination: &[(RimKind, &AcceptedManifest)], done: Comparison) -> Appraised {
    let manifests = combination.iter();
    Appraised {
        valid_until: manifests.clone().filter_map(|(_, it)| it.until).min(),
        manifests: manifests
            .map(|(kind, it)| ManifestFacts::from_rim(*kind, &it.rim))
            .collect(),
        compared: done.compared,
        skipped: done.skipped,
    }
}
