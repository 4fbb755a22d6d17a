//! Fuzz targets for NVIDIA's evidence, certificates, manifests and OCSP responses.

use std::time::Duration;

use attest_core::RootKind;
use attest_core::nvidia::{
    OcspFreshness, OpaqueField, Rim, SpdmEvidence, check_firmware_id, check_ocsp,
    verify_device_chain, verify_report_signature,
};

use crate::grounds::{NOW, root};
use crate::parts::split;

/// A measurement report: request and response.
pub fn nvidia_report(data: &[u8]) {
    if let Ok(evidence) = SpdmEvidence::parse(data) {
        look_at(&evidence);
        let cut = data.len() - 1;
        assert!(SpdmEvidence::parse(&data[..cut]).is_err(), "cut at {cut}");
    }
}

fn look_at(evidence: &SpdmEvidence) {
    let opaque = evidence.opaque();
    let _ = (evidence.driver_version(), evidence.vbios_version());
    let _ = (opaque.feature_flag(), opaque.own_switch_id());
    let _ = (opaque.switch_ids(), opaque.gpu_ids());
    for field in [
        OpaqueField::FirmwareId,
        OpaqueField::DriverVersion,
        OpaqueField::VbiosVersion,
    ] {
        let _ = (
            opaque.get(field),
            opaque.text(field),
            opaque.switched_on(field),
        );
    }
    assert!(opaque.fields().count() <= 1 << 14);
}

/// Opaque fields alone, in a report that is otherwise in order (DMTF DSP0274, SPDM 1.1).
pub fn nvidia_opaque(data: &[u8]) {
    let Ok(len) = u16::try_from(data.len()) else {
        return;
    };
    let request = [&[0x11, 0xE0, 0x01, 0xFF][..], &[7; 32], &[0]].concat();
    // One block, index 1, DMTF's, 48 bytes of digest.
    let block = [&[1, 1, 51, 0, 1, 48, 0][..], &[9; 48]].concat();
    let head = [&[0x11, 0x60, 0, 0, 1][..], &[55, 0, 0], &block, &[8; 32]].concat();
    let report = [&request, &head, &len.to_le_bytes()[..], data, &[3; 96]].concat();
    if let Ok(evidence) = SpdmEvidence::parse(&report) {
        look_at(&evidence);
    }
}

/// A manifest: read as it comes, canonicalised, verified from the software root.
pub fn nvidia_manifest(data: &[u8]) {
    if let Ok(rim) = Rim::from_bytes(data) {
        let claimed = rim.claimed_version();
        if let Ok(verified) = rim.verify(root(RootKind::NvidiaRim), NOW) {
            assert_eq!(claimed.as_deref(), Some(verified.version()));
            assert!(verified.valid_until() >= NOW);
        }
    }
}

/// An OCSP response, the certificate it is about, and its issuer.
pub fn nvidia_ocsp(data: &[u8]) {
    let [certificate, issuer, response] = split(data);
    let day = Duration::from_secs(86_400);
    for freshness in [OcspFreshness::MaxAge(day), OcspFreshness::Nonce(&[7; 32])] {
        let _ = check_ocsp(response, certificate, issuer, freshness, NOW);
    }
}

/// A device's certificates from the software root, and a report it may have signed.
pub fn nvidia_chain(data: &[u8]) {
    let [chain, report] = split(data);
    let Ok(device) = verify_device_chain(chain, root(RootKind::NvidiaDevice), NOW) else {
        return;
    };
    assert!(device.valid_until() >= NOW);
    if let Ok(evidence) = SpdmEvidence::parse(report) {
        let _ = verify_report_signature(&evidence, &device);
        let _ = check_firmware_id(&evidence, &device);
    }
}
