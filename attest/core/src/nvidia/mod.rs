//! NVIDIA GPUs and NVSwitches: signed measurement reports, the certificates of the device that
//! signed, and the reference values NVIDIA publishes for drivers and firmware.
//!
//! The steps, each with its own error: parse the evidence ([`SpdmEvidence`]), lead the device's
//! certificate back to NVIDIA's pinned root ([`verify_device_chain`]), check the report's signature
//! ([`verify_report_signature`]) and that it answers our request ([`SpdmEvidence::request_nonce`]),
//! compare the firmware id in the certificate with the report ([`check_firmware_id`]), verify
//! reference integrity manifests ([`Rim::verify`]) and compare measurements ([`compare`]).
//!
//! Without a manifest for the driver and one for the VBIOS the answer is "an authentic device,
//! measurements not appraised", and never more.

mod compare;
mod device;
mod evidence;
mod facts;
mod ocsp;
mod opaque;
mod rim;
mod spdm;

pub(crate) use compare::check_count;
pub use compare::{CompareError, Comparison, compare};
pub(crate) use device::{AuthenticDevice, authenticate_device_chain};
pub use device::{
    DeviceChainError, FirmwareIdError, MAX_CHAIN_PEM_LEN, VerifiedDevice, check_firmware_id,
    verify_device_chain, verify_report_signature,
};
pub use evidence::{DeviceEvidenceError, DeviceKind, UnverifiedDevice};
pub(crate) use facts::to_json as facts_to_json;
pub use facts::{DeviceFacts, DeviceIdentity, ManifestFacts};
pub use ocsp::{OcspError, OcspFreshness, OcspGood, check_ocsp};
pub use opaque::{DeviceId, FeatureFlag, Opaque, OpaqueField};
pub use rim::{Rim, RimError, RimKind, VerifiedRim};
pub use spdm::{Architecture, Measurement, SpdmEvidence, SpdmFormatError, Trailing};
