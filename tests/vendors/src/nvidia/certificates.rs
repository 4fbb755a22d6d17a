//! X.509 certificates on P-384 with SHA-384, as NVIDIA's authorities make them.

use crate::amd::keys::P384Key;
use crate::der::{bits, boolean, context, integer, octets, oid, sequence, set, time, tlv};
use crate::intel::keys::derive_bytes;

pub const ORGANISATION: &str = "Sealgate testkit, not NVIDIA";
const OCSP_URL: &str = "http://ocsp.invalid";
/// NVIDIA's device certificates never end.
pub const FOREVER: (u64, u64) = (1_636_070_400, 253_402_300_799); // 2021-11-05 to 9999-12-31
pub const LONG: (u64, u64) = (1_678_981_054, 2_625_320_254); // 2023-03-16 to 2053-03-11

/// A certificate with its key.
#[derive(Clone)]
pub struct Issued {
    pub der: Vec<u8>,
    pub key: P384Key,
    /// The subject's name, DER.
    pub name: Vec<u8>,
    pub serial: Vec<u8>,
}

/// A certificate before it has a key and an issuer.
pub struct Template {
    pub name: Vec<u8>,
    pub serial: Vec<u8>,
    pub dates: (u64, u64),
    pub extensions: Vec<Vec<u8>>,
}

/// Issued under the name of `issuer`, signed with `signer`.
pub fn issue(template: &Template, key: P384Key, issuer: &Issued, signer: &P384Key) -> Issued {
    let key_info = key_info(&key);
    let der = certificate(template, &key_info, &issuer.name, signer);
    Issued {
        der,
        key,
        name: template.name.clone(),
        serial: template.serial.clone(),
    }
}

pub fn self_signed(name: Vec<u8>, serial: Vec<u8>, dates: (u64, u64), key: P384Key) -> Issued {
    let template = Template {
        extensions: ca_extensions(&key, &key, true),
        name,
        serial,
        dates,
    };
    let der = certificate(&template, &key_info(&key), &template.name, &key);
    Issued {
        der,
        key,
        name: template.name,
        serial: template.serial,
    }
}

// RFC 5280 §4.1
pub fn certificate(
    template: &Template,
    key_info: &[u8],
    issuer: &[u8],
    signer: &P384Key,
) -> Vec<u8> {
    let (not_before, not_after) = template.dates;
    signed(
        &sequence(&[
            context(0, &integer(&[2])),
            integer(&template.serial),
            ecdsa_with_sha384(),
            issuer.to_vec(),
            sequence(&[time(not_before), time(not_after)]),
            template.name.clone(),
            key_info.to_vec(),
            context(3, &sequence(&template.extensions)),
        ]),
        signer,
    )
}

fn signed(to_be_signed: &[u8], signer: &P384Key) -> Vec<u8> {
    sequence(&[
        to_be_signed.to_vec(),
        ecdsa_with_sha384(),
        bits(&signer.sign_der(to_be_signed), 0),
    ])
}

pub fn ecdsa_with_sha384() -> Vec<u8> {
    sequence(&[oid(&[1, 2, 840, 10045, 4, 3, 3])])
}

/// Attributes by the last arc of their id, with their string.
pub fn name(attributes: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let attributes: Vec<_> = attributes
        .iter()
        .map(|(arc, value)| set(&[sequence(&[oid(&[2, 5, 4, *arc]), value.clone()])]))
        .collect();
    sequence(&attributes)
}

pub fn key_info(key: &P384Key) -> Vec<u8> {
    sequence(&[
        sequence(&[oid(&[1, 2, 840, 10045, 2, 1]), oid(&[1, 3, 132, 0, 34])]),
        bits(&key.public_point(), 0),
    ])
}

/// SHA-1 of the key, as subject key ids are made.
pub fn key_id(key: &P384Key) -> [u8; 20] {
    let algorithm = &ring::digest::SHA1_FOR_LEGACY_USE_ONLY;
    ring::digest::digest(algorithm, &key.public_point())
        .as_ref()
        .try_into()
        .expect("SHA-1 is 20 bytes")
}

/// A positive serial number of 16 bytes.
pub fn serial(seed: &[u8; 32], label: &str) -> Vec<u8> {
    let mut serial = derive_bytes(seed, &format!("serial/{label}"))[..16].to_vec();
    serial[0] = serial[0] & 0x3F | 0x40;
    serial
}

pub fn ca_extensions(key: &P384Key, issuer: &P384Key, authority: bool) -> Vec<Vec<u8>> {
    vec![
        basic_constraints(authority),
        key_usage(&[0x06], 1),
        ocsp_access(),
        subject_key_id(key),
        authority_key_id(issuer),
    ]
}

pub fn leaf_extensions(key: &P384Key, issuer: &P384Key) -> Vec<Vec<u8>> {
    vec![
        key_usage(&[0x80], 7),
        subject_key_id(key),
        authority_key_id(issuer),
    ]
}

pub fn basic_constraints(authority: bool) -> Vec<u8> {
    let says: Vec<_> = authority.then(|| boolean(true)).into_iter().collect();
    extension(&[2, 5, 29, 19], true, &sequence(&says))
}

fn key_usage(usage: &[u8], unused: u8) -> Vec<u8> {
    extension(&[2, 5, 29, 15], true, &bits(usage, unused))
}

fn subject_key_id(key: &P384Key) -> Vec<u8> {
    extension(&[2, 5, 29, 14], false, &octets(&key_id(key)))
}

fn authority_key_id(issuer: &P384Key) -> Vec<u8> {
    let id = sequence(&[tlv(0x80, &key_id(issuer))]);
    extension(&[2, 5, 29, 35], false, &id)
}

/// `authorityInfoAccess` with the URL of the OCSP service.
fn ocsp_access() -> Vec<u8> {
    let service = sequence(&[
        oid(&[1, 3, 6, 1, 5, 5, 7, 48, 1]),
        tlv(0x86, OCSP_URL.as_bytes()),
    ]);
    extension(&[1, 3, 6, 1, 5, 5, 7, 1, 1], false, &sequence(&[service]))
}

pub fn extension(id: &[u64], critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![oid(id)];
    if critical {
        parts.push(boolean(true));
    }
    parts.push(octets(value));
    sequence(&parts)
}
