//! The checks of a quote's genuineness, entered from what verification returned.

use super::super::status::VerificationStatus;
use crate::roots::RootKind;
use crate::tdx::{Step, TcbStatus, TdxError, Verification};
use crate::verdict::{Cause, CheckId, Checks, Why};

/// In the order in which a verdict lists them. That the platform is not revoked is part of the
/// policy's check of its status; only a failure is entered here.
const STEPS: [Step; 15] = [
    Step::QuoteFormat,
    Step::TeeType,
    Step::QeVendor,
    Step::CollateralFormat,
    Step::CollateralDates,
    Step::RevocationLists,
    Step::TcbInfoSignature,
    Step::QeIdentitySignature,
    Step::PckChain,
    Step::QeReportSignature,
    Step::AttestationKey,
    Step::QeIdentity,
    Step::QuoteSignature,
    Step::TcbLevel,
    Step::ModuleIdentity,
];

const fn check_of(step: Step) -> CheckId {
    match step {
        Step::QuoteFormat => CheckId::TdxQuoteFormat,
        Step::TeeType => CheckId::TdxTeeType,
        Step::QeVendor => CheckId::TdxQeVendor,
        Step::CollateralFormat => CheckId::TdxCollateralFormat,
        Step::CollateralDates => CheckId::TdxCollateralDates,
        Step::TcbInfoSignature => CheckId::TdxTcbInfoSignature,
        Step::QeIdentitySignature => CheckId::TdxQeIdentitySignature,
        Step::PckChain => CheckId::TdxPckChain,
        Step::RevocationLists => CheckId::TdxCrl,
        Step::QeReportSignature => CheckId::TdxQeReportSignature,
        Step::AttestationKey => CheckId::TdxQeAttestationKey,
        Step::QeIdentity => CheckId::TdxQeIdentity,
        Step::QuoteSignature => CheckId::TdxQuoteSignature,
        Step::TcbLevel => CheckId::TdxTcbLevel,
        Step::ModuleIdentity => CheckId::TdxModuleIdentity,
        Step::NotRevoked => CheckId::TdxTcbStatus,
    }
}

/// Enters one check for each step.
pub(in super::super) fn enter(
    verification: &Verification,
    checks: &mut Checks,
) -> VerificationStatus {
    let failure = match &verification.result {
        Ok(verified) => {
            STEPS.iter().for_each(|step| checks.pass(check_of(*step)));
            let valid_until = verified.valid_until;
            return VerificationStatus::Genuine { valid_until };
        }
        Err(failure) => failure,
    };
    let at = check_of(failure.step);
    let cause = cause_of(&failure.error);
    let why = match &cause {
        Ok(_) => Why::Stopped { at },
        Err(why) => why.clone(),
    };
    for step in STEPS {
        match &cause {
            _ if verification.reached.contains(&step) => checks.pass(check_of(step)),
            Ok(cause) if step == failure.step => checks.fail(at, cause.clone()),
            _ => checks.not_evaluated(check_of(step), why.clone()),
        }
    }
    if let (Step::NotRevoked, Ok(cause)) = (failure.step, cause) {
        checks.fail(at, cause);
    }
    match verification.quote_is_signed() {
        true => VerificationStatus::SignedOnly(why),
        false => VerificationStatus::Unproven(why),
    }
}

/// The cause of a failed check; otherwise why it could not be made.
fn cause_of(error: &TdxError) -> Result<Cause, Why> {
    Ok(match error.clone() {
        TdxError::Quote(error) => Cause::QuoteMalformed(error),
        TdxError::SgxQuote => Cause::UnsupportedEvidence("SGX enclave"),
        TdxError::QeVendor => Cause::QeVendor,
        TdxError::NoCollateral => return Err(Why::NoCollateral),
        TdxError::Collateral(error) => Cause::CollateralMalformed(error),
        TdxError::CollateralNotYetValid { part, not_before } => {
            Cause::CollateralNotYetValid { part, not_before }
        }
        TdxError::CollateralExpired { part, not_after } => {
            Cause::CollateralExpired { part, not_after }
        }
        TdxError::NoRoot => Cause::NoRoot(RootKind::Intel),
        TdxError::CertificateChain(error) => Cause::CertificateChain(error),
        TdxError::RevocationList(error) => Cause::RevocationList(error),
        TdxError::CertificateRevoked(role) => Cause::CertificateRevoked(role),
        TdxError::Signature => Cause::Signature,
        TdxError::AttestationKey => Cause::AttestationKey,
        TdxError::QeIdentity(error) => Cause::QeIdentity(error),
        TdxError::OtherPlatform(error) => Cause::CollateralForOtherPlatform(error),
        TdxError::NoTcbLevel(error) => Cause::NoTcbLevel(error),
        TdxError::TdxModule(error) => Cause::TdxModule(error),
        TdxError::PlatformRevoked => Cause::TcbStatus(TcbStatus::Revoked),
    })
}
