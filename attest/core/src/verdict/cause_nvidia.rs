//! Why a check of NVIDIA devices failed.

use super::CauseKind;
use crate::digest::Sha256Digest;
use crate::nvidia::{
    Architecture, CompareError, DeviceChainError, DeviceEvidenceError, FirmwareIdError, OcspError,
    RimError, RimKind, SpdmFormatError,
};
use crate::quoted::QuotedOrNone;
use crate::x509::SignedObjectError;

/// Why a check of NVIDIA devices failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NvidiaCause {
    /// One device of several is the reason. Devices are counted from zero, as the evidence lists
    /// them.
    #[error("device {index}: {cause}")]
    Device {
        /// Which.
        index: usize,
        /// Why.
        cause: Box<super::Cause>,
    },
    /// The entry of the report is not a device's.
    #[error(transparent)]
    Entry(DeviceEvidenceError),
    /// More devices than any machine has.
    #[error("{0} devices are more than any machine has")]
    TooMany(usize),
    /// The measurement report cannot be read.
    #[error(transparent)]
    Format(SpdmFormatError),
    /// The device's certificates do not lead to NVIDIA's root.
    #[error(transparent)]
    Chain(DeviceChainError),
    /// The report's signature does not verify.
    #[error("the device's report: {0}")]
    Signature(SignedObjectError),
    /// A GPU among the switches or the other way about.
    #[error("a {} is presented as another kind of device", .0.as_str())]
    OtherKind(Architecture),
    /// The policy does not list this architecture.
    #[error("{} devices are not accepted", .0.as_str())]
    ArchitectureNotListed(Architecture),
    /// The firmware of report and certificate are not shown to be the same.
    #[error(transparent)]
    FirmwareId(FirmwareIdError),
    /// The evidence was made for another nonce.
    #[error("the device's evidence was not made for this report and nonce")]
    Nonce,
    /// The devices were asked with different nonces.
    #[error("the devices were asked with different nonces")]
    SeveralNonces,
    /// A revocation answer is not good.
    #[error("certificate {place} of the device's chain: {error}")]
    Ocsp {
        /// Which certificate, counted from the leaf, 0.
        place: usize,
        /// What the answer is.
        error: OcspError,
    },
    /// No answer is about this certificate.
    #[error("no OCSP response is about certificate {place} of the device's chain")]
    NoOcsp {
        /// Which certificate, counted from the leaf, 0.
        place: usize,
    },
    /// The device's version is not in the policy's list, or it names none.
    #[error("{} version {} is not in the policy's list", kind.as_str(), QuotedOrNone(version))]
    VersionNotListed {
        /// Driver or firmware.
        kind: RimKind,
        /// What the device names.
        version: Option<String>,
    },
    /// A manifest is not believed.
    #[error(transparent)]
    Rim(RimError),
    /// Manifests were given, and none is for this device's version.
    #[error("no {} manifest is for version {}", kind.as_str(), QuotedOrNone(version))]
    NoRim {
        /// Driver or firmware.
        kind: RimKind,
        /// What the device names.
        version: Option<String>,
    },
    /// The manifest is for another chip.
    #[error("the manifest is for {0}, which this device is not")]
    RimProduct(String),
    /// The manifest is authentic, and not one of those the policy pins.
    #[error("the manifest {0} is not in the policy's list")]
    RimNotPinned(Sha256Digest),
    /// The measurements are not the published ones.
    #[error(transparent)]
    Measurements(CompareError),
    /// The mode is not in the policy's list.
    #[error("confidential mode {0} is not accepted")]
    ModeNotListed(&'static str),
    /// The device reports no mode that is known.
    #[error("the device reports no confidential mode this version knows")]
    ModeUnknown,
    /// Not as many devices as the policy wants.
    #[error("{what}: {got}, the policy wants {wanted}")]
    Count {
        /// `GPUs` or `switches`.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many are wanted, in words.
        wanted: String,
    },
    /// One device twice.
    #[error("it is the same device as device {first}")]
    Repeated {
        /// The other place it stands at.
        first: usize,
    },
    /// A device that this one is linked to has presented no evidence.
    #[error("it is linked to device {0}, which presents no evidence")]
    LinkMissing(String),
    /// A device of a Protected PCIe node that does not say what it is linked to.
    #[error("it does not say which devices it is linked to")]
    NoLinks,
}

impl NvidiaCause {
    pub(super) fn kind(&self) -> CauseKind {
        match self {
            Self::Device { cause, .. } => cause.kind(),
            Self::Entry(DeviceEvidenceError::Type) => CauseKind::Unsupported,
            Self::Entry(_) | Self::TooMany(_) | Self::Format(_) => CauseKind::Malformed,
            _ => CauseKind::Refused,
        }
    }

    /// A stable word for programs; of one device's cause, that cause's.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Device { cause, .. } => cause.code(),
            Self::Entry(_) => "nvidia_entry",
            Self::TooMany(_) => "nvidia_too_many",
            Self::Format(_) => "nvidia_report_malformed",
            Self::Chain(_) => "nvidia_chain",
            Self::Signature(_) => "nvidia_signature",
            Self::OtherKind(_) => "nvidia_other_kind",
            Self::ArchitectureNotListed(_) => "nvidia_architecture_not_listed",
            Self::FirmwareId(_) => "nvidia_firmware_id",
            Self::Nonce => "nvidia_nonce",
            Self::SeveralNonces => "nvidia_several_nonces",
            Self::Ocsp { .. } => "nvidia_ocsp",
            Self::NoOcsp { .. } => "nvidia_no_ocsp",
            Self::VersionNotListed { .. } => "nvidia_version_not_listed",
            Self::Rim(_) => "nvidia_rim",
            Self::NoRim { .. } => "nvidia_no_rim",
            Self::RimProduct(_) => "nvidia_rim_product",
            Self::RimNotPinned(_) => "nvidia_rim_not_pinned",
            Self::Measurements(_) => "nvidia_measurements",
            Self::ModeNotListed(_) => "nvidia_mode_not_listed",
            Self::ModeUnknown => "nvidia_mode_unknown",
            Self::Count { .. } => "nvidia_count",
            Self::Repeated { .. } => "nvidia_repeated",
            Self::LinkMissing(_) => "nvidia_link_missing",
            Self::NoLinks => "nvidia_no_links",
        }
    }
}
