//! CPU evidence of any kind: verified, then appraised.

use super::status::VerificationStatus;
use super::{Appraiser, snp as appraise_snp, tdx as appraise_tdx};
use crate::collateral::Collateral;
use crate::event_log::Sha384;
use crate::evidence::{EndorsementCache, UnverifiedEvidence, VerifiedEvidence};
use crate::snp::SnpFacts;
use crate::tdx::TdxFacts;
use crate::verdict::{Cause, CheckId, Checks, Why};
use crate::{snp, tdx};

/// The result for the CPU's evidence.
pub(super) struct CpuOutcome {
    pub(super) tdx: Option<TdxFacts>,
    pub(super) snp: Option<SnpFacts>,
    /// How much of them may be relied on.
    pub(super) status: VerificationStatus,
    /// Present if the evidence is genuine, wanted or not.
    pub(super) verified: Option<VerifiedEvidence>,
}

impl CpuOutcome {
    /// The 64 bytes that the guest had signed, genuine or not.
    pub(super) fn report_data(&self) -> Option<&[u8; 64]> {
        let tdx = self.tdx.as_ref().map(|facts| &facts.body.report_data);
        tdx.or(self.snp.as_ref().map(|facts| &facts.report.report_data))
    }

    /// The runtime registers, if hardware signed them; otherwise why there are none.
    pub(super) fn rtmrs(&self) -> Result<&[Sha384; 4], Why> {
        match (&self.tdx, &self.status) {
            (
                Some(facts),
                VerificationStatus::Genuine { .. } | VerificationStatus::SignedOnly(_),
            ) => Ok(&facts.body.rtmr),
            (_, VerificationStatus::Unproven(why)) => Err(why.clone()),
            (None, _) => Err(Why::Absent),
        }
    }
}

pub(super) fn appraise(
    appraiser: &Appraiser<'_>,
    evidence: UnverifiedEvidence<'_>,
    collateral: Option<&Collateral>,
    cache: &mut EndorsementCache,
    checks: &mut Checks,
) -> CpuOutcome {
    match evidence {
        UnverifiedEvidence::Tdx { quote } => tdx(appraiser, quote, collateral, cache, checks),
        UnverifiedEvidence::SevSnp { report, certs } => {
            snp(appraiser, report, certs, collateral, cache, checks)
        }
    }
}

fn tdx(
    appraiser: &Appraiser<'_>,
    quote: &[u8],
    collateral: Option<&Collateral>,
    cache: &mut EndorsementCache,
    checks: &mut Checks,
) -> CpuOutcome {
    let inputs = tdx::Inputs {
        roots: appraiser.roots,
        collateral: collateral.and_then(|collateral| collateral.tdx.as_ref()),
        now: appraiser.now,
    };
    let (verification, verified) = VerifiedEvidence::from_tdx(quote, &inputs, cache);
    let status = appraise_tdx::enter_genuine(&verification, checks);
    let policy = appraiser.policy.tdx.as_ref();
    wanted("Intel TDX", policy.is_some(), checks);
    if let Some(policy) = policy {
        let facts = verification.facts.as_ref();
        appraise_tdx::appraise(facts, &status, policy, appraiser.now, checks);
    }
    CpuOutcome {
        tdx: verification.facts,
        snp: None,
        status,
        verified,
    }
}

fn snp(
    appraiser: &Appraiser<'_>,
    report: &[u8],
    table: &[u8],
    collateral: Option<&Collateral>,
    cache: &mut EndorsementCache,
    checks: &mut Checks,
) -> CpuOutcome {
    let inputs = snp::Inputs {
        roots: appraiser.roots,
        table,
        collateral: collateral.and_then(|collateral| collateral.snp.as_ref()),
        now: appraiser.now,
    };
    let (verification, verified) = VerifiedEvidence::from_snp(report, &inputs, cache);
    let status = appraise_snp::enter_genuine(&verification, checks);
    let policy = appraiser.policy.snp.as_ref();
    wanted("AMD SEV-SNP", policy.is_some(), checks);
    if let Some(policy) = policy {
        appraise_snp::appraise(&verification, &status, policy, appraiser.now, checks);
    }
    CpuOutcome {
        tdx: None,
        snp: verification.facts,
        status,
        verified,
    }
}

/// A policy that says nothing about a kind of TEE does not accept it.
fn wanted(tee: &'static str, has_section: bool, checks: &mut Checks) {
    let accepted = if has_section {
        Ok(())
    } else {
        Err(Cause::TeeNotInPolicy(tee))
    };
    checks.record(CheckId::PolicyTee, accepted);
}
