//! A device's measurements against the values NVIDIA published for its driver and firmware.
//!
//! Manifest index `i` speaks for measurement block `i + 1`. Only active values count. Where both
//! manifests of a device are active at one index, neither can be meant and the pair is refused. A
//! GPU whose NVDEC0 unit is switched off does not measure its firmware: index 34 of a driver
//! manifest is then not compared (a rule of NVIDIA's own verifiers, which there is no other source
//! for).

use super::rim::{RimKind, VerifiedRim};
use super::{OpaqueField, SpdmEvidence};

const NVDEC0_INDEX: u8 = 34;

/// Why measurements are not the published ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// The manifest is for another version than the device reports.
    #[error("the {} manifest is for {manifest}, the device reports {device}", kind.as_str())]
    Version {
        /// Which manifest.
        kind: RimKind,
        /// What it is for.
        manifest: String,
        /// What the device says, empty if it says nothing.
        device: String,
    },
    /// Both manifests speak for one measurement.
    #[error("both manifests are active at index {0}")]
    Overlap(u8),
    /// A manifest speaks for a measurement that the device did not make.
    #[error("the device has no measurement for index {0}")]
    Missing(u8),
    /// No value of a manifest is active, or there is no manifest: nothing would be compared.
    #[error("a manifest has no active value")]
    NothingActive,
    /// These values differ.
    #[error("measurements differ at {}", places(.0))]
    Mismatch(Vec<(RimKind, u8)>),
}

/// `driver 9, vbios 14`.
fn places(differing: &[(RimKind, u8)]) -> String {
    let places = differing.iter();
    let places = places.map(|(source, index)| format!("{} {index}", source.as_str()));
    places.collect::<Vec<_>>().join(", ")
}

/// How many measurements were compared, and which were left out. All compared ones were equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Equal ones.
    pub compared: usize,
    /// Active values not compared because the unit is off.
    pub skipped: Vec<u8>,
}

/// Compares `evidence` with the manifests of its driver (none for a switch) and its firmware.
pub fn compare(
    evidence: &SpdmEvidence,
    manifests: &[(RimKind, &VerifiedRim)],
) -> Result<Comparison, CompareError> {
    for (kind, rim) in manifests {
        check_version(evidence, *kind, rim)?;
        if !rim.values().iter().any(|value| value.active) {
            return Err(CompareError::NothingActive);
        }
    }
    check_overlap(manifests)?;
    let nvdec0_off = evidence.opaque().switched_on(OpaqueField::Nvdec0Status) == Some(false);
    let mut done = Comparison {
        compared: 0,
        skipped: Vec::new(),
    };
    let mut differing = Vec::new();
    for (kind, rim) in manifests {
        for value in rim.values().iter().filter(|value| value.active) {
            if nvdec0_off && *kind == RimKind::Driver && value.index == NVDEC0_INDEX {
                done.skipped.push(value.index);
                continue;
            }
            let measured = evidence
                .measurements()
                .get(usize::from(value.index))
                .ok_or(CompareError::Missing(value.index))?;
            if value.alternatives.contains(&measured.value) {
                done.compared += 1;
            } else {
                differing.push((*kind, value.index));
            }
        }
    }
    match (differing.is_empty(), done.compared) {
        (false, _) => Err(CompareError::Mismatch(differing)),
        (true, 0) => Err(CompareError::NothingActive),
        (true, _) => Ok(done),
    }
}

/// Whether the device made every measurement that the manifests speak for.
pub(crate) fn check_count(
    evidence: &SpdmEvidence,
    manifests: &[(RimKind, &VerifiedRim)],
) -> Result<(), CompareError> {
    let count = evidence.measurements().len();
    let active = manifests.iter().flat_map(|(_, rim)| rim.values());
    let mut active = active.filter(|value| value.active);
    match active.find(|value| usize::from(value.index) >= count) {
        None => Ok(()),
        Some(value) => Err(CompareError::Missing(value.index)),
    }
}

fn check_version(
    evidence: &SpdmEvidence,
    kind: RimKind,
    rim: &VerifiedRim,
) -> Result<(), CompareError> {
    let device = match kind {
        RimKind::Driver => evidence.driver_version().map(str::to_owned),
        RimKind::Vbios => evidence.vbios_version(),
    }
    .unwrap_or_default();
    if device.eq_ignore_ascii_case(rim.version()) {
        Ok(())
    } else {
        Err(CompareError::Version {
            kind,
            manifest: rim.version().to_owned(),
            device,
        })
    }
}

fn check_overlap(manifests: &[(RimKind, &VerifiedRim)]) -> Result<(), CompareError> {
    let mut active: Vec<u8> = manifests
        .iter()
        .flat_map(|(_, rim)| rim.values().iter().filter(|value| value.active))
        .map(|value| value.index)
        .collect();
    active.sort_unstable();
    match active.windows(2).find(|pair| pair.first() == pair.last()) {
        Some(pair) => Err(CompareError::Overlap(
            pair.first().copied().unwrap_or_default(),
        )),
        None => Ok(()),
    }
}
