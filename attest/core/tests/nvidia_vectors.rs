//! Recorded NVIDIA evidence: every case gives the verdict that other people's tools gave, by the step
//! they name and at the measurements they name; every fact is decoded as recorded; nothing cut or
//! flipped passes.

mod recorded_devices;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use attest_core::Sha256Digest;
use attest_core::nvidia::{
    Architecture, CompareError, Comparison, DeviceChainError, DeviceId, FirmwareIdError,
    OpaqueField, Rim, RimError, RimKind, SpdmEvidence, SpdmFormatError, VerifiedDevice,
    VerifiedRim, check_firmware_id, compare, verify_device_chain, verify_report_signature,
};
use attest_core::x509::SignedObjectError;
use attest_core::{UnixTime, parse_base64, to_hex};
use recorded_devices::{BIT_STEP, Case, RecordedRim, Vector, recorded, spaced_time};

const DEVICE_ROOT: &[u8] = include_bytes!("../src/roots/nvidia-device-identity-ca.der");
const RIM_ROOT: &[u8] = include_bytes!("../src/roots/nvidia-corim-root-ca.der");

/// One device's evidence and certificate chain.
struct Device {
    evidence: Vec<u8>,
    chain_pem: Vec<u8>,
}

impl Device {
    fn all(vector: &Vector) -> Vec<Self> {
        if let Some(chain_pem) = vector.file("cert_chain") {
            let evidence = vector.required("evidence");
            return vec![Self {
                evidence,
                chain_pem,
            }];
        }
        let set: Vec<Value> = serde_json::from_slice(&vector.required("evidence")).expect("JSON");
        let bytes = |item: &Value, name: &str| {
            parse_base64(item[name].as_str().expect("base64"), 64 << 10).expect("base64")
        };
        set.iter()
            .map(|item| Self {
                evidence: bytes(item, "evidence"),
                chain_pem: bytes(item, "certificate"),
            })
            .collect()
    }

    fn parsed(&self) -> SpdmEvidence {
        SpdmEvidence::parse(&self.evidence).expect("evidence")
    }

    fn verified(&self, now: UnixTime) -> VerifiedDevice {
        verify_device_chain(&self.chain_pem, DEVICE_ROOT, now).expect("NVIDIA's own chain")
    }
}

/// What recorded evidence and manifests come to.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// Everything is signed as it should be and there are no manifests.
    Authentic,
    /// All compared measurements are as published.
    Matches(Comparison),
    ReportSignature,
    Rim(RimError),
    Comparison(CompareError),
}

fn judge(vector: &Vector, case: &Case) -> Outcome {
    let mut outcome = Outcome::Authentic;
    for device in Device::all(vector) {
        let evidence = device.parsed();
        let verified = device.verified(case.at());
        if verify_report_signature(&evidence, &verified).is_err() {
            return Outcome::ReportSignature;
        }
        if !case.rims.is_empty() {
            outcome = appraise(vector, case, &evidence);
        }
    }
    outcome
}

fn appraise(vector: &Vector, case: &Case, evidence: &SpdmEvidence) -> Outcome {
    let mut manifests = Vec::new();
    for (name, recorded) in &case.rims {
        match verify_rim(vector, recorded, case.at()) {
            Ok(rim) => manifests.push((kind(name), rim)),
            Err(error) => return Outcome::Rim(error),
        }
    }
    let manifests: Vec<_> = manifests.iter().map(|(kind, rim)| (*kind, rim)).collect();
    match compare(evidence, &manifests) {
        Ok(comparison) => Outcome::Matches(comparison),
        Err(error) => Outcome::Comparison(error),
    }
}

fn verify_rim(
    vector: &Vector,
    recorded: &RecordedRim,
    now: UnixTime,
) -> Result<VerifiedRim, RimError> {
    let bytes = vector.read(&recorded.file);
    let rim = Rim::from_bytes(&bytes)?.verify(RIM_ROOT, now)?;
    assert_eq!(rim.digest(), Sha256Digest::hash(&bytes));
    assert_eq!(rim.digest().to_hex(), recorded.sha256);
    assert_eq!(rim.version(), recorded.version);
    assert_eq!(rim.product(), recorded.product);
    let [from, until] = recorded
        .signer_validity
        .each_ref()
        .map(|end| spaced_time(end));
    assert!(from <= now && rim.valid_until() <= until);
    Ok(rim)
}

fn kind(name: &str) -> RimKind {
    match name {
        "driver" => RimKind::Driver,
        _ => RimKind::Vbios,
    }
}

/// What the recorded facts about a case's manifests make of it.
fn recorded_outcome(vector: &Vector, case: &Case) -> Outcome {
    if vector.facts["checks"]["signature"] == false {
        return Outcome::ReportSignature;
    }
    if case.rims.is_empty() {
        return Outcome::Authentic;
    }
    if let Some(error) = case.rims.values().find_map(|rim| rim_error(rim, case.at())) {
        return Outcome::Rim(error);
    }
    for (name, rim) in &case.rims {
        let fact = if name == "driver" { "driver" } else { "vbios" };
        let device = vector.text(fact).expect("a version");
        if !device.eq_ignore_ascii_case(&rim.version) {
            return Outcome::Comparison(CompareError::Version {
                kind: kind(name),
                manifest: rim.version.clone(),
                device: device.to_owned(),
            });
        }
    }
    let comparisons = &case.measurement_comparison;
    let differing: Vec<(RimKind, u8)> = comparisons
        .iter()
        .flat_map(|(name, done)| done.mismatch_indices.iter().map(|at| (kind(name), *at)))
        .collect();
    if !differing.is_empty() {
        return Outcome::Comparison(CompareError::Mismatch(differing));
    }
    Outcome::Matches(Comparison {
        compared: comparisons.values().map(|done| done.compared).sum(),
        skipped: comparisons
            .values()
            .flat_map(|done| done.skipped_nvdec0_disabled.clone())
            .collect(),
    })
}

fn rim_error(rim: &RecordedRim, now: UnixTime) -> Option<RimError> {
    let [not_before, not_after] = rim.signer_validity.each_ref().map(|end| spaced_time(end));
    if !rim.digest_ok {
        Some(RimError::Digest)
    } else if !rim.chain_ok {
        Some(RimError::Chain(SignedObjectError::Issuer))
    } else if now < not_before || now > not_after {
        Some(RimError::SignerDates {
            not_before,
            not_after,
        })
    } else if !rim.signature_ok {
        Some(RimError::Signature)
    } else {
        None
    }
}

#[test]
fn every_recorded_case_has_its_recorded_verdict() {
    let Some(vectors) = recorded("nvidia-") else {
        return;
    };
    for vector in &vectors {
        for case in &vector.cases {
            let ours = judge(vector, case);
            assert_eq!(
                ours,
                recorded_outcome(vector, case),
                "{}: {}",
                vector.id,
                case.reason()
            );
            let verdict = match &ours {
                Outcome::Authentic => "valid-signature",
                Outcome::Matches(_) if is_gpu(vector) && !case.rims.contains_key("driver") => {
                    "VBIOS measurements match; driver RIM missing"
                }
                Outcome::Matches(_) => "valid, measurements match",
                _ => "reject",
            };
            assert_eq!(verdict, case.expected.verdict, "{}", vector.id);
            println!("{}: {verdict}", vector.id);
        }
    }
}

fn is_gpu(vector: &Vector) -> bool {
    vector.kind.starts_with("nvidia-gpu")
}

#[test]
fn every_recorded_fact_is_decoded() {
    let Some(vectors) = recorded("nvidia-") else {
        return;
    };
    for vector in vectors
        .iter()
        .filter(|vector| !vector.kind.ends_with("multi"))
    {
        let device = &Device::all(vector)[0];
        let decoded = decoded(&device.parsed(), &device.verified(vector.cases[0].at()));
        for (name, recorded) in vector.facts.as_object().expect("facts") {
            if let Some(decoded) = decoded.get(name) {
                assert_eq!(decoded, recorded, "{}: {name}", vector.id);
            } else {
                let other = ["chain", "chain_order", "leaf_serial", "checks", "trailing"];
                assert!(other.contains(&name.as_str()), "{name} is not compared");
            }
        }
        let leaf = vector.facts["chain"][0].as_str().expect("a name");
        let serial = device.verified(vector.cases[0].at());
        assert!(leaf.ends_with(&format!("={}", serial.serial_number())));
    }
}

/// Under the names of the index.
fn decoded(evidence: &SpdmEvidence, device: &VerifiedDevice) -> Value {
    let opaque = evidence.opaque();
    let bytes = |field| opaque.get(field).map(to_hex);
    let fields: Vec<String> = opaque.fields().map(|(number, _)| name(number)).collect();
    let count = opaque.fields().find(|(number, _)| *number == 12);
    let len: usize = opaque.fields().map(|(_, value)| 4 + value.len()).sum();
    json!({
        "arch": device.architecture().as_str(),
        "driver": evidence.driver_version(),
        "vbios": evidence.vbios_version().map(|version| version.to_ascii_lowercase()),
        "project": opaque.text(OpaqueField::Project),
        "project_sku": opaque.text(OpaqueField::ProjectSku),
        "chip_sku": opaque.text(OpaqueField::ChipSku),
        "chip_info": opaque.text(OpaqueField::ChipInfo),
        "request_nonce": to_hex(evidence.request_nonce()),
        "response_nonce": to_hex(evidence.response_nonce()),
        "measurement_blocks": evidence.measurements().len(),
        "opaque_len": len,
        "opaque_fields": fields,
        "nvdec0_status": bytes(OpaqueField::Nvdec0Status),
        "msr_count": count.map(|(_, value)| to_hex(value)),
        "fwid": bytes(OpaqueField::FirmwareId),
    })
}

fn name(number: u16) -> String {
    let name = match number {
        3 => "DRIVER_VERSION",
        4 => "GPU_INFO",
        6 => "VBIOS_VERSION",
        11 => "NVDEC0_STATUS",
        12 => "MSRSCNT",
        13 => "CPRINFO",
        14 => "BOARD_ID",
        15 => "CHIP_SKU",
        16 => "CHIP_SKU_MOD",
        17 => "PROJECT",
        18 => "PROJECT_SKU",
        19 => "PROJECT_SKU_MOD",
        20 => "FWID",
        21 => "PROTECTED_PCIE_STATUS",
        22 => "SWITCH_PDI",
        23 => "FLOORSWEPT_PORTS",
        24 => "POSITION_ID",
        25 => "LOCK_SWITCH_STATUS",
        33 => "SYS_ENABLE_STATUS",
        34 => "OPAQUE_DATA_VERSION",
        35 => "CHIP_INFO",
        other => return other.to_string(),
    };
    name.to_owned()
}

#[test]
fn the_firmware_of_certificate_and_report_are_one_wherever_the_report_tells() {
    let Some(vectors) = recorded("nvidia-") else {
        return;
    };
    for vector in &vectors {
        for device in Device::all(vector) {
            let evidence = device.parsed();
            let reported = evidence.opaque().get(OpaqueField::FirmwareId).is_some();
            // The sample with a bad signature is a report of another device's firmware.
            let forged = vector.facts["checks"]["signature"] == false;
            let expected = match (reported, forged) {
                (true, false) => Ok(()),
                (true, true) => Err(FirmwareIdError::Mismatch),
                (false, _) => Err(FirmwareIdError::NotInReport),
            };
            let verified = device.verified(vector.cases[0].at());
            assert_eq!(
                check_firmware_id(&evidence, &verified),
                expected,
                "{}",
                vector.id
            );
        }
    }
}

#[test]
fn a_set_is_of_distinct_devices_that_answer_one_nonce() {
    let Some(vectors) = recorded("nvidia-") else {
        return;
    };
    for vector in vectors
        .iter()
        .filter(|vector| vector.kind.ends_with("multi"))
    {
        let (mut leaves, mut nonces) = (BTreeSet::new(), BTreeSet::new());
        let devices = Device::all(vector);
        let items = vector.facts["items"].as_array().expect("items");
        assert_eq!(vector.facts["count"], devices.len());
        assert_eq!(items.len(), devices.len());
        for (device, item) in devices.iter().zip(items) {
            let evidence = device.parsed();
            let verified = device.verified(vector.cases[0].at());
            let decoded = decoded(&evidence, &verified);
            for fact in ["driver", "vbios", "chip_info", "opaque_fields"] {
                assert_eq!(decoded[fact], item[fact], "{}: {fact}", vector.id);
            }
            assert_eq!(decoded["request_nonce"], item["nonce"]);
            assert_eq!(decoded["arch"], vector.facts["arch"]);
            nonces.insert(*evidence.request_nonce());
            leaves.insert(verified.fingerprint());
        }
        assert_eq!(nonces.len(), 1, "{}", vector.id);
        // NVIDIA made one of the samples by repeating one switch.
        assert_eq!(vector.facts["distinct_leaves"], leaves.len());
    }
}

#[test]
fn the_gpus_and_switches_of_a_protected_node_name_each_other() {
    let Some(vectors) = recorded("nvidia-") else {
        return;
    };
    let set = |id: &str| {
        let vector = vectors.iter().find(|vector| vector.id == id);
        let vector = vector.expect("recorded");
        let verify = |device: Device| {
            let verified = device.verified(vector.cases[0].at());
            (device.parsed(), verified.device_id().expect("a device id"))
        };
        Device::all(vector)
            .into_iter()
            .map(verify)
            .collect::<Vec<_>>()
    };
    let (gpus, switches) = (set("gpu-hopper-8x-ppcie"), set("switch-ls10-4x-ppcie"));
    let ids = |set: &[(SpdmEvidence, DeviceId)]| -> BTreeSet<DeviceId> {
        set.iter().map(|(_, id)| *id).collect()
    };
    assert_eq!((ids(&gpus).len(), ids(&switches).len()), (8, 4));
    for (gpu, _) in &gpus {
        let named = gpu.opaque().switch_ids().expect("switches");
        assert_eq!(named.len(), 18, "one per port");
        assert_eq!(BTreeSet::from_iter(named), ids(&switches));
        let protected = gpu.opaque().switched_on(OpaqueField::ProtectedPcieStatus);
        assert_eq!(protected, Some(true));
    }
    for (switch, id) in &switches {
        assert_eq!(switch.opaque().own_switch_id(), Some(*id));
        let named = switch.opaque().gpu_ids().expect("GPUs");
        assert_eq!(BTreeSet::from_iter(named), ids(&gpus));
    }
}

#[test]
fn a_chain_of_one_architecture_is_named_by_it() {
    let Some(vectors) = recorded("nvidia-") else {
        return;
    };
    let found: BTreeSet<_> = vectors
        .iter()
        .flat_map(|vector| Device::all(vector).into_iter().map(move |d| (vector, d)))
        .map(|(vector, device)| {
            let architecture = device.verified(vector.cases[0].at()).architecture();
            let blocks = device.parsed().measurements().len();
            assert_eq!(blocks, if architecture.is_switch() { 31 } else { 64 });
            assert_eq!(is_gpu(vector), architecture != Architecture::Ls10);
            architecture.as_str()
        })
        .collect();
    assert_eq!(found, BTreeSet::from(["HOPPER", "BLACKWELL", "LS10"]));
}

#[test]
fn nothing_cut_short_is_read() {
    let Some(vectors) = recorded("nvidia-") else {
        return;
    };
    for vector in &vectors {
        let device = &Device::all(vector)[0];
        for len in 0..device.evidence.len() {
            let refused = SpdmEvidence::parse(&device.evidence[..len]);
            assert!(
                matches!(refused, Err(SpdmFormatError::Truncated(_))),
                "{}: {len}",
                vector.id
            );
        }
        let longer = [device.evidence.as_slice(), &[0]].concat();
        assert_eq!(
            SpdmEvidence::parse(&longer),
            Err(SpdmFormatError::TrailingBytes(1))
        );
        let whole = SpdmEvidence::parse(&device.evidence).expect("evidence");
        let prefix = SpdmEvidence::parse_prefix(&longer).expect("evidence");
        assert_eq!((prefix.trailing().count, whole.trailing().count), (1, 0));
        assert_eq!(prefix.measurements(), whole.measurements());
    }
    let device = &Device::all(&vectors[0])[0];
    let whole = device.verified(vectors[0].cases[0].at());
    let chain = device.chain_pem.trim_ascii_end();
    for len in 0..chain.len() {
        let cut = verify_device_chain(&chain[..len], DEVICE_ROOT, vectors[0].cases[0].at());
        match cut {
            Err(DeviceChainError::NotPem | DeviceChainError::Length(0..=4)) => {}
            // Inside the closing line nothing of a certificate is missing.
            kept => {
                assert_eq!(kept.as_ref(), Ok(&whole), "{len}");
                assert!(
                    chain[len..].len() < "-----END CERTIFICATE-----".len(),
                    "{len}"
                );
            }
        }
    }
    let kept = verify_device_chain(chain, DEVICE_ROOT, vectors[0].cases[0].at());
    assert_eq!(kept, Ok(whole));
}

#[test]
fn no_manifest_cut_short_is_read() {
    let Some(vectors) = recorded("nvidia-") else {
        return;
    };
    let (vector, case) = matching_case(&vectors);
    for recorded in case.rims.values() {
        let bytes = vector.read(&recorded.file);
        let whole = bytes.trim_ascii_end();
        for len in (0..whole.len()).rev().step_by(BIT_STEP) {
            let cut = Rim::from_bytes(&whole[..len]).expect("short enough");
            assert_eq!(cut.verify(RIM_ROOT, case.at()), Err(RimError::NotXml));
        }
    }
}

/// The recording with manifests for driver and firmware that match.
fn matching_case(vectors: &[Vector]) -> (&Vector, &Case) {
    vectors
        .iter()
        .flat_map(|vector| vector.cases.iter().map(move |case| (vector, case)))
        .find(|(_, case)| {
            case.rims.len() == 2 && case.expected.verdict == "valid, measurements match"
        })
        .expect("recorded")
}

#[test]
fn any_flipped_bit_of_evidence_or_its_signature_is_refused() {
    let Some(vectors) = recorded("nvidia-") else {
        return;
    };
    let (vector, case) = matching_case(&vectors);
    let device = &Device::all(vector)[0];
    let verified = device.verified(case.at());
    let bits = 8 * device.evidence.len();
    for bit in (0..bits).step_by(2 * BIT_STEP - 1) {
        let mut bent = device.evidence.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        let passed = SpdmEvidence::parse(&bent)
            .is_ok_and(|evidence| verify_report_signature(&evidence, &verified).is_ok());
        assert!(!passed, "bit {bit}");
    }
    println!(
        "{} of {bits} bits flipped, all refused",
        bits.div_ceil(2 * BIT_STEP - 1)
    );
}
