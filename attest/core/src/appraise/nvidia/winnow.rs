//! Which of the authentic manifests the policy accepts, asked one question after the other: for the
//! right chip, pinned, its signer within dates, its signer not revoked. Each question is a check of
//! its own, which fails if it leaves no manifest.

use std::sync::Arc;

use super::revocation::{Revocable, Revocation, settle};
use crate::nvidia::{Architecture, VerifiedRim};
use crate::policy::{NvidiaPolicy, SignerDates};
use crate::time::UnixTime;
use crate::verdict::{Cause, CheckId, Checks, NvidiaCause, Why};

/// In the order of the questions.
pub(super) const CHECKS: [CheckId; 4] = [
    CheckId::NvidiaRimProduct,
    CheckId::NvidiaRimDigest,
    CheckId::NvidiaRimSignerDates,
    CheckId::NvidiaRimOcsp,
];

/// What the questions are asked by.
pub(super) struct Sieve<'a> {
    pub(super) policy: &'a NvidiaPolicy,
    /// OCSP responses.
    pub(super) answers: &'a [Vec<u8>],
    pub(super) now: UnixTime,
}

/// A manifest that the policy accepts.
pub(super) struct Usable {
    pub(super) rim: Arc<VerifiedRim>,
    /// Until when, if what was asked says so.
    pub(super) until: Option<UnixTime>,
}

/// The questions that were asked come to nothing at this check.
pub(super) struct Stopped(pub(super) CheckId);

impl Sieve<'_> {
    /// Enters the four checks for the manifests of one kind.
    pub(super) fn winnow(
        &self,
        rims: Vec<Arc<VerifiedRim>>,
        architecture: Architecture,
        checks: &mut Checks,
    ) -> Result<Vec<Usable>, Stopped> {
        let rims = self.of_chip(rims, architecture, checks)?;
        let rims = self.pinned(rims, checks)?;
        let rims = self.in_time(rims, checks)?;
        self.not_revoked(rims, checks)
    }

    fn of_chip(
        &self,
        rims: Vec<Arc<VerifiedRim>>,
        architecture: Architecture,
        checks: &mut Checks,
    ) -> Result<Vec<Arc<VerifiedRim>>, Stopped> {
        let judged = rims.into_iter().map(|rim| {
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
        keep(CheckId::NvidiaRimProduct, judged, checks)
    }

    fn pinned(
        &self,
        rims: Vec<Arc<VerifiedRim>>,
        checks: &mut Checks,
    ) -> Result<Vec<Arc<VerifiedRim>>, Stopped> {
        let Some(pinned) = &self.policy.rim_digests else {
            checks.not_asked(CheckId::NvidiaRimDigest, Why::NotInPolicy);
            return Ok(rims);
        };
        let judged = rims
            .into_iter()
            .map(|rim| match pinned.contains(&rim.digest()) {
                true => Ok(rim),
                false => Err(NvidiaCause::RimNotPinned(rim.digest()).into()),
            });
        keep(CheckId::NvidiaRimDigest, judged, checks)
    }

    fn in_time(
        &self,
        rims: Vec<Arc<VerifiedRim>>,
        checks: &mut Checks,
    ) -> Result<Vec<Arc<VerifiedRim>>, Stopped> {
        if self.policy.rim_signer_dates == SignerDates::Ignored {
            checks.not_asked(CheckId::NvidiaRimSignerDates, Why::NotInPolicy);
            return Ok(rims);
        }
        let judged = rims
            .into_iter()
            .map(|rim| match rim.check_signer_dates(self.now) {
                Ok(()) => Ok(rim),
                Err(error) => Err(NvidiaCause::Rim(error).into()),
            });
        keep(CheckId::NvidiaRimSignerDates, judged, checks)
    }

    fn not_revoked(
        &self,
        rims: Vec<Arc<VerifiedRim>>,
        checks: &mut Checks,
    ) -> Result<Vec<Usable>, Stopped> {
        const CHECK: CheckId = CheckId::NvidiaRimOcsp;
        let mut usable = Vec::new();
        let (mut reason, mut open, mut unasked) = (None, false, false);
        for rim in rims {
            let end = match self.policy.rim_signer_dates {
                SignerDates::Enforced => Some(rim.valid_until()),
                SignerDates::Ignored => None,
            };
            let signer = Revocable::of_signer(rim.signer_chain());
            let answered = match settle(signer, self.answers, self.policy.rim_ocsp, self.now) {
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
            usable.push(Usable { rim, until });
        }
        match (usable.is_empty(), reason) {
            (true, Some(cause)) => checks.fail(CHECK, cause),
            (true, None) => checks.missed(CHECK, Why::NoCollateral),
            (false, _) if unasked => checks.not_asked(CHECK, Why::NotInPolicy),
            (false, _) if open => checks.not_asked(CHECK, Why::NoCollateral),
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
fn keep(
    check: CheckId,
    judged: impl Iterator<Item = Result<Arc<VerifiedRim>, Cause>>,
    checks: &mut Checks,
) -> Result<Vec<Arc<VerifiedRim>>, Stopped> {
    let mut kept = Vec::new();
    let mut reason = None;
    for rim in judged {
        match rim {
            Ok(rim) => kept.push(rim),
            Err(cause) => reason = reason.or(Some(cause)),
        }
    }
    match reason {
        Some(cause) if kept.is_empty() => checks.fail(check, cause),
        _ => checks.pass(check),
    }
    if kept.is_empty() {
        let after = CHECKS.iter().skip_while(|it| **it != check).skip(1);
        for later in after.copied() {
            checks.missed(later, Why::Stopped { at: check });
        }
        return Err(Stopped(check));
    }
    Ok(kept)
}
