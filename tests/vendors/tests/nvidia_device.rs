//! Devices of the mock NVIDIA against the verifier: healthy ones verify, and each bent knob fails the
//! one step that it breaks.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use attest_core::UnixTime;
use attest_core::nvidia::{
    Architecture, DeviceChainError, DeviceId, FeatureFlag, FirmwareIdError, OpaqueField,
    SpdmEvidence, SpdmFormatError, VerifiedDevice, check_firmware_id, verify_device_chain,
    verify_report_signature,
};
use attest_core::x509::{SignedObjectError, X509Error};
use vendors::nvidia::evidence::{Evidence, field};
use vendors::nvidia::knobs::{CertifiedFirmware, ChainShape, Dates, DeviceKnobs, Leaf, Signer};
use vendors::nvidia::node::{Member, Node, NodeKnobs};
use vendors::nvidia::{Chip, Device, MockNvidia, Source};

const NOW: u64 = 1_790_000_000;
const DAY: u64 = 86_400;
const SEED: [u8; 32] = [7; 32];
const NONCE: [u8; 32] = [3; 32];

fn nvidia() -> &'static MockNvidia {
    static NVIDIA: LazyLock<MockNvidia> = LazyLock::new(|| MockNvidia::new(&SEED, NOW));
    &NVIDIA
}

fn bent(chip: Chip, bend: impl FnOnce(&mut DeviceKnobs)) -> Device {
    let mut knobs = DeviceKnobs::default();
    bend(&mut knobs);
    nvidia().device(chip, "0", knobs)
}

fn verify(device: &Device) -> Result<VerifiedDevice, DeviceChainError> {
    let now = UnixTime::from_secs(NOW);
    verify_device_chain(&device.chain_pem(), nvidia().device_root(), now)
}

/// Why a Hopper's chain is refused once it is bent.
fn refusal(bend: impl FnOnce(&mut DeviceKnobs)) -> DeviceChainError {
    verify(&bent(Chip::Hopper, bend)).expect_err("a bent chain is refused")
}

#[test]
fn a_healthy_device_of_every_chip_verifies_and_is_read_back() {
    for (chip, architecture, blocks) in [
        (Chip::Hopper, Architecture::Hopper, 64),
        (Chip::Blackwell, Architecture::Blackwell, 64),
        (Chip::Ls10, Architecture::Ls10, 31),
    ] {
        let device = nvidia().healthy(chip, "0");
        let verified = verify(&device).expect("a healthy chain");
        assert_eq!(verified.architecture(), architecture);
        assert_eq!(verified.device_id(), Some(device.number));
        assert_eq!(verified.serial_number().len(), 40);
        assert_eq!(verified.valid_until(), UnixTime::from_secs(253_402_300_799));

        let evidence = SpdmEvidence::parse(&device.report(&NONCE)).expect("evidence");
        assert_eq!(verify_report_signature(&evidence, &verified), Ok(()));
        assert_eq!(evidence.request_nonce(), &NONCE);
        assert_eq!(evidence.measurements().len(), blocks);
        let vbios = evidence.vbios_version();
        assert_eq!(vbios.as_deref(), Some(chip.version(Source::Vbios)));
        if chip == Chip::Ls10 {
            assert_eq!(evidence.driver_version(), None);
            assert_eq!(evidence.opaque().own_switch_id(), Some(device.number));
            assert_eq!(
                check_firmware_id(&evidence, &verified),
                Err(FirmwareIdError::NotInReport)
            );
        } else {
            let driver = evidence.driver_version();
            assert_eq!(driver, Some(chip.version(Source::Driver)));
            assert_eq!(check_firmware_id(&evidence, &verified), Ok(()));
            let flag = evidence.opaque().feature_flag();
            assert_eq!(flag, Some(Ok(FeatureFlag::SinglePassthrough)));
        }
    }
}

#[test]
fn distinguishes_two_devices_and_recognises_the_same_one() {
    let of = |label| verify(&nvidia().healthy(Chip::Hopper, label)).unwrap();
    assert_eq!(of("a").fingerprint(), of("a").fingerprint());
    assert_ne!(of("a").fingerprint(), of("b").fingerprint());
    assert_ne!(of("a").device_id(), of("b").device_id());
}

#[test]
fn rejects_every_root_but_the_pinned_one() {
    let impostor = bent(Chip::Hopper, |knobs| knobs.root = Signer::Impostor);
    assert_eq!(verify(&impostor), Err(DeviceChainError::Root));
    let under_its_own = verify_device_chain(
        &impostor.chain_pem(),
        impostor.root(),
        UnixTime::from_secs(NOW),
    );
    assert!(under_its_own.is_ok(), "whole under its own root");
}

#[test]
fn each_signature_of_the_chain_is_checked() {
    for place in 0..4 {
        let error = SignedObjectError::Signature;
        assert_eq!(
            refusal(|knobs| knobs.forged = Some(place)),
            DeviceChainError::Signature { place, error }
        );
    }
}

#[test]
fn each_certificate_has_the_right_authority_flag() {
    for place in 0..4 {
        assert_eq!(
            refusal(|knobs| knobs.flag = Some(place)),
            DeviceChainError::Authority { place }
        );
    }
}

#[test]
fn each_certificate_has_to_be_within_its_dates() {
    for place in 0..5 {
        for dates in [Dates::Expired, Dates::NotYetValid] {
            let device = bent(Chip::Hopper, |knobs| knobs.dates = Some((place, dates)));
            let now = UnixTime::from_secs(NOW);
            let refused = verify_device_chain(&device.chain_pem(), device.root(), now);
            let (from, to) = match dates {
                Dates::Expired => (NOW - 731 * DAY, NOW - DAY),
                _ => (NOW + DAY, NOW + 731 * DAY),
            };
            let (not_before, not_after) = (UnixTime::from_secs(from), UnixTime::from_secs(to));
            assert_eq!(
                refused,
                Err(DeviceChainError::Dates {
                    place,
                    not_before,
                    not_after
                })
            );
            let inside = UnixTime::from_secs(to);
            assert_eq!(
                verify_device_chain(&device.chain_pem(), device.root(), inside)
                    .map(|verified| verified.valid_until()),
                Ok(not_after)
            );
        }
    }
}

#[test]
fn rejects_chains_of_another_length_or_order() {
    for (shape, error) in [
        (ChainShape::WithoutRoot, DeviceChainError::Length(4)),
        (ChainShape::RootTwice, DeviceChainError::Length(6)),
        (ChainShape::RootFirst, DeviceChainError::Root),
        (ChainShape::Der, DeviceChainError::NotPem),
        (ChainShape::ForeignBlock, DeviceChainError::NotPem),
        (ChainShape::CutAt(4), DeviceChainError::Root),
    ] {
        assert_eq!(refusal(|knobs| knobs.shape = shape), error, "{shape:?}");
    }
    for place in 0..4 {
        let error = X509Error::NotDer;
        assert_eq!(
            refusal(|knobs| knobs.shape = ChainShape::CutAt(place)),
            DeviceChainError::Format { place, error }
        );
    }
    let now = UnixTime::from_secs(NOW);
    assert_eq!(
        verify_device_chain(&[b'\n'; (64 << 10) + 1], nvidia().device_root(), now),
        Err(DeviceChainError::NotPem)
    );
}

#[test]
fn rejects_a_leaf_of_an_unknown_device() {
    for leaf in [
        Leaf::OfAnUnknownChip,
        Leaf::WithoutSerialNumber,
        Leaf::OnAnotherCurve,
    ] {
        assert_eq!(
            refusal(|knobs| knobs.leaf = leaf),
            DeviceChainError::UnknownDevice,
            "{leaf:?}"
        );
    }
}

#[test]
fn the_certified_firmware_has_to_be_the_reported_one() {
    for chip in [Chip::Hopper, Chip::Blackwell] {
        let check = |firmware, bend: fn(&mut Evidence)| {
            let device = bent(chip, |knobs| knobs.firmware = firmware);
            let mut evidence = nvidia().evidence(&device, &NONCE);
            bend(&mut evidence);
            let evidence = SpdmEvidence::parse(&device.sign(&evidence)).unwrap();
            let verified = verify(&device).expect("the chain is good");
            assert_eq!(verify_report_signature(&evidence, &verified), Ok(()));
            check_firmware_id(&evidence, &verified)
        };
        assert_eq!(check(CertifiedFirmware::Running, |_| {}), Ok(()));
        assert_eq!(
            check(CertifiedFirmware::Another, |_| {}),
            Err(FirmwareIdError::Mismatch)
        );
        for none in [
            CertifiedFirmware::Absent,
            CertifiedFirmware::Two,
            CertifiedFirmware::TwoExtensions,
        ] {
            assert_eq!(
                check(none, |_| {}),
                Err(FirmwareIdError::NotInCertificate),
                "{none:?}"
            );
        }
        assert_eq!(
            check(CertifiedFirmware::Running, |evidence| evidence
                .remove(field::FIRMWARE_ID)),
            Err(FirmwareIdError::NotInReport)
        );
        assert_eq!(
            check(CertifiedFirmware::Running, |evidence| evidence
                .set(field::FIRMWARE_ID, &[1; 48])),
            Err(FirmwareIdError::Mismatch)
        );
    }
}

#[test]
fn rejects_a_report_signed_by_another_key_or_device() {
    let healthy = nvidia().healthy(Chip::Hopper, "0");
    let impostor = bent(Chip::Hopper, |knobs| knobs.report_signer = Signer::Impostor);
    let neighbour = nvidia().healthy(Chip::Hopper, "1");
    let verified = verify(&healthy).unwrap();
    for other in [impostor, neighbour] {
        let evidence = SpdmEvidence::parse(&other.report(&NONCE)).unwrap();
        assert_eq!(
            verify_report_signature(&evidence, &verified),
            Err(SignedObjectError::Signature)
        );
    }
}

#[test]
fn rejects_evidence_with_any_flipped_bit() {
    let device = nvidia().healthy(Chip::Ls10, "0");
    let verified = verify(&device).unwrap();
    let report = device.report(&NONCE);
    // Exhaustive where the code is optimised, a sample where it is not.
    let step = if cfg!(debug_assertions) { 61 } else { 1 };
    for bit in (0..8 * report.len()).step_by(step) {
        let mut flipped = report.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let passed = SpdmEvidence::parse(&flipped)
            .is_ok_and(|evidence| verify_report_signature(&evidence, &verified).is_ok());
        assert!(!passed, "bit {bit}");
    }
}

#[test]
fn rejects_malformed_evidence() {
    let device = nvidia().healthy(Chip::Hopper, "0");
    let refusal = |bend: &dyn Fn(&mut Evidence)| {
        let mut evidence = nvidia().evidence(&device, &NONCE);
        bend(&mut evidence);
        SpdmEvidence::parse(&device.sign(&evidence)).expect_err("refused")
    };
    for byte in 0..4 {
        assert_eq!(
            refusal(&|evidence| evidence.request_header[byte] ^= 1),
            SpdmFormatError::Request
        );
    }
    for byte in 0..2 {
        assert_eq!(
            refusal(&|evidence| evidence.response_header[byte] ^= 1),
            SpdmFormatError::Response
        );
    }
    let block = SpdmFormatError::Block;
    assert_eq!(refusal(&|evidence| evidence.blocks[4].index = 9), block(5));
    assert_eq!(
        refusal(&|evidence| evidence.blocks[4].specification = 2),
        block(5)
    );
    assert_eq!(
        refusal(&|evidence| evidence.blocks[4].value.truncate(32)),
        block(5)
    );
    assert_eq!(refusal(&|evidence| evidence.blocks.swap(0, 1)), block(1));
    assert_eq!(
        refusal(&|evidence| evidence.stated_blocks = Some(63)),
        block(64)
    );
    assert_eq!(
        refusal(&|evidence| evidence.stated_blocks = Some(65)),
        block(65)
    );
    assert_eq!(
        refusal(&|evidence| evidence.opaque.push((field::FEATURE_FLAG, vec![2, 0]))),
        SpdmFormatError::Opaque
    );
    assert_eq!(
        refusal(&|evidence| evidence.after_signature = vec![0; 5]),
        SpdmFormatError::TrailingBytes(5)
    );
    assert_eq!(
        refusal(&|evidence| evidence.after_signature = vec![0; 64 << 10]),
        SpdmFormatError::TooLong
    );
}

/// A node's devices, each verified, with its evidence.
fn verified(members: &[Member]) -> Vec<(VerifiedDevice, SpdmEvidence)> {
    let verify = |member: &Member| {
        let now = UnixTime::from_secs(NOW);
        let device = verify_device_chain(&member.chain_pem, nvidia().device_root(), now).unwrap();
        let evidence = SpdmEvidence::parse(&member.evidence).unwrap();
        assert_eq!(verify_report_signature(&evidence, &device), Ok(()));
        (device, evidence)
    };
    members.iter().map(verify).collect()
}

fn node(bend: impl FnOnce(&mut NodeKnobs)) -> Node {
    let mut knobs = NodeKnobs::default();
    bend(&mut knobs);
    nvidia().node("node", 4, 2, &NONCE, &knobs)
}

/// What disagrees in a node, by the place of the device that disagrees.
fn disagreements(node: &Node) -> Vec<(&'static str, usize)> {
    let (gpus, switches) = (verified(&node.gpus), verified(&node.switches));
    let ids = |set: &[(VerifiedDevice, SpdmEvidence)]| -> BTreeSet<DeviceId> {
        set.iter()
            .map(|(device, _)| device.device_id().expect("an id"))
            .collect()
    };
    let (gpu_ids, switch_ids) = (ids(&gpus), ids(&switches));
    let mut found = Vec::new();
    for (place, (_, evidence)) in gpus.iter().enumerate() {
        let opaque = evidence.opaque();
        let named = opaque.switch_ids().expect("switches");
        if evidence.request_nonce() != &NONCE {
            found.push(("gpu nonce", place));
        }
        if BTreeSet::from_iter(named) != switch_ids {
            found.push(("gpu links", place));
        }
        let protected = opaque.switched_on(OpaqueField::ProtectedPcieStatus) == Some(true)
            && opaque.feature_flag() == Some(Ok(FeatureFlag::ProtectedPcie));
        if !protected {
            found.push(("gpu mode", place));
        }
    }
    for (place, (device, evidence)) in switches.iter().enumerate() {
        let opaque = evidence.opaque();
        if evidence.request_nonce() != &NONCE {
            found.push(("switch nonce", place));
        }
        if opaque.own_switch_id() != device.device_id() {
            found.push(("switch id", place));
        }
        if BTreeSet::from_iter(opaque.gpu_ids().expect("GPUs")) != gpu_ids {
            found.push(("switch links", place));
        }
    }
    found
}

#[test]
fn the_devices_of_a_node_answer_one_nonce_and_name_each_other() {
    assert_eq!(disagreements(&node(|_| {})), []);
    let stale = node(|knobs| knobs.stale_gpu = Some(2));
    assert_eq!(disagreements(&stale), [("gpu nonce", 2)]);
    let stale = node(|knobs| knobs.stale_switch = Some(1));
    assert_eq!(disagreements(&stale), [("switch nonce", 1)]);
    let stray = node(|knobs| knobs.stray_gpu = Some(3));
    assert_eq!(disagreements(&stray), [("gpu links", 3)]);
    let stray = node(|knobs| knobs.stray_switch = Some(1));
    assert_eq!(disagreements(&stray), [("switch links", 1)]);
    let renamed = node(|knobs| knobs.renamed_switch = Some(0));
    assert_eq!(disagreements(&renamed), [("switch id", 0)]);
    let open = node(|knobs| knobs.open_gpu = Some(0));
    assert_eq!(disagreements(&open), [("gpu mode", 0)]);

    let mut short = node(|_| {});
    short.gpus.pop();
    assert_eq!(
        disagreements(&short),
        [("switch links", 0), ("switch links", 1)]
    );
}
