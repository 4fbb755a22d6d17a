//! Everything read from one device's evidence.

use serde_json::{Map, Value, json};

use super::{
    Architecture, DeviceId, DeviceKind, FeatureFlag, OpaqueField, RimKind, SpdmEvidence,
    VerifiedDevice, VerifiedRim,
};
use crate::digest::Sha256Digest;
use crate::encoding::to_hex;
use crate::time::UnixTime;

/// Facts of one device. The report's own words stand first; the rest is there as far as
/// verification came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFacts {
    /// What it is presented as.
    pub kind: DeviceKind,
    /// The measurement report, where it can be read.
    pub evidence: Option<SpdmEvidence>,
    /// Who signed, once the certificates led to the root.
    pub identity: Option<DeviceIdentity>,
    /// The manifests whose values its measurements were found equal to.
    pub manifests: Vec<ManifestFacts>,
    /// How many measurements were equal to a manifest's.
    pub compared: usize,
    /// Indices of values not compared because the unit is off.
    pub skipped: Vec<u8>,
}

/// Who a device is, by NVIDIA's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceIdentity {
    /// The chip's family.
    pub architecture: Architecture,
    /// Serial number of the leaf's subject.
    pub serial_number: String,
    /// SHA-256 of the leaf.
    pub fingerprint: Sha256Digest,
    /// SHA-256 of the chip's public key.
    pub chip: Sha256Digest,
    /// The number by which other devices of the machine name this one.
    pub device_id: Option<DeviceId>,
    /// The firmware the key was derived for, where certified.
    pub firmware_id: Option<[u8; 48]>,
    /// The earliest end of the certificates.
    pub valid_until: UnixTime,
}

/// A manifest that was relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFacts {
    /// Driver or firmware.
    pub kind: RimKind,
    /// The version it is for.
    pub version: String,
    /// SHA-256 of its bytes.
    pub digest: Sha256Digest,
    /// The earliest end of its signer's certificates.
    pub valid_until: UnixTime,
    /// The chip it is for.
    pub product: String,
}

impl From<&VerifiedDevice> for DeviceIdentity {
    fn from(device: &VerifiedDevice) -> Self {
        Self {
            architecture: device.architecture(),
            serial_number: device.serial_number().to_owned(),
            fingerprint: device.fingerprint(),
            chip: device.chip(),
            device_id: device.device_id(),
            firmware_id: device.firmware_id().copied(),
            valid_until: device.valid_until(),
        }
    }
}

impl ManifestFacts {
    pub(crate) fn from_rim(kind: RimKind, rim: &VerifiedRim) -> Self {
        Self {
            kind,
            version: rim.version().to_owned(),
            digest: rim.digest(),
            valid_until: rim.valid_until(),
            product: rim.product().to_owned(),
        }
    }
}

impl DeviceFacts {
    /// What the evidence says before anything is verified.
    pub(crate) fn decoded(kind: DeviceKind, evidence: Option<SpdmEvidence>) -> Self {
        Self {
            kind,
            evidence,
            identity: None,
            manifests: Vec::new(),
            compared: 0,
            skipped: Vec::new(),
        }
    }

    /// The confidential mode the device reports: by its own field, or by the older one that says
    /// only whether it is Protected PCIe.
    pub fn mode(&self) -> Option<FeatureFlag> {
        let opaque = self.evidence.as_ref()?.opaque();
        match opaque.feature_flag() {
            Some(flag) => flag.ok(),
            None => match opaque.switched_on(OpaqueField::ProtectedPcieStatus) {
                Some(true) => Some(FeatureFlag::ProtectedPcie),
                _ => None,
            },
        }
    }
}

/// The JSON form of the facts, part of a verdict's.
pub(crate) fn to_json(facts: &DeviceFacts) -> Value {
    json!({
        "type": facts.kind.as_str(),
        "report": facts.evidence.as_ref().map(report),
        "mode": facts.mode().map(FeatureFlag::as_str),
        "identity": facts.identity.as_ref().map(identity),
        "manifests": facts.manifests.iter().map(manifest).collect::<Vec<_>>(),
        "measurements_compared": facts.compared,
        "measurements_skipped": facts.skipped,
    })
}

fn report(evidence: &SpdmEvidence) -> Value {
    let opaque = evidence.opaque();
    let ids = |ids: Vec<DeviceId>| ids.iter().map(|id| to_hex(id)).collect::<Vec<_>>();
    let fields = opaque
        .fields()
        .map(|(number, value)| (number.to_string(), to_hex(value).into()));
    let measurements = evidence.measurements().iter();
    json!({
        "driver_version": evidence.driver_version(),
        "vbios_version": evidence.vbios_version(),
        "request_nonce": to_hex(evidence.request_nonce()),
        "response_nonce": to_hex(evidence.response_nonce()),
        "project": opaque.text(OpaqueField::Project),
        "project_sku": opaque.text(OpaqueField::ProjectSku),
        "chip_sku": opaque.text(OpaqueField::ChipSku),
        "chip_info": opaque.text(OpaqueField::ChipInfo),
        "firmware_id": opaque.get(OpaqueField::FirmwareId).map(to_hex),
        "protected_pcie": opaque.switched_on(OpaqueField::ProtectedPcieStatus),
        "nvdec0_on": opaque.switched_on(OpaqueField::Nvdec0Status),
        "own_switch_id": opaque.own_switch_id().map(|id| to_hex(&id)),
        "switch_ids": opaque.switch_ids().map(ids),
        "gpu_ids": opaque.gpu_ids().map(ids),
        "measurements": measurements.map(|it| to_hex(&it.value)).collect::<Vec<_>>(),
        "trailing_bytes": evidence.trailing().count,
        "trailing_bytes_all_zero": evidence.trailing().all_zero,
        "opaque": Value::Object(fields.collect::<Map<_, _>>()),
    })
}

fn identity(identity: &DeviceIdentity) -> Value {
    json!({
        "architecture": identity.architecture.as_str(),
        "serial_number": identity.serial_number,
        "certificate_sha256": identity.fingerprint.to_hex(),
        "chip_key_sha256": identity.chip.to_hex(),
        "device_id": identity.device_id.as_ref().map(|id| to_hex(id)),
        "firmware_id": identity.firmware_id.as_ref().map(|id| to_hex(id)),
        "valid_until": identity.valid_until.to_string(),
    })
}

fn manifest(facts: &ManifestFacts) -> Value {
    json!({
        "kind": facts.kind.as_str(),
        "product": facts.product,
        "version": facts.version,
        "digest": facts.digest.to_string(),
        "valid_until": facts.valid_until.to_string(),
    })
}
