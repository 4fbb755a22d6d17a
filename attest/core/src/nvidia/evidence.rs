//! A device's evidence as a report carries it: what it is, its measurement report, its certificates.

use serde_json::json;

use super::MAX_CHAIN_PEM_LEN;
use super::spdm::MAX_LEN;
use crate::aci::DeviceEvidence;
use crate::encoding::{EncodingError, parse_base64, to_base64};

/// What a device is claimed to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// `nvidia_gpu`.
    Gpu,
    /// `nvidia_switch`.
    Switch,
}

impl DeviceKind {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gpu => "nvidia_gpu",
            Self::Switch => "nvidia_switch",
        }
    }
}

/// Evidence of one device, as bytes. Nothing about it is known.
///
/// ```
/// use attest_core::nvidia::{DeviceKind, UnverifiedDevice};
/// let device = UnverifiedDevice {
///     kind: DeviceKind::Gpu,
///     evidence: vec![0x11],
///     certificate_chain: b"-----BEGIN CERTIFICATE-----".to_vec(),
/// };
/// assert_eq!(UnverifiedDevice::from_evidence(&device.to_evidence()), Ok(device));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedDevice {
    /// GPU or switch.
    pub kind: DeviceKind,
    /// The SPDM request and the device's signed answer.
    pub evidence: Vec<u8>,
    /// The device's certificates, PEM, leaf first.
    pub certificate_chain: Vec<u8>,
}

/// Why an entry of a report's `devices` is not a device's evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceEvidenceError {
    /// A type of device that this verifier does not know.
    #[error("the device is of no known type")]
    Type,
    /// A member is absent or not a string.
    #[error("the device has no text {0}")]
    Missing(&'static str),
    /// A member is not canonical base64, or too long.
    #[error("the device's {field}: {error}")]
    Base64 {
        /// Which member.
        field: &'static str,
        /// What is wrong with it.
        error: EncodingError,
    },
}

impl UnverifiedDevice {
    /// Reads `{"type":"nvidia_gpu","evidence_b64":…,"certificate_chain_b64":…}`.
    pub fn from_evidence(device: &DeviceEvidence) -> Result<Self, DeviceEvidenceError> {
        let text = |field| {
            let member = device.value().get(field).and_then(|value| value.as_str());
            member.ok_or(DeviceEvidenceError::Missing(field))
        };
        let bytes = |field, max_len| {
            parse_base64(text(field)?, max_len)
                .map_err(|error| DeviceEvidenceError::Base64 { field, error })
        };
        let kind = match text("type")? {
            "nvidia_gpu" => DeviceKind::Gpu,
            "nvidia_switch" => DeviceKind::Switch,
            _ => return Err(DeviceEvidenceError::Type),
        };
        Ok(Self {
            kind,
            evidence: bytes("evidence_b64", MAX_LEN)?,
            certificate_chain: bytes("certificate_chain_b64", MAX_CHAIN_PEM_LEN)?,
        })
    }

    /// The form that [`UnverifiedDevice::from_evidence`] reads.
    pub fn to_evidence(&self) -> DeviceEvidence {
        let value = json!({
            "type": self.kind.as_str(),
            "evidence_b64": to_base64(&self.evidence),
            "certificate_chain_b64": to_base64(&self.certificate_chain),
        });
        DeviceEvidence::new(value).expect("an object of three short texts")
    }
}
