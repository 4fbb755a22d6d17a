//! Reference manifests: forged, out of date, edited, and for something else.

use attest_core::Sha256Digest;
use vendors::nvidia::knobs::{Algorithm, Dates, Edited, KeyInfo, Layout, ManifestKnobs, Signer};
use vendors::nvidia::ocsp::{OcspKnobs, Status};
use vendors::nvidia::{Chip, MockNvidia, Source};

use super::{MEASURED, Made, made, manifest};
use crate::kit::{Kit, accepted, rejected};
use crate::{NOW, SEED};

pub(super) fn add(kit: &mut Kit) {
    type Bend = fn(&mut ManifestKnobs);
    let bent: [(&str, Bend); 14] = [
        ("root-impostor", |k| k.root = Signer::Impostor),
        ("signer-forged", |k| k.certified_by = Signer::Impostor),
        ("forged", |k| k.signed_by = Signer::Impostor),
        ("no-authority", |k| k.intermediate_says_not = true),
        ("expired", |k| k.signer_dates = Dates::Expired),
        ("early", |k| k.signer_dates = Dates::NotYetValid),
        ("edited-value", |k| k.edited = Edited::Value),
        ("edited-active", |k| k.edited = Edited::Active),
        ("edited-space", |k| k.edited = Edited::Space),
        ("edited-digest", |k| k.edited = Edited::Digest),
        ("other-digest", |k| k.algorithm = Algorithm::Digest),
        ("two-signatures", |k| k.layout = Layout::TwoSignatures),
        ("part-signed", |k| k.layout = Layout::PartialReference),
        ("no-chain", |k| k.key_info = KeyInfo::Nothing),
    ];
    for (of, check, source, other) in [
        ("driver", "nvidia.rim.driver", Source::Driver, Source::Vbios),
        ("vbios", "nvidia.rim.vbios", Source::Vbios, Source::Driver),
    ] {
        for (name, bend) in bent {
            let mut knobs = ManifestKnobs::default();
            bend(&mut knobs);
            let check = match knobs.signer_dates {
                Dates::Expired | Dates::NotYetValid => "nvidia.rim.signer_dates",
                _ => check,
            };
            Made {
                manifests: vec![
                    manifest(source, &knobs),
                    manifest(other, &ManifestKnobs::default()),
                ],
                policy: MEASURED.into(),
                ..made()
            }
            .add(
                kit,
                &format!("{of}-manifest-{name}"),
                "one thing about a manifest is not as it should be",
                rejected(&[check]),
            );
        }
    }
    let respelled = ManifestKnobs {
        edited: Edited::Spelling,
        ..ManifestKnobs::default()
    };
    Made {
        manifests: vec![
            manifest(Source::Driver, &respelled),
            manifest(Source::Vbios, &respelled),
        ],
        policy: MEASURED.into(),
        ..made()
    }
    .add(
        kit,
        "manifest-respelled",
        "attributes in another order and other quotes: the same document",
        accepted(),
    );
    accepted_ones(kit);
    let nvidia = MockNvidia::new(&SEED, NOW.secs());
    let mut longer = nvidia.manifest(Chip::Hopper, Source::Driver);
    let mut beyond = longer.values[0].clone();
    (beyond.index, beyond.active) = (64, true);
    longer.values.push(beyond);
    let longer = nvidia.sign(&longer, &ManifestKnobs::default());
    Made {
        manifests: vec![longer.into_bytes(), usual(Source::Vbios)],
        policy: MEASURED.into(),
        ..made()
    }
    .add(
        kit,
        "measured-one-short",
        "a manifest speaks for a measurement that the device does not make",
        rejected(&["nvidia.measurements.count"]),
    );
}

fn usual(source: Source) -> Vec<u8> {
    manifest(source, &ManifestKnobs::default())
}

/// Authentic manifests that a policy does or does not accept.
fn accepted_ones(kit: &mut Kit) {
    let both = || vec![usual(Source::Driver), usual(Source::Vbios)];
    let nvidia = MockNvidia::new(&SEED, NOW.secs());
    let mut of_another_chip = nvidia.manifest(Chip::Hopper, Source::Driver);
    of_another_chip.product = "GB100".into();
    let of_another_chip = nvidia.sign(&of_another_chip, &ManifestKnobs::default());
    Made {
        manifests: vec![of_another_chip.into_bytes(), usual(Source::Vbios)],
        policy: MEASURED.into(),
        ..made()
    }
    .add(
        kit,
        "manifest-of-another-chip",
        "an authentic manifest of this version, for another chip",
        rejected(&["nvidia.rim.product"]),
    );
    let digest = |rim: &Vec<u8>| format!("\"{}\"", Sha256Digest::hash(rim));
    let pinned = both().iter().map(digest).collect::<Vec<_>>().join(", ");
    let other = format!("\"{}\"", Sha256Digest::hash(b"another manifest"));
    for (suffix, listed, expected) in [
        ("", pinned, accepted()),
        ("-other", other, rejected(&["nvidia.rim.digest"])),
    ] {
        Made {
            manifests: both(),
            policy: format!("{MEASURED}rim_digests = [{listed}]\n"),
            ..made()
        }
        .add(
            kit,
            &format!("manifests-pinned{suffix}"),
            "manifests whose digests are the listed ones, or are not",
            expected,
        );
    }
    for (name, status, expected) in [
        ("good", Status::Good, accepted()),
        ("revoked", Status::Revoked, rejected(&["nvidia.rim.ocsp"])),
    ] {
        let mut knobs = OcspKnobs::good(None);
        knobs.status = status;
        // Of the signer and of the two authorities below the root.
        let good = OcspKnobs::good(None);
        let answers = [(0, &knobs), (1, &good), (2, &good)];
        let answers = answers.map(|(place, knobs)| nvidia.ocsp_of_manifest_signer(place, knobs));
        Made {
            manifests: both(),
            answers: answers.to_vec(),
            policy: format!("{MEASURED}rim_ocsp = \"required\"\nocsp_max_age = \"48h\"\n"),
            ..made()
        }
        .add(
            kit,
            &format!("manifest-signer-{name}"),
            "what the responder says of the manifests' signer",
            expected,
        );
    }
}
