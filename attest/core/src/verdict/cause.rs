//! Why a check failed: facts with data, for programs to compare and people to read.

use std::time::Duration;

use super::cause_nvidia::NvidiaCause;
use super::cause_snp::SnpCause;
use crate::aci::{KeysetError, ReportError};
use crate::digest::Sha256Digest;
use crate::event_log::{EventLogError, LookupError};
use crate::log::{LogProofError, Origin};
use crate::roots::RootKind;
use crate::tdx::{
    ChainError, CollateralPartError, CrlError, LevelError, OtherPlatform, QeIdentityError,
    QuoteFormatError, Role, TcbStatus, TdxModuleError,
};
use crate::time::UnixTime;

/// Why a check failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The report cannot be read.
    ReportMalformed(ReportError),
    /// The quote cannot be read.
    QuoteMalformed(QuoteFormatError),
    /// Evidence of a kind that this verifier does not appraise.
    UnsupportedEvidence(&'static str),
    /// The report's signature does not verify.
    ReportSignature(ReportError),
    /// The stated digest is not the keyset's.
    KeysetDigest {
        /// As stated in the report.
        claimed: Sha256Digest,
        /// As computed from the keyset.
        computed: Sha256Digest,
    },
    /// The quote does not carry the statement over this keyset and nonce.
    ReportData,
    /// The evidence binds this keyset, but no nonce.
    UnchallengedEvidence,
    /// Nothing shows that the evidence was made for our nonce.
    NonceNotShown,
    /// The keyset's time is over.
    KeysetExpired {
        /// When it ended.
        not_after: UnixTime,
    },
    /// The keyset would live longer than the policy allows.
    KeysetLifetime {
        /// What remains of it.
        remaining: Duration,
        /// The most the policy allows.
        limit: Duration,
    },
    /// The TLS peer's key is not one of the keyset's.
    ChannelKey(KeysetError),
    /// A document of the contract is not in the report.
    DocumentMissing(&'static str),
    /// A document is not the one bound to the hardware.
    DocumentDigest {
        /// `config` or `retention`.
        document: &'static str,
        /// Bound to the hardware.
        bound: Sha256Digest,
        /// Of the text shown.
        shown: Sha256Digest,
    },
    /// The keyset's subject is of our profile but cannot be read.
    SubjectMalformed,
    /// A digest that the policy does not list.
    DigestNotAccepted(Sha256Digest),
    /// The retention document has no mode that can be read.
    RetentionModeUnreadable,
    /// More is retained than the policy allows.
    RetentionMode {
        /// What the service retains.
        got: &'static str,
        /// The most the policy allows.
        limit: &'static str,
    },
    /// The retention policy is older than the oldest one accepted.
    RetentionEpoch {
        /// Of the policy shown.
        got: u64,
        /// The oldest accepted.
        floor: u64,
    },
    /// What is retained is retained longer than the policy allows.
    RetentionTtl {
        /// How long it is.
        got: std::time::Duration,
        /// The longest allowed.
        limit: std::time::Duration,
    },
    /// More is retained of some tenant than the policy allows, and it is not known of which.
    RetentionUnopened {
        /// Why the rules for the policy's tenant are not known.
        reason: crate::retention::Unopened,
        /// What is not within the policy.
        cause: Box<Cause>,
    },
    /// The retention policy is not signed by those who must have signed it.
    RetentionSignature(crate::retention::SignatureError),
    /// The signatures that came with the retention policy cannot be read.
    RetentionSignatureFile(crate::retention::SignatureFileError),
    /// The audit log's head does not stand, or does not tell of this epoch.
    Log(LogProofError),
    /// A head of a log that the policy does not list.
    LogOrigin(Origin),
    /// Fewer entries than the log had before.
    LogSize {
        /// How many there are.
        got: u64,
        /// The policy's floor.
        floor: u64,
    },
    /// The claimed provenance is not accepted.
    Provenance(&'static str),
    /// Bytes follow the quote that the policy does not allow there.
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// A part of the collateral cannot be read.
    CollateralMalformed(CollateralPartError),
    /// A part of the collateral is from the future.
    CollateralNotYetValid {
        /// Which part.
        part: &'static str,
        /// Valid from.
        not_before: UnixTime,
    },
    /// A part of the collateral has expired.
    CollateralExpired {
        /// Which part.
        part: &'static str,
        /// Valid until.
        not_after: UnixTime,
    },
    /// A revocation list is not usable: not signed by its authority, or not covering a certificate.
    RevocationList(CrlError),
    /// A certificate was revoked.
    CertificateRevoked(Role),
    /// A certificate chain does not lead to the root.
    CertificateChain(ChainError),
    /// A signature does not verify.
    Signature,
    /// The quoting enclave's report does not vouch for the attestation key.
    AttestationKey,
    /// The quoting enclave is not the one Intel describes.
    QeIdentity(QeIdentityError),
    /// The collateral is about other hardware.
    CollateralForOtherPlatform(OtherPlatform),
    /// No TCB level matches the platform.
    NoTcbLevel(LevelError),
    /// The TDX module is not one Intel describes.
    TdxModule(TdxModuleError),
    /// A TCB status that is never accepted or not by this policy.
    TcbStatus(TcbStatus),
    /// An advisory that the policy denies applies to the platform.
    AdvisoryDenied(String),
    /// An advisory has gone without its cure for longer than the policy allows.
    GraceOver {
        /// Which.
        advisory: String,
        /// When its grace ended.
        until: UnixTime,
    },
    /// Collateral that was issued longer ago than the policy allows.
    CollateralAge {
        /// When.
        issued: UnixTime,
        /// The most the policy allows.
        limit: Duration,
    },
    /// One of the 16 security versions under a TD is below the policy's floor.
    TeeTcbSvn {
        /// Which, from 0: 0 is the TDX module's, 1 its major version, 2 the SEAM loader's.
        component: usize,
        /// In the quote.
        got: u8,
        /// The policy's floor.
        floor: u8,
    },
    /// A security version below the policy's floor.
    SvnBelowFloor {
        /// As certified.
        got: u16,
        /// The policy's floor.
        floor: u16,
    },
    /// The quoting enclave is not Intel's, as the quote's header says itself.
    QeVendor,
    /// The report data is not what it was said to be.
    ReportDataOther(Box<[u8; 64]>),
    /// Older collateral than the policy allows.
    EvaluationDataNumber {
        /// Of the collateral.
        got: u32,
        /// The policy's floor.
        floor: u32,
    },
    /// A machine that the policy does not list.
    PlatformNotListed,
    /// The TD can be debugged: the TUD byte of its attributes is not zero.
    DebugTd {
        /// That byte.
        flags: u8,
    },
    /// The attribute SEPT_VE_DISABLE is off.
    SeptVeEnabled,
    /// Reserved attribute bits are set.
    ReservedAttributes {
        /// Those bits.
        bits: u64,
    },
    /// Extended features that no TD has, or that the policy does not allow.
    Xfam {
        /// Bits that are set in every TD, and not in this one.
        missing: u64,
        /// Bits that are set and not allowed.
        unknown: u64,
    },
    /// The TD may be migrated.
    Migratable,
    /// A service TD is bound to the TD.
    ServiceTd,
    /// A value that the policy does not list, in hexadecimal.
    NotAccepted(String),
    /// The policy has no section for this kind of TEE.
    TeeNotInPolicy(&'static str),
    /// No root was supplied that this evidence could lead to.
    NoRoot(RootKind),
    /// The measurements are not together those of any listed image.
    NoImage,
    /// About AMD SEV-SNP evidence.
    Snp(SnpCause),
    /// About NVIDIA devices.
    Nvidia(NvidiaCause),
    /// The event log proves nothing.
    EventLog(EventLogError),
    /// The event log does not answer what the policy asks.
    Event(LookupError),
    /// The firmware did not enforce signatures.
    SecureBootOff,
}

/// What kind of failure a cause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CauseKind {
    Malformed,
    Unsupported,
    Refused,
}

impl Cause {
    pub(crate) fn kind(&self) -> CauseKind {
        match self {
            Self::UnsupportedEvidence(_)
            | Self::ReportMalformed(
                ReportError::UnsupportedTee { .. } | ReportError::UnsupportedProfile { .. },
            ) => CauseKind::Unsupported,
            Self::QuoteMalformed(error) if error.is_unsupported() => CauseKind::Unsupported,
            Self::ReportMalformed(_) | Self::QuoteMalformed(_) => CauseKind::Malformed,
            Self::Snp(cause) => cause.kind(),
            Self::Nvidia(cause) => cause.kind(),
            _ => CauseKind::Refused,
        }
    }

    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ReportMalformed(_) => "report_malformed",
            Self::QuoteMalformed(_) => "quote_malformed",
            Self::UnsupportedEvidence(_) => "unsupported_evidence",
            Self::ReportSignature(_) => "report_signature",
            Self::KeysetDigest { .. } => "keyset_digest",
            Self::ReportData => "report_data",
            Self::UnchallengedEvidence => "unchallenged_evidence",
            Self::NonceNotShown => "nonce_not_shown",
            Self::KeysetExpired { .. } => "keyset_expired",
            Self::KeysetLifetime { .. } => "keyset_lifetime",
            Self::ChannelKey(_) => "channel_key",
            Self::DocumentMissing(_) => "document_missing",
            Self::DocumentDigest { .. } => "document_digest",
            Self::SubjectMalformed => "subject_malformed",
            Self::DigestNotAccepted(_) => "digest_not_accepted",
            Self::RetentionModeUnreadable => "retention_mode_unreadable",
            Self::RetentionMode { .. } => "retention_mode",
            Self::RetentionEpoch { .. } => "retention_epoch",
            Self::RetentionTtl { .. } => "retention_ttl",
            Self::RetentionUnopened { .. } => "retention_unopened",
            Self::RetentionSignature(_) => "retention_signature",
            Self::RetentionSignatureFile(_) => "retention_signature_file",
            Self::Log(_) => "log",
            Self::LogOrigin(_) => "log_origin",
            Self::LogSize { .. } => "log_size",
            Self::Provenance(_) => "provenance",
            Self::TrailingBytes { .. } => "trailing_bytes",
            Self::CollateralMalformed(_) => "collateral_malformed",
            Self::CollateralNotYetValid { .. } => "collateral_not_yet_valid",
            Self::CollateralExpired { .. } => "collateral_expired",
            Self::RevocationList(_) => "revocation_list",
            Self::CertificateRevoked(_) => "certificate_revoked",
            Self::CertificateChain(_) => "certificate_chain",
            Self::Signature => "signature",
            Self::AttestationKey => "attestation_key",
            Self::QeIdentity(_) => "qe_identity",
            Self::CollateralForOtherPlatform(_) => "collateral_for_other_platform",
            Self::NoTcbLevel(_) => "no_tcb_level",
            Self::TdxModule(_) => "tdx_module",
            Self::TcbStatus(_) => "tcb_status",
            Self::AdvisoryDenied(_) => "advisory_denied",
            Self::GraceOver { .. } => "grace_over",
            Self::CollateralAge { .. } => "collateral_age",
            Self::TeeTcbSvn { .. } => "tee_tcb_svn",
            Self::SvnBelowFloor { .. } => "svn_below_floor",
            Self::QeVendor => "qe_vendor",
            Self::ReportDataOther(_) => "report_data_other",
            Self::EvaluationDataNumber { .. } => "evaluation_data_number",
            Self::PlatformNotListed => "platform_not_listed",
            Self::DebugTd { .. } => "debug_td",
            Self::SeptVeEnabled => "sept_ve_enabled",
            Self::ReservedAttributes { .. } => "reserved_attributes",
            Self::Xfam { .. } => "xfam",
            Self::Migratable => "migratable",
            Self::ServiceTd => "service_td",
            Self::NotAccepted(_) => "not_accepted",
            Self::TeeNotInPolicy(_) => "tee_not_in_policy",
            Self::NoRoot(_) => "no_root",
            Self::NoImage => "no_image",
            Self::Snp(cause) => cause.code(),
            Self::Nvidia(cause) => cause.code(),
            Self::EventLog(_) => "event_log",
            Self::Event(_) => "event",
            Self::SecureBootOff => "secure_boot_off",
        }
    }
}

impl From<SnpCause> for Cause {
    fn from(cause: SnpCause) -> Self {
        Self::Snp(cause)
    }
}

impl From<NvidiaCause> for Cause {
    fn from(cause: NvidiaCause) -> Self {
        Self::Nvidia(cause)
    }
}
