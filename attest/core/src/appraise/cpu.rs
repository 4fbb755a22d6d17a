//! CPU evidence of any kind: verified, then appraised.

use super::Appraiser;
use super::tdx as appraise_tdx;
use crate::collateral::Collateral;
use crate::evidence::{UnverifiedEvidence, VerifiedEvidence};
use crate::tdx::{Collected, Standing, TdxFacts};
use crate::verdict::{Cause, Checks, id};

/// What came of the CPU's evidence.
#[derive(Default)]
pub(super) struct CpuOutcome {
    pub(super) facts: Option<TdxFacts>,
    /// Present if the evidence is genuine, wanted or not.
    pub(super) verified: Option<VerifiedEvidence>,
}

pub(super) fn judge(
    appraiser: &Appraiser<'_>,
    evidence: UnverifiedEvidence<'_>,
    collateral: Option<&Collateral>,
    checks: &mut Checks,
) -> CpuOutcome {
    match evidence {
        UnverifiedEvidence::Tdx { quote } => tdx(appraiser, quote, collateral, checks),
        UnverifiedEvidence::SevSnp { .. } => {
            checks.fail(id::SNP_REPORT, Cause::UnsupportedEvidence("AMD SEV-SNP"));
            CpuOutcome::default()
        }
    }
}

fn tdx(
    appraiser: &Appraiser<'_>,
    quote: &[u8],
    collateral: Option<&Collateral>,
    checks: &mut Checks,
) -> CpuOutcome {
    let collected = Collected {
        collateral: collateral.and_then(|collateral| collateral.tdx.as_ref()),
        now: appraiser.now,
    };
    let (examination, verified) =
        VerifiedEvidence::of_tdx(quote, appraiser.roots, &collected, checks);
    appraise_tdx::appraise(
        examination.facts.as_ref(),
        &examination.standing,
        &appraiser.policy.tdx,
        checks,
    );
    debug_assert_eq!(
        verified.is_some(),
        matches!(examination.standing, Standing::Genuine { .. })
    );
    CpuOutcome {
        facts: examination.facts,
        verified,
    }
}
