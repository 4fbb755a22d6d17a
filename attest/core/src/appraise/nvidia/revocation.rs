//! Revocation of a device's certificates by the OCSP responses at hand.
//!
//! The device makes its leaf itself and nobody else knows it; the root is pinned. The three
//! certificates between them are NVIDIA's to revoke, which is what NVIDIA's own verifier asks too.

use std::ops::RangeInclusive;

use crate::nvidia::{OcspError, OcspFreshness, VerifiedDevice, check_ocsp};
use crate::policy::OcspPolicy;
use crate::time::UnixTime;
use crate::verdict::{Cause, Checks, NvidiaCause, Why, id};

const REVOCABLE: RangeInclusive<usize> = 1..=3;

/// Gives the first second at which an answer that was relied on is not good any more.
pub(super) fn judge(
    signer: &VerifiedDevice,
    answers: &[Vec<u8>],
    policy: OcspPolicy,
    now: UnixTime,
    checks: &mut Checks,
) -> Option<UnixTime> {
    let (required, max_age) = match policy {
        OcspPolicy::Off => {
            checks.not_asked(id::NVIDIA_OCSP, Why::NotInPolicy);
            return None;
        }
        OcspPolicy::Required(max_age) => (true, max_age),
        OcspPolicy::Optional(max_age) => (false, max_age),
    };
    let mut until: Option<UnixTime> = None;
    let mut unanswered = None;
    for place in REVOCABLE {
        let freshness = OcspFreshness::MaxAge(max_age);
        match about(signer, place, answers, freshness, now) {
            Answer::Good(good) => {
                until = Some(until.map_or(good, |until| until.min(good)));
            }
            Answer::Bad(cause) => {
                checks.fail(id::NVIDIA_OCSP, cause);
                return None;
            }
            Answer::None => unanswered = unanswered.or(Some(place)),
        }
    }
    match unanswered {
        None => checks.pass(id::NVIDIA_OCSP),
        Some(_) if required && answers.is_empty() => {
            checks.missed(id::NVIDIA_OCSP, Why::NoCollateral);
        }
        Some(place) if required => {
            checks.fail(id::NVIDIA_OCSP, NvidiaCause::NoOcsp { place }.into());
        }
        Some(_) => checks.not_asked(id::NVIDIA_OCSP, Why::NoCollateral),
    }
    until
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
    signer: &VerifiedDevice,
    place: usize,
    answers: &[Vec<u8>],
    freshness: OcspFreshness<'_>,
    now: UnixTime,
) -> Answer {
    let (Some(certificate), Some(issuer)) =
        (signer.chain().get(place), signer.chain().get(place + 1))
    else {
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
