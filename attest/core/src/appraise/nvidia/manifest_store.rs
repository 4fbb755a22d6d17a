//! The manifests at hand. They are in no order, and each states what it is for. That statement selects
//! which are read; it is believed only once the manifest's signature holds.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::cache::CacheKey;
use crate::collateral::NvidiaCollateral;
use crate::evidence::EndorsementCache;
use crate::nvidia::{Rim, RimError, RimKind, VerifiedRim};
use crate::roots::{RootKind, Roots};
use crate::verdict::{Cause, NvidiaCause};

/// The manifests at hand, each verified at most once, when first needed.
pub(super) struct ManifestStore<'a> {
    manifests: Vec<Manifest>,
    root: Option<&'a [u8]>,
}

struct Manifest {
    inputs: CacheKey,
    claimed_version: Option<String>,
    state: State,
}

enum State {
    /// Found authentic before.
    Known(Arc<VerifiedRim>),
    Read(Rim, OnceCell<Result<Arc<VerifiedRim>, RimError>>),
    Unreadable(RimError),
}

impl Manifest {
    /// Read now, unless it was found authentic before.
    fn read(bytes: &[u8], root: Option<&[u8]>, cache: &EndorsementCache) -> Self {
        let inputs = CacheKey::from_parts(&[root.unwrap_or_default(), bytes]);
        let (claimed_version, state) = match cache.rims.get(&inputs) {
            Some(rim) => {
                let version = rim.version().to_owned();
                (Some(version), State::Known(Arc::clone(rim)))
            }
            None => match Rim::from_bytes(bytes) {
                Ok(rim) => (rim.claimed_version(), State::Read(rim, OnceCell::new())),
                Err(error) => (None, State::Unreadable(error)),
            },
        };
        Self {
            inputs,
            claimed_version,
            state,
        }
    }

    /// By its signatures alone: time, policy and revocation are checked each time.
    fn authenticate(&self, root: &[u8]) -> Result<Arc<VerifiedRim>, RimError> {
        match &self.state {
            State::Known(rim) => Ok(Arc::clone(rim)),
            State::Read(rim, done) => done
                .get_or_init(|| rim.verify_undated(root).map(Arc::new))
                .clone(),
            State::Unreadable(error) => Err(error.clone()),
        }
    }

    /// If this appraisal found it authentic.
    fn newly_authentic(&self) -> Option<&Arc<VerifiedRim>> {
        match &self.state {
            State::Read(_, done) => done.get()?.as_ref().ok(),
            State::Known(_) | State::Unreadable(_) => None,
        }
    }
}

/// What is there for one version of a driver or of firmware.
pub(super) enum Found {
    /// These are authentic, at least one.
    Authentic(Vec<Arc<VerifiedRim>>),
    /// None that is there is.
    Refused(Cause),
    /// There is none of this kind.
    Nothing,
}

impl<'a> ManifestStore<'a> {
    pub(super) fn new(
        collateral: Option<&NvidiaCollateral>,
        roots: &'a Roots,
        cache: &EndorsementCache,
    ) -> Self {
        let rims = collateral.map_or(&[][..], |collateral| &collateral.rims);
        let root = roots.der(RootKind::NvidiaRim);
        let manifests = rims.iter().map(|bytes| Manifest::read(bytes, root, cache));
        Self {
            manifests: manifests.collect(),
            root,
        }
    }

    /// Those that this appraisal found authentic, whatever else was found of them.
    pub(super) fn newly_authentic(
        &self,
    ) -> impl Iterator<Item = (&CacheKey, Arc<VerifiedRim>)> + '_ {
        self.manifests.iter().filter_map(|manifest| {
            let rim = manifest.newly_authentic()?;
            Some((&manifest.inputs, Arc::clone(rim)))
        })
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
            (true, None) if required => self.other_versions(kind, version),
            (true, None) => Found::Nothing,
        }
    }

    /// None is for this version. If one of this kind is not even authentic, that is the better
    /// reason.
    fn other_versions(&self, kind: RimKind, version: Option<&str>) -> Found {
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

    fn verified(&self, manifest: &Manifest) -> Result<Arc<VerifiedRim>, Cause> {
        let root = self.root.ok_or(Cause::NoRoot(RootKind::NvidiaRim))?;
        let verified = manifest.authenticate(root);
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
