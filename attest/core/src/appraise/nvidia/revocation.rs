//! Revocation of certificates by the OCSP responses at hand.
//!
//! A device makes its leaf itself, and no authority lists it; the root is pinned. The three
//! certificates between them are NVIDIA's to revoke, which is what NVIDIA's own verifier asks too. Of
//! a manifest's signer every certificate but the root is.

use std::ops::Range;

use crate::nvidia::{OcspError, OcspFreshness, check_ocsp};
use crate::policy::OcspPolicy;
use crate::time::UnixTime;
use crate::verdict::{Cause, CheckId, Checks, NvidiaCause, Why};

/// Some certificates of one chain, leaf first, each of which is followed by its issuer.
#[derive(Clone)]
pub(super) struct Revocable<'a> {
    chain: &'a [Vec<u8>],
    places: Range<usize>,
}

impl<'a> Revocable<'a> {
    /// Between a device's leaf and the root.
    pub(super) fn from_device_chain(chain: &'a [Vec<u8>]) -> Self {
        Self {
            chain,
            places: 1..chain.len().saturating_sub(1),
        }
    }

    /// Below the root of a manifest's signer.
    pub(super) fn from_signer_chain(chain: &'a [Vec<u8>]) -> Self {
        Self {
            chain,
            places: 0..chain.len().saturating_sub(1),
        }
    }
}

/// What the answers at hand come to.
pub(super) enum Revocation {
    /// The policy does not ask.
    Unasked,
    /// Every certificate is good until then.
    Good(UnixTime),
    /// One is not.
    Bad(Cause),
    /// Some have no answer, and need one.
    Missing(Cause),
    /// None has an answer, and they need one.
    Nothing,
    /// Some have no answer, and need none; those that have one are good until then.
    Open(Option<UnixTime>),
}

/// Enters the check of a device's chain. Gives the first second at which an answer that was relied
/// on is not good any more.
pub(super) fn appraise(
    chain: &[Vec<u8>],
    answers: &[Vec<u8>],
    policy: OcspPolicy,
    now: UnixTime,
    checks: &mut Checks,
) -> Option<UnixTime> {
    match revocation_status(Revocable::from_device_chain(chain), answers, policy, now) {
        Revocation::Unasked => checks.not_required(CheckId::NvidiaOcsp, Why::NotInPolicy),
        Revocation::Good(until) => {
            checks.pass(CheckId::NvidiaOcsp);
            return Some(until);
        }
        Revocation::Bad(cause) | Revocation::Missing(cause) => {
            checks.fail(CheckId::NvidiaOcsp, cause);
        }
        Revocation::Nothing => checks.not_evaluated(CheckId::NvidiaOcsp, Why::NoCollateral),
        Revocation::Open(until) => {
            checks.not_required(CheckId::NvidiaOcsp, Why::NoCollateral);
            return until;
        }
    }
    None
}

/// What the answers say of these certificates.
pub(super) fn revocation_status(
    revocable: Revocable<'_>,
    answers: &[Vec<u8>],
    policy: OcspPolicy,
    now: UnixTime,
) -> Revocation {
    let (required, max_age) = match policy {
        OcspPolicy::Off => return Revocation::Unasked,
        OcspPolicy::Required(max_age) => (true, max_age),
        OcspPolicy::Optional(max_age) => (false, max_age),
    };
    let mut until: Option<UnixTime> = None;
    let mut unanswered = None;
    for place in revocable.places.clone() {
        let freshness = OcspFreshness::MaxAge(max_age);
        match about(revocable.chain, place, answers, freshness, now) {
            Answer::Good(good) => {
                until = Some(until.map_or(good, |until| until.min(good)));
            }
            Answer::Bad(cause) => return Revocation::Bad(cause),
            Answer::None => unanswered = unanswered.or(Some(place)),
        }
    }
    match (unanswered, until) {
        (None, Some(until)) => Revocation::Good(until),
        (Some(place), _) if required && !answers.is_empty() => {
            Revocation::Missing(NvidiaCause::NoOcsp { place }.into())
        }
        _ if required => Revocation::Nothing,
        (_, until) => Revocation::Open(until),
    }
}

enum Answer {
    /// Good until then.
    Good(UnixTime),
    Bad(Cause),
    None,
}

/// What the answers say about the certificate at `place`. A revocation outweighs whatever else is
/// said; what the issuer did not authorize, or what is about others, is no answer.
fn about(
    chain: &[Vec<u8>],
    place: usize,
    answers: &[Vec<u8>],
    freshness: OcspFreshness<'_>,
    now: UnixTime,
) -> Answer {
    let (Some(certificate), Some(issuer)) = (chain.get(place), chain.get(place + 1)) else {
        return Answer::None;
    };
    let mut found = Answer::None;
    for answer in answers {
        match check_ocsp(answer, certificate, issuer, freshness, now) {
            Ok(good) => {
                let OcspFreshness::MaxAge(max_age) = freshness else {
                    continue;
                };
                let until = good.this_update.plus(max_age);
                found = Answer::Good(good.next_update.map_or(until, |next| next.min(until)));
            }
            Err(error @ (OcspError::Revoked { .. } | OcspError::OnHold { .. })) => {
                return Answer::Bad(NvidiaCause::Ocsp { place, error }.into());
            }
            Err(
                error @ (OcspError::Unknown
                | OcspError::Stale { .. }
                | OcspError::NotYetValid(_)
                | OcspError::Nonce),
            ) => {
                if matches!(found, Answer::None) {
                    found = Answer::Bad(NvidiaCause::Ocsp { place, error }.into());
                }
            }
            Err(_) => {}
        }
    }
    found
}
