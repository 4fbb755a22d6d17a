//! Certificates of endorsement keys, with AMD's extensions under 1.3.6.1.4.1.3704.1 in the order and
//! encodings of the key distribution service (AMD publication 57230, "VCEK certificate").

use super::SecurityVersions;
use super::authority::{
    Authority, Subject, another_line, certificate as issue, extension, validity, vek_algorithm,
};
use super::keys::P384Key;
use super::knobs::{Claims, EndorsementKey, Knobs, Names, Processor};
use crate::der::{bits, oid, sequence, tlv};
use crate::intel::keys::Key as P256Key;

const YEAR: u64 = 365 * 86_400;
const AMD: [u64; 8] = [1, 3, 6, 1, 4, 1, 3704, 1];
/// The id of the cloud in a loaded key's certificate.
pub const CSP_ID: &str = "CN=cloud.invalid";

pub fn certificate(authority: &Authority<'_>, key: &P384Key, chip_id: &[u8; 64]) -> Vec<u8> {
    let knobs = authority.knobs;
    let lifetime = match knobs.key {
        EndorsementKey::Vcek => 7 * YEAR,
        EndorsementKey::Vlek => YEAR,
    };
    let issuer = match knobs.names {
        Names::VekIssuedUnderAnotherName => "SEV-Nowhere".to_owned(),
        _ => authority.ask_name(),
    };
    let name = match knobs.names {
        Names::VekIsNoEndorsementKey => "SEV-CEK",
        _ => knobs.key.common_name(),
    };
    issue(
        &Subject {
            serial: &[0],
            issuer: &issuer,
            name,
            dates: validity(knobs.vek_dates, authority.now, lifetime),
            key_info: key_info(knobs, key),
            extensions: extensions(knobs, chip_id),
        },
        &vek_algorithm(knobs),
        authority.vek_issuer(),
    )
}

fn key_info(knobs: &Knobs, key: &P384Key) -> Vec<u8> {
    let ec_public_key = oid(&[1, 2, 840, 10045, 2, 1]);
    if knobs.claims == Claims::AnotherCurve {
        let point = [
            &[0x04][..],
            &P256Key::derive(&[0; 32], "another curve").public_xy(),
        ]
        .concat();
        let p256 = oid(&[1, 2, 840, 10045, 3, 1, 7]);
        return sequence(&[sequence(&[ec_public_key, p256]), bits(&point, 0)]);
    }
    sequence(&[
        sequence(&[ec_public_key, oid(&[1, 3, 132, 0, 34])]),
        bits(&key.public_point(), 0),
    ])
}

fn extensions(knobs: &Knobs, chip_id: &[u8; 64]) -> Vec<Vec<u8>> {
    let turin = knobs.processor == Processor::Turin;
    let mut list = vec![amd(&[1], &version(u8::from(turin)))];
    list.extend(product(knobs).map(|name| amd(&[2], &ia5_string(name))));
    list.extend(
        versions(knobs)
            .into_iter()
            .map(|(arc, value)| amd(&[3, arc], &value)),
    );
    list.extend(hardware_id(knobs, chip_id).map(|id| amd(&[4], &id)));
    if knobs.key == EndorsementKey::Vlek {
        list.push(amd(&[5], &ia5_string(CSP_ID)));
    }
    if knobs.claims == Claims::RepeatedExtension {
        list.push(amd(&[3, 8], &version(knobs.certified.microcode)));
    }
    list
}

fn product(knobs: &Knobs) -> Option<&'static str> {
    match knobs.claims {
        Claims::AnotherProduct => Some(another_line(knobs.processor)),
        Claims::UnknownProduct => Some("Naples"),
        Claims::NoProduct => None,
        _ => Some(knobs.processor.product_name(knobs.key)),
    }
}

/// Last arc and DER of each version, in the order of the layout.
fn versions(knobs: &Knobs) -> Vec<(u64, Vec<u8>)> {
    let SecurityVersions {
        fmc,
        boot_loader,
        tee,
        snp,
        microcode,
    } = knobs.certified;
    let reserved = match knobs.claims {
        Claims::ReservedVersionInUse => 1,
        _ => 0,
    };
    let turin_layout =
        (knobs.processor == Processor::Turin) != (knobs.claims == Claims::FmcOfTheOtherLayout);
    let tee = match knobs.claims {
        Claims::PaddedVersion => vec![0x02, 0x02, 0x00, tee],
        _ => version(tee),
    };
    let mut list = if turin_layout {
        vec![
            (9, version(fmc)),
            (1, version(boot_loader)),
            (2, tee),
            (3, version(snp)),
            (5, version(reserved)),
            (6, version(0)),
            (7, version(0)),
        ]
    } else {
        vec![
            (1, version(boot_loader)),
            (2, tee),
            (4, version(reserved)),
            (5, version(0)),
            (6, version(0)),
            (7, version(0)),
            (3, version(snp)),
        ]
    };
    match knobs.claims {
        Claims::NoMicrocodeVersion => {}
        Claims::NegativeVersion => list.push((8, vec![0x02, 0x01, microcode | 0x80])),
        _ => list.push((8, version(microcode))),
    }
    list
}

fn hardware_id(knobs: &Knobs, chip_id: &[u8; 64]) -> Option<Vec<u8>> {
    let mut id = chip_id[..knobs.processor.hwid_len()].to_vec();
    match (knobs.claims, knobs.key) {
        (Claims::HardwareIdInLoadedKey, _) => {}
        (Claims::NoHardwareId, _) | (_, EndorsementKey::Vlek) => return None,
        (Claims::AnotherChip, _) => id[0] ^= 1,
        (Claims::ShortHardwareId, _) => id.truncate(id.len() - 1),
        (Claims::WrappedHardwareId, _) => id = tlv(0x04, &id),
        _ => {}
    }
    Some(id)
}

/// `02 01 xx`, and `02 02 00 xx` where the sign bit would be set.
fn version(version: u8) -> Vec<u8> {
    crate::der::integer(&[version])
}

fn ia5_string(text: &str) -> Vec<u8> {
    tlv(0x16, text.as_bytes())
}

fn amd(arcs: &[u64], value: &[u8]) -> Vec<u8> {
    extension(&[&AMD[..], arcs].concat(), false, value)
}
