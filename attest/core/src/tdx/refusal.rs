//! From the verification library's words to the check that failed.
//!
//! dcap-qvl stops at its first failure and says what it was in a sentence. Its order is fixed, so a
//! failure at one stage also says that the stages before it passed and that those after it were
//! never reached. The sentences are those of version 0.7.1; a test provokes or lists each of them,
//! and a sentence that is not known becomes a failure without a more precise name, never a pass.

use super::chains::{self, ChainError};
use super::library::Question;
use crate::verdict::{Cause, Checks, Why, id};

/// What the library does, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    TcbInfo,
    QeIdentitySignature,
    PckChain,
    QeReportSignature,
    AttestationKey,
    QeIdentity,
    QuoteSignature,
    TcbLevel,
    ModuleIdentity,
    Revoked,
    TdAttributes,
}

/// The checks the library makes, each with the stage after which it is known to have passed.
const CHECKS: [(Stage, &str); 10] = [
    (Stage::PckChain, id::TDX_CRL),
    (Stage::TcbInfo, id::TDX_TCB_INFO_SIGNATURE),
    (Stage::QeIdentitySignature, id::TDX_QE_IDENTITY_SIGNATURE),
    (Stage::PckChain, id::TDX_PCK_CHAIN),
    (Stage::QeReportSignature, id::TDX_QE_REPORT_SIGNATURE),
    (Stage::AttestationKey, id::TDX_QE_ATTESTATION_KEY),
    (Stage::QeIdentity, id::TDX_QE_IDENTITY),
    (Stage::QuoteSignature, id::TDX_QUOTE_SIGNATURE),
    (Stage::TcbLevel, id::TDX_TCB_LEVEL),
    (Stage::ModuleIdentity, id::TDX_MODULE_IDENTITY),
];

/// The library's refusal, named.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    reached: Stage,
    check: &'static str,
    cause: Cause,
}

impl Refusal {
    pub(super) const fn at(reached: Stage, check: &'static str, cause: Cause) -> Self {
        Self {
            reached,
            check,
            cause,
        }
    }

    /// A refusal of which nothing is known: nothing counts as passed.
    pub(super) const fn unnamed(cause: Cause) -> Self {
        Self {
            reached: Stage::TcbInfo,
            check: id::TDX_QUOTE_SIGNATURE,
            cause,
        }
    }

    /// Whether hardware's signature over the TD's description was established before the refusal.
    pub(super) fn quote_is_signed(&self) -> bool {
        self.reached > Stage::QuoteSignature
    }

    pub(super) const fn check(&self) -> &'static str {
        self.check
    }

    /// Enters what the refusal says into the verdict's checks.
    pub(super) fn record(self, checks: &mut Checks) {
        let stopped = || Why::Stopped { at: self.check };
        let mut cause = Some(self.cause);
        for (known_after, check) in CHECKS {
            if check == self.check {
                if let Some(cause) = cause.take() {
                    checks.fail(check, cause);
                }
            } else if known_after < self.reached {
                checks.pass(check);
            } else {
                checks.missed(check, stopped());
            }
        }
        if let Some(cause) = cause.filter(|_| self.reached != Stage::TdAttributes) {
            checks.fail(self.check, cause);
        }
    }
}

/// Enters the passing of everything the library checks.
pub(super) fn record_all_passed(checks: &mut Checks) {
    for (_, check) in CHECKS {
        checks.pass(check);
    }
}

/// Enters that the library was not asked.
pub(super) fn record_none_evaluated(checks: &mut Checks, why: &Why) {
    for (_, check) in CHECKS {
        checks.missed(check, why.clone());
    }
}

type MakeCause = fn(String) -> Cause;

/// Sentence, stage, check, cause. The first that occurs in the library's message counts.
const SENTENCES: &[(&str, Stage, &str, MakeCause)] = {
    use Stage::*;
    const CHAIN: MakeCause = Cause::CertificateChain;
    const SIGNATURE: MakeCause = |_| Cause::Signature;
    const TCB_INFO: MakeCause = |_| Cause::CollateralMalformed("TCB info");
    const QE_ID: MakeCause = |_| Cause::CollateralMalformed("QE identity");
    &[
        // Revocation lists.
        (
            "Failed to parse root CA CRL",
            TcbInfo,
            id::TDX_CRL,
            Cause::RevocationList,
        ),
        (
            "Failed to parse PCK CRL",
            TcbInfo,
            id::TDX_CRL,
            Cause::RevocationList,
        ),
        // TCB info.
        (
            "Failed to decode TcbInfo",
            TcbInfo,
            id::TDX_TCB_INFO_SIGNATURE,
            TCB_INFO,
        ),
        (
            "too short for TCB Info",
            TcbInfo,
            id::TDX_TCB_INFO_SIGNATURE,
            CHAIN,
        ),
        (
            "Failed to parse TCB Info leaf",
            TcbInfo,
            id::TDX_TCB_INFO_SIGNATURE,
            CHAIN,
        ),
        (
            "TCB Info signer must be",
            TcbInfo,
            id::TDX_TCB_INFO_SIGNATURE,
            CHAIN,
        ),
        (
            "Signature is invalid for tcb_info",
            TcbInfo,
            id::TDX_TCB_INFO_SIGNATURE,
            SIGNATURE,
        ),
        // QE identity.
        (
            "Failed to decode QeIdentity",
            QeIdentitySignature,
            id::TDX_QE_IDENTITY_SIGNATURE,
            QE_ID,
        ),
        (
            "too short for QE Identity",
            QeIdentitySignature,
            id::TDX_QE_IDENTITY_SIGNATURE,
            CHAIN,
        ),
        (
            "Failed to parse QE Identity leaf",
            QeIdentitySignature,
            id::TDX_QE_IDENTITY_SIGNATURE,
            CHAIN,
        ),
        (
            "QE Identity signer must be",
            QeIdentitySignature,
            id::TDX_QE_IDENTITY_SIGNATURE,
            CHAIN,
        ),
        (
            "Signature is invalid for qe_identity",
            QeIdentitySignature,
            id::TDX_QE_IDENTITY_SIGNATURE,
            SIGNATURE,
        ),
        // Said between QE identity's signature and the PCK chain.
        (
            "Unsupported QE Identity id/version",
            PckChain,
            id::TDX_QE_IDENTITY,
            Cause::QeIdentity,
        ),
        // The platform's certificate.
        (
            "Unsupported DCAP PCK cert format",
            PckChain,
            id::TDX_PCK_CHAIN,
            CHAIN,
        ),
        (
            "Failed to extract PCK certificates",
            PckChain,
            id::TDX_PCK_CHAIN,
            CHAIN,
        ),
        (
            "Certificate chain is too short in quote",
            PckChain,
            id::TDX_PCK_CHAIN,
            CHAIN,
        ),
        (
            "Failed to parse PCK certificate",
            PckChain,
            id::TDX_PCK_CHAIN,
            CHAIN,
        ),
        ("Intel extension", PckChain, id::TDX_PCK_CHAIN, CHAIN),
        ("Failed to find Fmspc", PckChain, id::TDX_PCK_CHAIN, CHAIN),
        ("Fmspc length mismatch", PckChain, id::TDX_PCK_CHAIN, CHAIN),
        ("CpuSvn length mismatch", PckChain, id::TDX_PCK_CHAIN, CHAIN),
        ("PceSvn", PckChain, id::TDX_PCK_CHAIN, CHAIN),
        // The quoting enclave.
        (
            "Signature is invalid for qe_report",
            QeReportSignature,
            id::TDX_QE_REPORT_SIGNATURE,
            SIGNATURE,
        ),
        (
            "Invalid QE auth data length",
            AttestationKey,
            id::TDX_QE_ATTESTATION_KEY,
            |_| Cause::AttestationKey,
        ),
        (
            "QE report hash mismatch",
            AttestationKey,
            id::TDX_QE_ATTESTATION_KEY,
            |_| Cause::AttestationKey,
        ),
        (
            "QE MRSIGNER mismatch",
            QeIdentity,
            id::TDX_QE_IDENTITY,
            Cause::QeIdentity,
        ),
        (
            "QE report validation failed",
            QeIdentity,
            id::TDX_QE_IDENTITY,
            Cause::QeIdentity,
        ),
        (
            "QE ISVPRODID mismatch",
            QeIdentity,
            id::TDX_QE_IDENTITY,
            Cause::QeIdentity,
        ),
        (
            "QE MISCSELECT mismatch",
            QeIdentity,
            id::TDX_QE_IDENTITY,
            Cause::QeIdentity,
        ),
        (
            "QE ATTRIBUTES mismatch",
            QeIdentity,
            id::TDX_QE_IDENTITY,
            Cause::QeIdentity,
        ),
        (
            "QE ISVSVN",
            QeIdentity,
            id::TDX_QE_IDENTITY,
            Cause::QeIdentity,
        ),
        (
            "No TCB levels found in QE Identity",
            QeIdentity,
            id::TDX_QE_IDENTITY,
            Cause::QeIdentity,
        ),
        (
            "in QE Identity",
            QeIdentity,
            id::TDX_QE_IDENTITY,
            Cause::QeIdentity,
        ),
        // The quote itself.
        (
            "ISV enclave report signature is invalid",
            QuoteSignature,
            id::TDX_QUOTE_SIGNATURE,
            SIGNATURE,
        ),
        // TCB.
        (
            "Failed to decode TCB FMSPC",
            TcbLevel,
            id::TDX_TCB_LEVEL,
            Cause::CollateralForOtherPlatform,
        ),
        (
            "Fmspc mismatch",
            TcbLevel,
            id::TDX_TCB_LEVEL,
            Cause::CollateralForOtherPlatform,
        ),
        (
            "TDX quote with non-TDX TCB info",
            TcbLevel,
            id::TDX_TCB_LEVEL,
            Cause::CollateralForOtherPlatform,
        ),
        (
            "No matching TCB level found",
            TcbLevel,
            id::TDX_TCB_LEVEL,
            Cause::NoTcbLevel,
        ),
        (
            "component count mismatch",
            TcbLevel,
            id::TDX_TCB_LEVEL,
            Cause::NoTcbLevel,
        ),
        (
            "Unrecognized TCB status",
            TcbLevel,
            id::TDX_TCB_LEVEL,
            Cause::NoTcbLevel,
        ),
        (
            "TDX module TCB level check",
            TcbLevel,
            id::TDX_TCB_LEVEL,
            Cause::NoTcbLevel,
        ),
        (
            "Failed to evaluate the current TDX TCB",
            TcbLevel,
            id::TDX_TCB_LEVEL,
            Cause::NoTcbLevel,
        ),
        (
            "TDX module identity check",
            ModuleIdentity,
            id::TDX_MODULE_IDENTITY,
            Cause::TdxModule,
        ),
        (
            "TCB status is invalid: Revoked",
            Revoked,
            id::TDX_TCB_STATUS,
            |_| Cause::TcbStatus(super::TcbStatus::Revoked),
        ),
        // What the TD is. We ask these ourselves; the library's refusal only says that it came
        // this far.
        (
            "SEPT_VE_DISABLE",
            TdAttributes,
            id::TDX_TD_SEPT_VE_DISABLE,
            |_| Cause::SeptVeEnabled,
        ),
        (
            "Reserved bits in TD",
            TdAttributes,
            id::TDX_TD_ATTRIBUTES,
            Cause::Unclassified,
        ),
        (
            "TD migration is enabled",
            TdAttributes,
            id::TDX_TD_ATTRIBUTES,
            |_| Cause::Migratable,
        ),
        (
            "SERVTD_EXT is enabled",
            TdAttributes,
            id::TDX_TD_SERVICE_TD,
            |_| Cause::ServiceTd,
        ),
    ]
};

pub(super) fn classify(message: &str, question: &Question<'_>) -> Refusal {
    if let Some((_, reached, check, cause)) = SENTENCES
        .iter()
        .find(|(sentence, ..)| message.contains(sentence))
    {
        return Refusal::at(*reached, check, cause(shortened(message)));
    }
    // What is left are the sentences that do not say which chain they are about.
    if let Some((stage, check, error)) = chains::first_failure(question) {
        return match error {
            ChainError::Revoked => Refusal::at(stage, id::TDX_CRL, Cause::CertificateRevoked),
            ChainError::RevocationUnknown(detail) => {
                Refusal::at(stage, id::TDX_CRL, Cause::RevocationList(detail))
            }
            ChainError::Invalid(detail) => {
                Refusal::at(stage, check, Cause::CertificateChain(detail))
            }
        };
    }
    Refusal::unnamed(Cause::Unclassified(shortened(message)))
}

fn shortened(message: &str) -> String {
    message.chars().take(200).collect()
}

#[cfg(test)]
mod tests;
