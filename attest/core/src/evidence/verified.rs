//! Evidence that hardware vouched for. The type lives here alone with the steps that make it.

use super::EndorsementCache;
use crate::roots::RootOrigin;
use crate::snp::{self, SnpFacts};
use crate::tdx::{self, TdxFacts};
use crate::time::UnixTime;

/// Evidence of a CPU whose signatures lead to a root, by collateral valid at the time of
/// verification.
///
/// It is a photograph: it says when it stops being true ([`VerifiedEvidence::valid_until`]). It
/// does not say that the image is wanted, the TCB recent, or the guest not debuggable.
///
/// No other code can make one:
///
/// ```compile_fail
/// fn forge(facts: attest_core::tdx::TdxFacts) -> attest_core::VerifiedEvidence {
///     attest_core::VerifiedEvidence { facts }
/// }
/// ```
///
/// ```compile_fail
/// fn forge() -> attest_core::VerifiedEvidence {
///     Default::default()
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct VerifiedEvidence {
    guest: Guest,
    valid_until: UnixTime,
    roots: RootOrigin,
}

#[derive(Debug, PartialEq, Eq)]
enum Guest {
    Tdx(Box<TdxFacts>),
    Snp(Box<SnpFacts>),
}

impl VerifiedEvidence {
    /// Verifies a TDX quote. The result is returned in any case, the proof only if every step
    /// holds.
    pub(crate) fn from_tdx(
        quote: &[u8],
        inputs: &tdx::Inputs<'_>,
        cache: &mut EndorsementCache,
    ) -> (tdx::Verification, Option<Self>) {
        let verification = tdx::verify(quote, inputs, &mut cache.tdx);
        let proof = match (&verification.result, &verification.facts) {
            (Ok(verified), Some(facts)) => Some(Self {
                guest: Guest::Tdx(Box::new(facts.clone())),
                valid_until: verified.valid_until,
                roots: inputs.roots.origin(),
            }),
            _ => None,
        };
        (verification, proof)
    }

    /// Verifies an SNP report in the same way.
    pub(crate) fn from_snp(
        report: &[u8],
        inputs: &snp::Inputs<'_>,
        cache: &mut EndorsementCache,
    ) -> (snp::Verification, Option<Self>) {
        let verification = snp::verify(report, inputs, &mut cache.veks);
        let proof = match (&verification.result, &verification.facts) {
            (Ok(comparisons), Some(facts)) if comparisons.all_hold() => Some(Self {
                guest: Guest::Snp(Box::new(facts.clone())),
                valid_until: comparisons.valid_until,
                roots: inputs.roots.origin(),
            }),
            _ => None,
        };
        (verification, proof)
    }

    /// The same, true no longer than `limit`: until what else was relied on ends.
    pub(crate) fn until(self, limit: UnixTime) -> Self {
        Self {
            valid_until: self.valid_until.min(limit),
            ..self
        }
    }

    /// What Intel hardware vouched for, if it was Intel hardware.
    pub fn tdx(&self) -> Option<&TdxFacts> {
        match &self.guest {
            Guest::Tdx(facts) => Some(facts),
            Guest::Snp(_) => None,
        }
    }

    /// What AMD hardware vouched for, if it was AMD hardware.
    pub fn snp(&self) -> Option<&SnpFacts> {
        match &self.guest {
            Guest::Snp(facts) => Some(facts),
            Guest::Tdx(_) => None,
        }
    }

    /// The last second at which everything this was verified by is valid.
    pub fn valid_until(&self) -> UnixTime {
        self.valid_until
    }

    /// Whether the root was the vendor's or supplied.
    pub fn root_origin(&self) -> RootOrigin {
        self.roots
    }
}
