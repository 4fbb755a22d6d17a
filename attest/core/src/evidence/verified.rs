//! Evidence that hardware vouched for. The type lives here alone with the step that makes it.

use crate::roots::{RootOrigin, Roots};
use crate::tdx::{self, Collected, Standing, TdxFacts};
use crate::time::UnixTime;
use crate::verdict::Checks;

/// Evidence whose signatures lead to a root, by collateral valid at the time of verification.
///
/// It is a photograph: it says when it stops being true ([`VerifiedEvidence::valid_until`]). It
/// does not say that the image is wanted, the TCB recent, or the TD not debuggable.
///
/// Nobody else can make one:
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
    facts: TdxFacts,
    valid_until: UnixTime,
    roots: RootOrigin,
}

impl VerifiedEvidence {
    /// Verifies a TDX quote, entering every check it makes. The facts and the standing come back
    /// in any case, the proof only if every check of genuineness passed.
    pub(crate) fn of_tdx(
        quote: &[u8],
        roots: &Roots,
        collected: &Collected<'_>,
        checks: &mut Checks,
    ) -> (tdx::Examination, Option<Self>) {
        let examination = tdx::examine(quote, roots, collected, checks);
        let proof = match (&examination.standing, &examination.facts) {
            (Standing::Genuine { valid_until }, Some(facts)) => Some(Self {
                facts: facts.clone(),
                valid_until: *valid_until,
                roots: roots.origin(),
            }),
            _ => None,
        };
        (examination, proof)
    }

    /// What hardware vouched for.
    pub fn tdx(&self) -> &TdxFacts {
        &self.facts
    }

    /// The last second at which the collateral and the platform's certificate are valid.
    pub fn valid_until(&self) -> UnixTime {
        self.valid_until
    }

    /// Whether the root was the vendor's or supplied.
    pub fn root_origin(&self) -> RootOrigin {
        self.roots
    }
}
