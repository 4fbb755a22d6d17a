//! The cache of what earlier verifications found authentic.
//!
//! A vendor's statement about a chip or a driver (a manifest, a device's certificates, an
//! endorsement key's) comes again, byte for byte, with every report of the same machine. That its
//! signatures lead to a root is a fact about bytes and stays true; that it is *valid* is a fact
//! about bytes and a time, and is checked at every use. So only the first is cached.
//!
//! A caller holds this value and passes it to [`crate::Appraiser`]'s methods that end in
//! `_with_cache`; verdicts are the same without it.

use crate::cache::Cache;
use crate::nvidia::{AuthenticDevice, VerifiedRim};
use crate::snp::AuthenticVek;
use crate::tdx::TdxCache;

/// Authentic endorsements, kept for the next appraisal.
///
/// ```
/// use attest_core::{Appraiser, AttestationPolicy, EndorsementCache, Roots, UnixTime};
/// let policy = AttestationPolicy::parse("name = \"any\"\n[snp]\nmeasurements = \"any\"\n").unwrap();
/// let appraiser = Appraiser {
///     roots: &Roots::vendor(),
///     policy: &policy,
///     collateral: None,
///     now: UnixTime::parse_rfc3339("2026-03-05T10:50:03Z").unwrap(),
/// };
/// let mut cache = EndorsementCache::default();
/// let cold = appraiser.snp_report_with_cache(b"not a report", &[], &mut cache);
/// let warm = appraiser.snp_report_with_cache(b"not a report", &[], &mut cache);
/// assert_eq!(cold.to_json(), warm.to_json());
/// assert!(cache.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct EndorsementCache {
    /// By their signatures; the dates of their signers are checked at every use.
    pub(crate) rims: Cache<VerifiedRim>,
    pub(crate) devices: Cache<AuthenticDevice>,
    pub(crate) veks: Cache<AuthenticVek>,
    pub(crate) tdx: TdxCache,
}

impl EndorsementCache {
    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.rims.len() + self.devices.len() + self.veks.len() + self.tdx.len()
    }

    /// Takes over what `other` has found authentic.
    pub fn merge(&mut self, other: Self) {
        self.rims.merge(other.rims);
        self.devices.merge(other.devices);
        self.veks.merge(other.veks);
        self.tdx.merge(other.tdx);
    }
}
