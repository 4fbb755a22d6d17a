//! Manifests of the mock NVIDIA against the verifier: healthy ones verify and match, and each bent
//! knob fails the one step that it breaks.

use std::sync::LazyLock;

use attest_core::Sha256Digest;
use attest_core::UnixTime;
use attest_core::nvidia::{
    CompareError, Comparison, Rim, RimError, RimKind, SpdmEvidence, VerifiedRim, compare,
};
use attest_core::x509::SignedObjectError;
use vendors::nvidia::evidence::{Evidence, NVDEC0, ON, field};
use vendors::nvidia::knobs::{Algorithm, Dates, Edited, KeyInfo, Layout, ManifestKnobs, Signer};
use vendors::nvidia::manifest::Manifest;
use vendors::nvidia::{Chip, Device, MockNvidia, Source};

const NOW: u64 = 1_790_000_000;
const DAY: u64 = 86_400;
const SEED: [u8; 32] = [7; 32];
const NONCE: [u8; 32] = [3; 32];

fn nvidia() -> &'static MockNvidia {
    static NVIDIA: LazyLock<MockNvidia> = LazyLock::new(|| MockNvidia::new(&SEED, NOW));
    &NVIDIA
}

fn verify(xml: &str) -> Result<VerifiedRim, RimError> {
    let now = UnixTime::from_secs(NOW);
    Rim::from_bytes(xml.as_bytes())?.verify(nvidia().manifest_root(), now)
}

fn signed(bend: impl FnOnce(&mut ManifestKnobs)) -> String {
    let mut knobs = ManifestKnobs::default();
    bend(&mut knobs);
    let manifest = nvidia().manifest(Chip::Hopper, Source::Driver);
    nvidia().sign(&manifest, &knobs)
}

fn refusal(bend: impl FnOnce(&mut ManifestKnobs)) -> RimError {
    verify(&signed(bend)).expect_err("a bent manifest is refused")
}

/// A manifest for healthy devices, bent before it is signed.
fn manifest(chip: Chip, source: Source, bend: impl FnOnce(&mut Manifest)) -> VerifiedRim {
    let mut manifest = nvidia().manifest(chip, source);
    bend(&mut manifest);
    verify(&nvidia().sign(&manifest, &ManifestKnobs::default())).expect("signed as it should be")
}

fn driver(chip: Chip) -> VerifiedRim {
    manifest(chip, Source::Driver, |_| {})
}

fn vbios(chip: Chip) -> VerifiedRim {
    manifest(chip, Source::Vbios, |_| {})
}

fn evidence(device: &Device, bend: impl FnOnce(&mut Evidence)) -> SpdmEvidence {
    let mut evidence = nvidia().evidence(device, &NONCE);
    bend(&mut evidence);
    SpdmEvidence::parse(&device.sign(&evidence)).expect("evidence")
}

/// A healthy Hopper against these manifests.
fn compared(driver: &VerifiedRim, vbios: &VerifiedRim) -> Result<Comparison, CompareError> {
    let healthy = evidence(&nvidia().healthy(Chip::Hopper, "0"), |_| {});
    compare(
        &healthy,
        &[(RimKind::Driver, driver), (RimKind::Vbios, vbios)],
    )
}

#[test]
fn healthy_devices_match_the_published_measurements() {
    for chip in [Chip::Hopper, Chip::Blackwell] {
        let device = nvidia().healthy(chip, "0");
        let (driver, vbios) = (driver(chip), vbios(chip));
        assert_eq!(driver.version(), chip.version(Source::Driver));
        assert_eq!(vbios.version(), chip.version(Source::Vbios));
        assert_eq!(driver.product(), vbios.product());
        let manifests = [(RimKind::Driver, &driver), (RimKind::Vbios, &vbios)];
        assert_eq!(
            compare(&evidence(&device, |_| {}), &manifests),
            Ok(Comparison {
                compared: 20 + 12,
                skipped: vec![NVDEC0]
            })
        );
        let decoding = evidence(&device, |evidence| evidence.with_decoder(chip));
        assert_eq!(
            compare(&decoding, &manifests),
            Ok(Comparison {
                compared: 21 + 12,
                skipped: Vec::new()
            })
        );
    }
    let switch = evidence(&nvidia().healthy(Chip::Ls10, "0"), |_| {});
    let vbios = vbios(Chip::Ls10);
    assert_eq!(vbios.product(), "LS10");
    assert_eq!(
        compare(&switch, &[(RimKind::Vbios, &vbios)]),
        Ok(Comparison {
            compared: 31,
            skipped: Vec::new()
        })
    );
}

#[test]
fn a_manifest_is_identified_by_its_digest_and_valid_for_two_years() {
    let xml = signed(|_| {});
    let rim = verify(&xml).unwrap();
    assert_eq!(rim.digest(), Sha256Digest::hash(xml.as_bytes()));
    assert_eq!(rim.product(), "GH100");
    let until = UnixTime::from_secs(NOW + 640 * DAY);
    assert_eq!(rim.valid_until(), until);
    let at = |now| {
        Rim::from_bytes(xml.as_bytes())
            .unwrap()
            .verify(nvidia().manifest_root(), UnixTime::from_secs(now))
    };
    assert!(at(NOW - 90 * DAY).is_ok() && at(until.secs()).is_ok());
    let (not_before, not_after) = (UnixTime::from_secs(NOW - 90 * DAY), until);
    let outside = RimError::SignerDates {
        not_before,
        not_after,
    };
    assert_eq!(at(NOW - 90 * DAY - 1), Err(outside.clone()));
    assert_eq!(at(until.secs() + 1), Err(outside));
}

#[test]
fn accepts_another_serialization_of_the_same_document() {
    let usual = verify(&signed(|_| {})).unwrap();
    for xml in [
        signed(|knobs| knobs.edited = Edited::Spelling),
        signed(|knobs| knobs.layout = Layout::XmlDeclaration),
        signed(|knobs| knobs.key_info = KeyInfo::WithoutRoot),
        signed(|knobs| knobs.key_info = KeyInfo::RootFirst),
    ] {
        let rim = verify(&xml).expect("as good as the usual spelling");
        assert_eq!(rim.version(), usual.version());
        assert_ne!(rim.digest(), usual.digest(), "pins are of bytes");
    }
}

#[test]
fn rejects_a_manifest_changed_after_signing() {
    for edited in [
        Edited::Version,
        Edited::Active,
        Edited::Value,
        Edited::Space,
    ] {
        assert_eq!(
            refusal(|knobs| knobs.edited = edited),
            RimError::Digest,
            "{edited:?}"
        );
    }
    assert_eq!(
        refusal(|knobs| knobs.edited = Edited::Digest),
        RimError::Shape("DigestValue")
    );
    assert_eq!(
        refusal(|knobs| knobs.signed_by = Signer::Impostor),
        RimError::Signature
    );
}

#[test]
fn rejects_an_edited_manifest_with_a_recomputed_digest() {
    let honest = signed(|_| {});
    let mut manifest = nvidia().manifest(Chip::Hopper, Source::Driver);
    manifest.differ_at(7);
    let edited = nvidia().sign(&manifest, &ManifestKnobs::default());
    let part = |xml: &str, element: &str| {
        let start = xml.find(&format!("<ds:{element}>")).unwrap();
        let end = xml.find(&format!("</ds:{element}>")).unwrap();
        xml[start..end].to_owned()
    };
    let value = |xml: &str| part(xml, "SignatureValue");
    let forged = edited.replace(&value(&edited), &value(&honest));
    assert_ne!(forged, edited);
    assert_eq!(verify(&forged), Err(RimError::Signature));
    assert!(verify(&edited).is_ok());
}

#[test]
fn rejects_a_signer_without_a_chain_to_the_root() {
    let signature = RimError::Chain(SignedObjectError::Signature);
    assert_eq!(
        refusal(|knobs| knobs.certified_by = Signer::Impostor),
        signature
    );
    assert_eq!(
        refusal(|knobs| {
            knobs.root = Signer::Impostor;
            knobs.key_info = KeyInfo::WithoutRoot;
        }),
        signature
    );
    // Its own root is one certificate too many before the pinned one.
    assert_eq!(refusal(|knobs| knobs.root = Signer::Impostor), signature);
    assert_eq!(
        refusal(|knobs| knobs.key_info = KeyInfo::WithoutIntermediate),
        RimError::Chain(SignedObjectError::Issuer)
    );
    assert_eq!(
        refusal(|knobs| knobs.key_info = KeyInfo::Nothing),
        RimError::Shape("X509Data")
    );
    assert_eq!(
        refusal(|knobs| knobs.intermediate_says_not = true),
        RimError::Authority
    );
    for (dates, from, to) in [
        (Dates::Expired, NOW - 731 * DAY, NOW - DAY),
        (Dates::NotYetValid, NOW + DAY, NOW + 731 * DAY),
    ] {
        let (not_before, not_after) = (UnixTime::from_secs(from), UnixTime::from_secs(to));
        assert_eq!(
            refusal(|knobs| knobs.signer_dates = dates),
            RimError::SignerDates {
                not_before,
                not_after
            }
        );
    }
}

#[test]
fn other_algorithms_and_transforms_are_refused() {
    for (algorithm, what) in [
        (Algorithm::Canonicalization, "canonicalization"),
        (Algorithm::SignatureMethod, "signature method"),
        (Algorithm::Digest, "digest method"),
        (Algorithm::NoEnveloped, "transform"),
        (Algorithm::MoreTransforms, "transform"),
    ] {
        assert_eq!(
            refusal(|knobs| knobs.algorithm = algorithm),
            RimError::Algorithm(what)
        );
    }
}

#[test]
fn a_document_of_another_layout_is_refused() {
    for (layout, error) in [
        (Layout::Comment, RimError::NotXml),
        (Layout::ProcessingInstruction, RimError::NotXml),
        (Layout::Doctype, RimError::NotXml),
        (Layout::NoSignature, RimError::Shape("Signature")),
        (Layout::TwoSignatures, RimError::Shape("Signature")),
        (Layout::PartialReference, RimError::Shape("Reference URI")),
    ] {
        assert_eq!(refusal(|knobs| knobs.layout = layout), error, "{layout:?}");
    }
    let long = [signed(|_| {}), " ".repeat(256 << 10)].concat();
    assert_eq!(verify(&long), Err(RimError::TooLong));
}

#[test]
fn ignores_what_the_digest_does_not_cover() {
    let hidden = signed(|knobs| knobs.layout = Layout::PayloadInSignature);
    let rim = verify(&hidden).expect("the document itself is as signed");
    assert_eq!(rim.version(), Chip::Hopper.version(Source::Driver));
    let done = compared(&rim, &vbios(Chip::Hopper)).unwrap();
    assert_eq!(done.compared, 32);
}

#[test]
fn rejects_signed_values_that_cannot_be_parsed() {
    type Bend = fn(&mut Manifest);
    let cases: [(&str, Bend); 3] = [
        ("Resource index", |manifest| manifest.at(4).index = 3),
        ("Resource", |manifest| manifest.at(4).alternatives.clear()),
        ("Resource", |manifest| {
            manifest.at(4).alternatives = vec![[1; 48]; 65];
        }),
    ];
    for (part, bend) in cases {
        let mut manifest = nvidia().manifest(Chip::Hopper, Source::Driver);
        bend(&mut manifest);
        let xml = nvidia().sign(&manifest, &ManifestKnobs::default());
        // Sixty-five attributes are past what this writer orders canonically.
        let expected = match manifest.values[4].alternatives.len() {
            65 => RimError::Digest,
            _ => RimError::Shape(part),
        };
        assert_eq!(verify(&xml), Err(expected));
    }
}

#[test]
fn a_manifest_for_another_version_is_not_compared() {
    let other = manifest(Chip::Hopper, Source::Driver, |manifest| {
        manifest.version = "550.90.07".to_owned();
    });
    let (kind, device) = (RimKind::Driver, "580.01.02".to_owned());
    assert_eq!(
        compared(&other, &vbios(Chip::Hopper)),
        Err(CompareError::Version {
            kind,
            manifest: "550.90.07".to_owned(),
            device
        })
    );
    assert_eq!(
        compared(&driver(Chip::Hopper), &vbios(Chip::Blackwell)),
        Err(CompareError::Version {
            kind: RimKind::Vbios,
            manifest: "97.00.88.00.0F".to_owned(),
            device: "96.00.9F.00.01".to_owned()
        })
    );
    let device = nvidia().healthy(Chip::Hopper, "0");
    let nameless = evidence(&device, |evidence| evidence.remove(field::DRIVER_VERSION));
    assert_eq!(
        compare(&nameless, &[(RimKind::Driver, &driver(Chip::Hopper))]),
        Err(CompareError::Version {
            kind,
            manifest: "580.01.02".to_owned(),
            device: String::new()
        })
    );
}

#[test]
fn every_active_value_is_compared_and_every_difference_named() {
    let chip = Chip::Hopper;
    for index in [7, 20, 33, NVDEC0, 40] {
        let other = manifest(chip, Source::Driver, |manifest| manifest.differ_at(index));
        let expected = if index == NVDEC0 {
            Ok(Comparison {
                compared: 32,
                skipped: vec![NVDEC0],
            })
        } else {
            Err(CompareError::Mismatch(vec![(RimKind::Driver, index)]))
        };
        assert_eq!(compared(&other, &vbios(chip)), expected);
    }
    let driver = manifest(chip, Source::Driver, |manifest| {
        manifest.differ_at(7);
        manifest.differ_at(40);
    });
    let vbios = manifest(chip, Source::Vbios, |manifest| manifest.differ_at(9));
    assert_eq!(
        compared(&driver, &vbios),
        Err(CompareError::Mismatch(vec![
            (RimKind::Driver, 7),
            (RimKind::Driver, 40),
            (RimKind::Vbios, 9)
        ]))
    );
}

#[test]
fn skips_the_decoders_firmware_only_while_the_decoder_is_off() {
    let chip = Chip::Hopper;
    let device = nvidia().healthy(chip, "0");
    let (driver, vbios) = (driver(chip), vbios(chip));
    let manifests = [(RimKind::Driver, &driver), (RimKind::Vbios, &vbios)];
    let mismatch = Err(CompareError::Mismatch(vec![(RimKind::Driver, NVDEC0)]));
    for status in [ON, 0x54] {
        let claimed = evidence(&device, |evidence| {
            evidence.set(field::NVDEC0_STATUS, &[status]);
        });
        assert_eq!(compare(&claimed, &manifests), mismatch, "{status:#x}");
    }
    let silent = evidence(&device, |evidence| evidence.remove(field::NVDEC0_STATUS));
    assert_eq!(compare(&silent, &manifests), mismatch);
    let elsewhere = evidence(&device, |evidence| evidence.measured(33).value[0] ^= 1);
    assert_eq!(
        compare(&elsewhere, &manifests),
        Err(CompareError::Mismatch(vec![(RimKind::Driver, 33)]))
    );
}

#[test]
fn accepts_any_of_several_published_values() {
    let chip = Chip::Hopper;
    for place in 0..3 {
        let several = manifest(chip, Source::Driver, |manifest| {
            let value = manifest.at(7).alternatives[0];
            let mut alternatives = vec![[0xAA; 48], [0xBB; 48]];
            alternatives.insert(place, value);
            manifest.at(7).alternatives = alternatives;
        });
        assert!(compared(&several, &vbios(chip)).is_ok(), "{place}");
    }
    let none = manifest(chip, Source::Driver, |manifest| {
        manifest.at(7).alternatives = vec![[0xAA; 48], [0xBB; 48]];
    });
    assert_eq!(
        compared(&none, &vbios(chip)),
        Err(CompareError::Mismatch(vec![(RimKind::Driver, 7)]))
    );
}

#[test]
fn rejects_two_manifests_for_one_measurement() {
    let chip = Chip::Hopper;
    let overlapping = manifest(chip, Source::Vbios, |manifest| manifest.at(7).active = true);
    assert_eq!(
        compared(&driver(chip), &overlapping),
        Err(CompareError::Overlap(7))
    );
    let healthy = evidence(&nvidia().healthy(chip, "0"), |_| {});
    let vbios = vbios(chip);
    assert_eq!(
        compare(
            &healthy,
            &[(RimKind::Vbios, &vbios), (RimKind::Vbios, &vbios)]
        ),
        Err(CompareError::Overlap(0))
    );
}

#[test]
fn rejects_a_manifest_with_no_or_too_many_measurements() {
    let chip = Chip::Hopper;
    let silent = manifest(chip, Source::Driver, |manifest| {
        manifest
            .values
            .iter_mut()
            .for_each(|value| value.active = false);
    });
    assert_eq!(
        compared(&silent, &vbios(chip)),
        Err(CompareError::NothingActive)
    );
    let only_the_decoder = manifest(chip, Source::Driver, |manifest| {
        for value in &mut manifest.values {
            value.active = value.index == NVDEC0;
        }
    });
    let healthy = evidence(&nvidia().healthy(chip, "0"), |_| {});
    assert_eq!(
        compare(&healthy, &[(RimKind::Driver, &only_the_decoder)]),
        Err(CompareError::NothingActive)
    );
    assert_eq!(compare(&healthy, &[]), Err(CompareError::NothingActive));
    let beyond = manifest(chip, Source::Vbios, |manifest| {
        manifest.at(63).active = true;
        manifest.at(63).index = 64;
    });
    assert_eq!(
        compared(&driver(chip), &beyond),
        Err(CompareError::Missing(64))
    );
}

#[test]
fn rejects_every_truncated_manifest() {
    let xml = signed(|_| {});
    for len in (0..xml.len()).step_by(101) {
        assert_eq!(verify(&xml[..len]), Err(RimError::NotXml), "{len}");
    }
}
