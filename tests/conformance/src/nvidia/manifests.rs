//! Reference manifests: forged, out of date, edited, and for something else.

use vendors::nvidia::Source;
use vendors::nvidia::knobs::{Algorithm, Dates, Edited, KeyInfo, Layout, ManifestKnobs, Signer};

use super::{MEASURED, Made, made, manifest};
use crate::kit::{Kit, accepted, rejected};

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
}
