//! Which of the authentic manifests the policy accepts. Four checks in order narrow them down: for the right chip,
//! pinned, its signer within dates, its signer not revoked. A check that leaves no manifest fails.

use std::sync::Arc;

use super::revocation::{Revocable, Revocation, revocation_status};
use crate::nvidia::{Architecture, VerifiedRim};
use crate::policy::{NvidiaPolicy, SignerDates};
use crate::time::UnixTime;
use crate::verdict::{Cause, CheckId, Checks, NvidiaCause, Why};

/// In the order in which they are made.
pub(super) const CHECKS: [CheckId; 4] = [
    CheckId::NvidiaRimProduct,
    CheckId::NvidiaRimDigest,
    CheckId::NvidiaRimSignerDates,
    CheckId::NvidiaRimOcsp,
];

/// What the checks need.
pub(super) struct ManifestFilter<'a> {
    pub(super) policy: &'a NvidiaPolicy,
    /// OCSP responses.
    pub(super) answers: &'a [Vec<u8>],
    pub(super) now: UnixTime,
}

/// A manifest that the policy accepts.
pub(super) struct AcceptedManifest {
    pub(super) rim: Arc<VerifiedRim>,
    /// Until when, if an OCSP response limits it.
    pub(super) until: Option<UnixTime>,
}

/// The check that left no manifest.
pub(super) struct Stopped(pub(super) CheckId);

impl ManifestFilter<'_> {
    /// Enters the four checks for the manifests of one kind.
    pub(super) fn accepted(
        &self,
        rims: Vec<Arc<VerifiedRim>>,
        architecture: Architecture,
        checks: &mut Checks,
    ) -> Result<Vec<AcceptedManifest>, Stopped> {
        let rims = self.for_chip(rims, architecture, checks)?;
        let rims = self.pinned(rims, checks)?;
        let rims = self.in_time(rims, checks)?;
        self.not_revoked(rims, checks)
    }

    fn for_chip(
        &self,
        rims: Vec<Arc<VerifiedRim>>,
        architecture: Architecture,
        checks: &mut Checks,
    ) -> Result<Vec<Arc<VerifiedRim>>, Stopped> {
        let results = rims.into_iter().map(|rim| {
            let is_of = match architecture {
                Architecture::Hopper => rim.product().starts_with("GH"),
                Architecture::Blackwell => rim.product().starts_with("GB"),
                Architecture::Ls10 => rim.product() == "LS10",
            };
            match is_of {
                true => Ok(rim),
                false => Err(NvidiaCause::RimProduct(rim.product().to_owned()).into()),
            }
        });
        retain_accepted(CheckId::NvidiaRimProduct, results, checks)
    }

    fn pinned(
        &self,
        rims: Vec<Arc<VerifiedRim>>,
        checks: &mut Checks,
    ) -> Result<Vec<Arc<VerifiedRim>>, Stopped> {
        let Some(pinned) = &self.policy.rim_digests else {
            checks.not_required(CheckId::NvidiaRimDigest, Why::NotInPolicy);
            return Ok(rims);
        };
        let results = rims
            .into_iter()
            .map(|rim| match pinned.contains(&rim.digest()) {
                true => Ok(rim),
                false => Err(NvidiaCause::RimNotPinned(rim.digest()).into()),
            });
        retain_accepted(CheckId::NvidiaRimDigest, results, checks)
    }

    fn in_time(
        &self,
        rims: Vec<Arc<VerifiedRim>>,
        checks: &mut Checks,
    ) -> Result<Vec<Arc<VerifiedRim>>, Stopped> {
        if self.policy.rim_signer_dates == SignerDates::Ignored {
            checks.not_required(CheckId::NvidiaRimSignerDates, Why::NotInPolicy);
            return Ok(rims);
        }
        let results = rims
            .into_iter()
            .map(|rim| match rim.check_signer_dates(self.now) {
                Ok(()) => Ok(rim),
                Err(error) => Err(NvidiaCause::Rim(error).into()),
            });
        retain_accepted(CheckId::NvidiaRimSignerDates, results, checks)
    }

    fn not_revoked(
        &self,
        rims: Vec<Arc<VerifiedRim>>,
        checks: &mut Checks,
    ) -> Result<Vec<AcceptedManifest>, Stopped> {
        const CHECK: CheckId = CheckId::NvidiaRimOcsp;
        let mut usable = Vec::new();
        let (mut reason, mut open, mut unasked) = (None, false, false);
        for rim in rims {
            let end = match self.policy.rim_signer_dates {
                SignerDates::Enforced => Some(rim.valid_until()),
                SignerDates::Ignored => None,
            };
            let signer = Revocable::from_signer_chain(rim.signer_chain());
            let answered =
                match revocation_status(signer, self.answers, self.policy.rim_ocsp, self.now) {
                    Revocation::Good(until) => Some(until),
                    Revocation::Open(until) => {
                        open = true;
                        until
                    }
                    Revocation::Unasked => {
                        unasked = true;
                        None
                    }
                    Revocation::Bad(cause) | Revocation::Missing(cause) => {
                        reason = reason.or(Some(cause));
                        continue;
                    }
                    Revocation::Nothing => continue,
                };
            let until = end.into_iter().chain(answered).min();
            usable.push(AcceptedManifest { rim, until });
        }
        match (usable.is_empty(), reason) {
            (true, Some(cause)) => checks.fail(CHECK, cause),
            (true, None) => checks.not_evaluated(CHECK, Why::NoCollateral),
            (false, _) if unasked => checks.not_required(CHECK, Why::NotInPolicy),
            (false, _) if open => checks.not_required(CHECK, Why::NoCollateral),
            (false, _) => checks.pass(CHECK),
        }
        match usable.is_empty() {
            true => Err(Stopped(CHECK)),
            false => Ok(usable),
        }
    }
}

/// Passes if some are left; otherwise fails for the first one's reason, and the checks that would
/// have followed are missed.
fn retain_accepted(
    check: CheckId,
    results: impl Iterator<Item = Result<Arc<VerifiedRim>, Cause>>,
    checks: &mut Checks,
) -> Result<Vec<Arc<VerifiedRim>>, Stopped> {
    let mut accepted = Vec::new();
    let mut reason = None;
    for rim in results {
        match rim {
            Ok(rim) => accepted.push(rim),
            Err(cause) => reason = reason.or(Some(cause)),
        }
    }
    match reason {
        Some(cause) if accepted.is_empty() => checks.fail(check, cause),
        _ => checks.pass(check),
    }
    if accepted.is_empty() {
        let after = CHECKS.iter().skip_while(|it| **it != check).skip(1);
        for later in after.copied() {
            checks.not_evaluated(later, Why::Stopped { at: check });
        }
        return Err(Stopped(check));
    }
    Ok(accepted)
}
