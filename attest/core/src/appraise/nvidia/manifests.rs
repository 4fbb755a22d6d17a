//! A device's measurements against NVIDIA's manifests for its driver and its firmware.
//!
//! Manifests lie in no order and say themselves what they are for. That word picks which are looked
//! at; it is believed only once the manifest's signature holds. Several may be for one version,
//! since NVIDIA signs one id again with other values: any authentic and accepted one will do.

use std::cell::OnceCell;

use crate::collateral::NvidiaCollateral;
use crate::nvidia::{
    Architecture, ManifestFacts, Rim, RimError, RimKind, SpdmEvidence, VerifiedDevice, VerifiedRim,
    compare,
};
use crate::policy::NvidiaPolicy;
use crate::roots::{RootKind, Roots};
use crate::time::UnixTime;
use crate::verdict::{Cause, Checks, NvidiaCause, Why, id};

/// The manifests at hand, each verified at most once, when first needed.
pub(super) struct Shelf<'a> {
    manifests: Vec<Manifest>,
    root: Option<&'a [u8]>,
    now: UnixTime,
}

struct Manifest {
    read: Result<Rim, RimError>,
    claimed_version: Option<String>,
    verified: OnceCell<Result<VerifiedRim, RimError>>,
}

impl<'a> Shelf<'a> {
    pub(super) fn new(
        collateral: Option<&NvidiaCollateral>,
        roots: &'a Roots,
        now: UnixTime,
    ) -> Self {
        let rims = collateral.map_or(&[][..], |collateral| &collateral.rims);
        let manifests = rims.iter().map(|bytes| {
            let read = Rim::from_bytes(bytes);
            Manifest {
                claimed_version: read.as_ref().ok().and_then(Rim::claimed_version),
                read,
                verified: OnceCell::new(),
            }
        });
        Self {
            manifests: manifests.collect(),
            root: roots.der(RootKind::NvidiaRim),
            now,
        }
    }

    fn verified(&self, manifest: &'_ Manifest) -> Result<VerifiedRim, Cause> {
        let root = self.root.ok_or(Cause::NoRoot(RootKind::NvidiaRim))?;
        let verify = || match &manifest.read {
            Ok(rim) => rim.verify(root, self.now),
            Err(error) => Err(error.clone()),
        };
        manifest
            .verified
            .get_or_init(verify)
            .clone()
            .map_err(|error| NvidiaCause::Rim(error).into())
    }
}

/// What came of the comparison.
#[derive(Default)]
pub(super) struct Appraised {
    pub(super) manifests: Vec<ManifestFacts>,
    pub(super) compared: usize,
    pub(super) skipped: Vec<u8>,
}

pub(super) fn judge(
    evidence: &SpdmEvidence,
    signer: &VerifiedDevice,
    policy: &NvidiaPolicy,
    shelf: &Shelf<'_>,
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
        let check = check_of(*kind);
        match find(evidence, signer, *kind, policy, shelf) {
            Found::Usable(rims) => {
                checks.pass(check);
                by_kind.push((*kind, rims));
            }
            Found::Refused(cause) => {
                checks.fail(check, cause);
                lacking = lacking.or(Some(check));
            }
            Found::Nothing if policy.rims_required => {
                checks.missed(check, Why::NoCollateral);
                lacking = lacking.or(Some(check));
            }
            Found::Nothing => {
                checks.not_asked(check, Why::NoCollateral);
                lacking = lacking.or(Some(check));
            }
        }
    }
    if by_kind.is_empty() {
        incomplete(lacking, policy, checks);
        return Appraised::default();
    }
    match compare_any(evidence, &by_kind) {
        Err(cause) => {
            checks.fail(id::NVIDIA_MEASUREMENTS, cause);
            Appraised::default()
        }
        Ok(appraised) => {
            match lacking {
                None => checks.pass(id::NVIDIA_MEASUREMENTS),
                // What was compared was equal; some measurements nobody spoke for.
                Some(_) => incomplete(lacking, policy, checks),
            }
            appraised
        }
    }
}

fn incomplete(lacking: Option<&'static str>, policy: &NvidiaPolicy, checks: &mut Checks) {
    let why = match lacking {
        Some(at) => Why::Stopped { at },
        None => Why::NoCollateral,
    };
    if policy.rims_required {
        checks.missed(id::NVIDIA_MEASUREMENTS, why);
    } else {
        checks.not_asked(id::NVIDIA_MEASUREMENTS, why);
    }
}

const fn check_of(kind: RimKind) -> &'static str {
    match kind {
        RimKind::Driver => id::NVIDIA_RIM_DRIVER,
        RimKind::Vbios => id::NVIDIA_RIM_VBIOS,
    }
}

enum Found {
    Usable(Vec<VerifiedRim>),
    Refused(Cause),
    Nothing,
}

fn find(
    evidence: &SpdmEvidence,
    signer: &VerifiedDevice,
    kind: RimKind,
    policy: &NvidiaPolicy,
    shelf: &Shelf<'_>,
) -> Found {
    let version = match kind {
        RimKind::Driver => evidence.driver_version().map(str::to_owned),
        RimKind::Vbios => evidence.vbios_version(),
    };
    let for_this = |manifest: &&Manifest| match (&manifest.claimed_version, &version) {
        (Some(claimed), Some(version)) => claimed.eq_ignore_ascii_case(version),
        _ => false,
    };
    let mut usable = Vec::new();
    let mut refused = None;
    for manifest in shelf.manifests.iter().filter(for_this) {
        match shelf
            .verified(manifest)
            .and_then(|rim| accepted(rim, signer.architecture(), policy))
        {
            Ok(rim) => usable.push(rim),
            Err(cause) => refused = refused.or(Some(cause)),
        }
    }
    match (usable.is_empty(), refused) {
        (false, _) => Found::Usable(usable),
        (true, Some(cause)) => Found::Refused(cause),
        (true, None) if policy.rims_required => of_other_versions(kind, version, shelf),
        (true, None) => Found::Nothing,
    }
}

/// None is for this version. If one of this kind is not even authentic, that is the better reason.
fn of_other_versions(kind: RimKind, version: Option<String>, shelf: &Shelf<'_>) -> Found {
    let of_kind = |manifest: &&Manifest| match &manifest.claimed_version {
        Some(claimed) => kind_of_version(claimed) == kind,
        None => true,
    };
    let mut of_kind = shelf.manifests.iter().filter(of_kind).peekable();
    if of_kind.peek().is_none() {
        return Found::Nothing;
    }
    let forged = of_kind.find_map(|manifest| shelf.verified(manifest).err());
    Found::Refused(forged.unwrap_or_else(|| NvidiaCause::NoRim { kind, version }.into()))
}

/// Firmware versions are five groups, `96.00.5E.00.01`; driver versions two or three.
fn kind_of_version(version: &str) -> RimKind {
    if version.split('.').count() >= 5 {
        RimKind::Vbios
    } else {
        RimKind::Driver
    }
}

fn accepted(
    rim: VerifiedRim,
    architecture: Architecture,
    policy: &NvidiaPolicy,
) -> Result<VerifiedRim, Cause> {
    let of_this_chip = match architecture {
        Architecture::Hopper => rim.product().starts_with("GH"),
        Architecture::Blackwell => rim.product().starts_with("GB"),
        Architecture::Ls10 => rim.product() == "LS10",
    };
    if !of_this_chip {
        return Err(NvidiaCause::RimProduct(rim.product().to_owned()).into());
    }
    match &policy.rim_digests {
        Some(pinned) if !pinned.contains(&rim.digest()) => {
            Err(NvidiaCause::RimNotPinned(rim.digest()).into())
        }
        _ => Ok(rim),
    }
}

/// The first combination that the measurements equal; otherwise why the first does not fit.
fn compare_any(
    evidence: &SpdmEvidence,
    by_kind: &[(RimKind, Vec<VerifiedRim>)],
) -> Result<Appraised, Cause> {
    let mut combinations: Vec<Vec<(RimKind, &VerifiedRim)>> = vec![Vec::new()];
    for (kind, rims) in by_kind {
        combinations = combinations
            .iter()
            .flat_map(|so_far| {
                rims.iter()
                    .map(move |rim| so_far.iter().copied().chain([(*kind, rim)]).collect())
            })
            .collect();
    }
    let mut reason = None;
    for combination in &combinations {
        match compare(evidence, combination) {
            Ok(done) => {
                return Ok(Appraised {
                    manifests: combination
                        .iter()
                        .map(|(kind, rim)| ManifestFacts::of(*kind, rim))
                        .collect(),
                    compared: done.compared,
                    skipped: done.skipped,
                });
            }
            Err(error) => reason = reason.or(Some(error)),
        }
    }
    match reason {
        Some(error) => Err(NvidiaCause::Measurements(error).into()),
        None => Ok(Appraised::default()),
    }
}
