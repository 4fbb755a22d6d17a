//! The checks of an SNP report's genuineness, entered from what verification returned.

use super::super::status::VerificationStatus;
use crate::snp::{Comparisons, HclError, SnpError, Verification};
use crate::verdict::{Cause, CheckId, Checks, SnpCause, Why};

/// The checks that need the certificates.
const AFTER_CERTIFICATES: [CheckId; 6] = [
    CheckId::SnpChain,
    CheckId::SnpProduct,
    CheckId::SnpVekKind,
    CheckId::SnpVekHwid,
    CheckId::SnpVekTcb,
    CheckId::SnpReportSignature,
];

/// Enters every check that was made or would have been.
pub(in super::super) fn enter(
    verification: &Verification,
    checks: &mut Checks,
) -> VerificationStatus {
    if let Some(facts) = &verification.facts {
        checks.pass(CheckId::SnpReportFormat);
        match facts.hcl_claims {
            Some(_) => checks.pass(CheckId::SnpHclClaims),
            None => checks.not_required(CheckId::SnpHclClaims, Why::Absent),
        }
    }
    match &verification.result {
        Ok(comparisons) => compared(comparisons, checks),
        Err(error) => VerificationStatus::Unproven(stopped(error, checks)),
    }
}

/// Nothing could be compared. Gives the reason why the checks after the failed one were not made.
fn stopped(error: &SnpError, checks: &mut Checks) -> Why {
    let [chain, after_chain @ ..] = AFTER_CERTIFICATES;
    let (at, cause) = match error.clone() {
        SnpError::Format(error) => (CheckId::SnpReportFormat, SnpCause::Format(error).into()),
        SnpError::Hcl(error @ HclError::Claims) => {
            checks.pass(CheckId::SnpReportFormat);
            (CheckId::SnpHclClaims, SnpCause::Hcl(error).into())
        }
        SnpError::Hcl(error) => (CheckId::SnpReportFormat, SnpCause::Hcl(error).into()),
        SnpError::NoCertificates => {
            checks.not_evaluated(CheckId::SnpCertificates, Why::NoCollateral);
            return not_evaluated(&AFTER_CERTIFICATES, Why::NoCollateral, checks);
        }
        SnpError::Certificates(error) => {
            let cause = SnpCause::Certificates(error);
            (CheckId::SnpCertificates, cause.into())
        }
        SnpError::EndorsementKey(error) => (chain, SnpCause::EndorsementKey(error).into()),
        SnpError::NoRoot(kind) => (chain, Cause::NoRoot(kind)),
        SnpError::Chain(error) => (chain, SnpCause::Chain(error).into()),
    };
    let why = Why::Stopped { at };
    if at == chain {
        checks.pass(CheckId::SnpCertificates);
        checks.fail(at, cause);
        return not_evaluated(&after_chain, why, checks);
    }
    checks.fail(at, cause);
    if at != CheckId::SnpCertificates {
        checks.not_evaluated(CheckId::SnpCertificates, why.clone());
    }
    not_evaluated(&AFTER_CERTIFICATES, why, checks)
}

fn not_evaluated(missed: &[CheckId], why: Why, checks: &mut Checks) -> Why {
    for check in missed {
        checks.not_evaluated(*check, why.clone());
    }
    why
}

fn compared(comparisons: &Comparisons, checks: &mut Checks) -> VerificationStatus {
    checks.pass(CheckId::SnpCertificates);
    checks.pass(CheckId::SnpChain);
    if let Some(revocation) = comparisons.revocation {
        let revocation = revocation.map(|_| ());
        checks.record(
            CheckId::SnpCrl,
            revocation.map_err(|error| SnpCause::Revocation(error).into()),
        );
    }
    for (check, result) in [
        (CheckId::SnpProduct, comparisons.product),
        (CheckId::SnpVekKind, comparisons.key_kind),
        (CheckId::SnpVekHwid, comparisons.hardware_id),
        (CheckId::SnpVekTcb, comparisons.tcb),
    ] {
        checks.record(
            check,
            result.map_err(|error| SnpCause::Endorsement(error).into()),
        );
    }
    let signature = comparisons.signature;
    checks.record(
        CheckId::SnpReportSignature,
        signature.map_err(|error| SnpCause::Signature(error).into()),
    );
    match (signature, checks.first_failure()) {
        (Ok(()), None) => VerificationStatus::Genuine {
            valid_until: comparisons.valid_until,
        },
        (Ok(()), Some(at)) => VerificationStatus::SignedOnly(Why::Stopped { at }),
        (Err(_), _) => VerificationStatus::Unproven(Why::Stopped {
            at: CheckId::SnpReportSignature,
        }),
    }
}
