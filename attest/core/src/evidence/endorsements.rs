//! What was found authentic once and need not be taken apart again.
//!
//! A vendor's statement about a chip or a driver — a manifest, a device's certificates, an
//! endorsement key's — comes again, byte for byte, with every report of the same machine. That its
//! signatures lead to a root is a fact about bytes and stays true; that it is *valid* is a fact about
//! bytes and a time, and is asked anew whenever it is used. So only the first is kept here.
//!
//! An entry is found by the SHA-256 of everything its signatures were checked over, root included:
//! other bytes, or the same under another root, are another entry. Nothing gets in but through the
//! step that earns it, and what was refused is not kept. A caller holds this value and hands it to
//! [`crate::Appraiser`]'s methods that end in `_knowing`; verdicts are the same without it.

use std::collections::VecDeque;
use std::sync::Arc;

use ring::digest::{Context, SHA256};

use crate::nvidia::{AuthenticDevice, VerifiedRim};
use crate::snp::AuthenticVek;
use crate::tdx::{AuthenticCollateral, AuthenticPlatform};

/// Endorsements of each kind that are kept; the oldest goes first. Sixteen GPUs with their switches
/// and manifests, twice over.
const CAPACITY: usize = 64;

/// Authentic endorsements, kept for the next appraisal.
///
/// ```
/// use attest_core::{Appraiser, AttestationPolicy, Endorsements, Roots, UnixTime};
/// let policy = AttestationPolicy::parse("name = \"any\"\n[snp]\nmeasurements = \"any\"\n").unwrap();
/// let appraiser = Appraiser {
///     roots: &Roots::vendor(),
///     policy: &policy,
///     collateral: None,
///     now: UnixTime::parse_rfc3339("2026-03-05T10:50:03Z").unwrap(),
/// };
/// let mut known = Endorsements::default();
/// let cold = appraiser.snp_report_knowing(b"not a report", &[], &mut known);
/// let warm = appraiser.snp_report_knowing(b"not a report", &[], &mut known);
/// assert_eq!(cold.to_json(), warm.to_json());
/// assert!(known.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Endorsements {
    /// By their signatures; the dates of their signers are asked of each apart.
    pub(crate) rims: Kept<VerifiedRim>,
    pub(crate) devices: Kept<AuthenticDevice>,
    pub(crate) veks: Kept<AuthenticVek>,
    pub(crate) tdx_collateral: Kept<AuthenticCollateral>,
    pub(crate) tdx_platforms: Kept<AuthenticPlatform>,
}

impl Endorsements {
    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.rims.0.len()
            + self.devices.0.len()
            + self.veks.0.len()
            + self.tdx_collateral.0.len()
            + self.tdx_platforms.0.len()
    }

    /// Takes over what `other` has found authentic.
    pub fn absorb(&mut self, other: Self) {
        self.rims.absorb(other.rims);
        self.devices.absorb(other.devices);
        self.veks.absorb(other.veks);
        self.tdx_collateral.absorb(other.tdx_collateral);
        self.tdx_platforms.absorb(other.tdx_platforms);
    }
}

/// The exact bytes that signatures were checked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exactly([u8; 32]);

impl Exactly {
    /// Each part with its length before it, so that no two lists of parts are written alike.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }
}

/// Authentic ones of a kind.
#[derive(Debug)]
pub(crate) struct Kept<T>(VecDeque<(Exactly, Arc<T>)>);

impl<T> Kept<T> {
    pub(crate) fn get(&self, exactly: &Exactly) -> Option<&Arc<T>> {
        let found = self.0.iter().find(|(known, _)| known == exactly);
        found.map(|(_, kept)| kept)
    }

    pub(crate) fn put(&mut self, exactly: Exactly, authentic: Arc<T>) {
        if self.get(&exactly).is_some() {
            return;
        }
        if self.0.len() >= CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back((exactly, authentic));
    }

    fn absorb(&mut self, other: Self) {
        for (exactly, authentic) in other.0 {
            self.put(exactly, authentic);
        }
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_part_ends_makes_a_difference() {
        assert_ne!(Exactly::of(&[b"ab", b"c"]), Exactly::of(&[b"a", b"bc"]));
        assert_ne!(Exactly::of(&[b"a"]), Exactly::of(&[b"a", b""]));
        assert_eq!(Exactly::of(&[b"a", b"b"]), Exactly::of(&[b"a", b"b"]));
    }

    #[test]
    fn the_oldest_goes_first_and_nothing_grows_without_bound() {
        let mut kept = Kept::default();
        let key = |number: usize| Exactly::of(&[&number.to_be_bytes()]);
        for number in 0..CAPACITY + 1 {
            kept.put(key(number), Arc::new(number));
            kept.put(key(number), Arc::new(usize::MAX));
        }
        assert_eq!(kept.0.len(), CAPACITY);
        assert!(kept.get(&key(0)).is_none());
        assert_eq!(kept.get(&key(CAPACITY)).map(|it| **it), Some(CAPACITY));
    }
}
