//! The manifests at hand. They lie in no order and say themselves what they are for. That word picks
//! which are looked at; it is believed only once the manifest's signature holds.

use std::cell::OnceCell;

use crate::collateral::NvidiaCollateral;
use crate::nvidia::{Rim, RimError, RimKind, VerifiedRim};
use crate::roots::{RootKind, Roots};
use crate::verdict::{Cause, NvidiaCause};

/// The manifests at hand, each verified at most once, when first needed.
pub(super) struct Shelf<'a> {
    manifests: Vec<Manifest>,
    root: Option<&'a [u8]>,
}

struct Manifest {
    read: Result<Rim, RimError>,
    claimed_version: Option<String>,
    verified: OnceCell<Result<VerifiedRim, RimError>>,
}

/// What is there for one version of a driver or of firmware.
pub(super) enum Found {
    /// These are authentic, at least one.
    Authentic(Vec<VerifiedRim>),
    /// None that is there is.
    Refused(Cause),
    /// There is none of this kind.
    Nothing,
}

impl<'a> Shelf<'a> {
    pub(super) fn new(collateral: Option<&NvidiaCollateral>, roots: &'a Roots) -> Self {
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
        }
    }

    /// Those for this version of this kind.
    pub(super) fn find(&self, kind: RimKind, version: Option<&str>, required: bool) -> Found {
        let for_this = |manifest: &&Manifest| match (&manifest.claimed_version, version) {
            (Some(claimed), Some(version)) => claimed.eq_ignore_ascii_case(version),
            _ => false,
        };
        let mut authentic = Vec::new();
        let mut refused = None;
        for manifest in self.manifests.iter().filter(for_this) {
            match self.verified(manifest) {
                Ok(rim) => authentic.push(rim),
                Err(cause) => refused = refused.or(Some(cause)),
            }
        }
        match (authentic.is_empty(), refused) {
            (false, _) => Found::Authentic(authentic),
            (true, Some(cause)) => Found::Refused(cause),
            (true, None) if required => self.of_other_versions(kind, version),
            (true, None) => Found::Nothing,
        }
    }

    /// None is for this version. If one of this kind is not even authentic, that is the better
    /// reason.
    fn of_other_versions(&self, kind: RimKind, version: Option<&str>) -> Found {
        let of_kind = |manifest: &&Manifest| match &manifest.claimed_version {
            Some(claimed) => kind_of_version(claimed) == kind,
            None => true,
        };
        let mut of_kind = self.manifests.iter().filter(of_kind).peekable();
        if of_kind.peek().is_none() {
            return Found::Nothing;
        }
        let forged = of_kind.find_map(|manifest| self.verified(manifest).err());
        let version = version.map(str::to_owned);
        Found::Refused(forged.unwrap_or_else(|| NvidiaCause::NoRim { kind, version }.into()))
    }

    fn verified(&self, manifest: &'_ Manifest) -> Result<VerifiedRim, Cause> {
        let root = self.root.ok_or(Cause::NoRoot(RootKind::NvidiaRim))?;
        let verify = || match &manifest.read {
            Ok(rim) => rim.verify_undated(root),
            Err(error) => Err(error.clone()),
        };
        let verified = manifest.verified.get_or_init(verify).clone();
        verified.map_err(|error| NvidiaCause::Rim(error).into())
    }
}

/// Firmware versions are five groups, `96.00.5E.00.01`; driver versions two or three.
fn kind_of_version(version: &str) -> RimKind {
    if version.split('.').count() >= 5 {
        RimKind::Vbios
    } else {
        RimKind::Driver
    }
}
