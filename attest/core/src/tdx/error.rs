//! The steps by which a quote is found genuine, in their order, and why one does not hold.

use super::chain::{ChainError, Role};
use super::collateral::CollateralPartError;
use super::crl::CrlError;
use super::levels::LevelError;
use super::qe_identity::QeIdentityError;
use super::quote::QuoteFormatError;
use super::tdx_module::TdxModuleError;
use crate::encoding::to_hex;
use crate::time::UnixTime;

/// One step. Each needs those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    QuoteFormat,
    TeeType,
    QeVendor,
    CollateralFormat,
    CollateralDates,
    TcbInfoSignature,
    QeIdentitySignature,
    PckChain,
    RevocationLists,
    QeReportSignature,
    AttestationKey,
    QeIdentity,
    QuoteSignature,
    TcbLevel,
    ModuleIdentity,
    /// That Intel has not revoked the platform. Other statuses are the policy's business.
    NotRevoked,
}

/// Why a quote is not genuine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TdxError {
    Quote(QuoteFormatError),
    SgxQuote,
    QeVendor,
    NoCollateral,
    Collateral(CollateralPartError),
    CollateralNotYetValid {
        part: &'static str,
        not_before: UnixTime,
    },
    CollateralExpired {
        part: &'static str,
        not_after: UnixTime,
    },
    NoRoot,
    CertificateChain(ChainError),
    RevocationList(CrlError),
    CertificateRevoked(Role),
    Signature,
    AttestationKey,
    QeIdentity(QeIdentityError),
    OtherPlatform(OtherPlatform),
    NoTcbLevel(LevelError),
    TdxModule(TdxModuleError),
    /// The platform's keys are compromised: it is not genuine, whatever a policy accepts.
    PlatformRevoked,
}

/// The step that did not hold, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) error: TdxError,
}

impl Failure {
    pub(super) const fn new(step: Step, error: TdxError) -> Self {
        Self { step, error }
    }
}

/// Which hardware the collateral is about, where the quote is of another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtherPlatform {
    /// Of another kind of TEE.
    #[error("TCB info is for {0}")]
    Tee(String),
    /// Of another family of platforms.
    #[error(
        "TCB info is for FMSPC {}, the platform's is {}",
        to_hex(about),
        to_hex(certified)
    )]
    Fmspc {
        /// In TCB info.
        about: [u8; 6],
        /// In the PCK certificate.
        certified: [u8; 6],
    },
    /// Of another provisioning certification enclave.
    #[error(
        "TCB info is for PCE id {}, the platform's is {}",
        to_hex(about),
        to_hex(certified)
    )]
    PceId {
        /// In TCB info.
        about: [u8; 2],
        /// In the PCK certificate.
        certified: [u8; 2],
    },
}
