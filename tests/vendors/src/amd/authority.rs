//! The RSA authorities: root key (ARK) and signing keys (ASK for chip keys, ASVK for loaded keys),
//! and the frame of everything they sign.

use std::sync::LazyLock;

use ring::rand::SystemRandom;
use ring::signature::{KeyPair, RSA_PSS_SHA384, RsaKeyPair};

use super::knobs::{
    Algorithm, Authorities, Dates, EndorsementKey, Knobs, Names, Processor, Signer,
};
use crate::der::{
    bits, boolean, context, integer, octets, oid, printable, sequence, set, time, tlv, utf8,
};

const DAY: u64 = 86_400;
const YEAR: u64 = 365 * DAY;
/// The authorities' dates do not depend on the clock, as AMD's do not.
const AUTHORITIES_FROM: u64 = 1_603_324_800; // 2020-10-22T00:00:00Z
const AUTHORITIES_UNTIL: u64 = 2_392_243_200; // 2045-10-22T00:00:00Z
const ARK_SERIAL: [u8; 3] = [1, 0, 0];
const ASK_SERIAL: [u8; 3] = [1, 0, 1];
const ASVK_SERIAL: [u8; 3] = [1, 1, 1];

/// One of the fixed RSA-4096 keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Ark,
    Ask,
    Asvk,
    Impostor,
}

impl Key {
    fn pair(self) -> &'static RsaKeyPair {
        static PAIRS: LazyLock<[RsaKeyPair; 4]> = LazyLock::new(|| {
            [
                include_bytes!("keys/testonly-ark.pk8").as_slice(),
                include_bytes!("keys/testonly-ask.pk8"),
                include_bytes!("keys/testonly-asvk.pk8"),
                include_bytes!("keys/testonly-impostor.pk8"),
            ]
            .map(|pkcs8| RsaKeyPair::from_pkcs8(pkcs8).expect("the test keys are RSA-4096"))
        });
        &PAIRS[self as usize]
    }

    fn public_der(self) -> &'static [u8] {
        self.pair().public_key().as_ref()
    }

    fn sign(self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair().public().modulus_len()];
        self.pair()
            .sign(
                &RSA_PSS_SHA384,
                &SystemRandom::new(),
                message,
                &mut signature,
            )
            .expect("RSA-PSS signs any message");
        signature
    }

    fn id(self) -> Vec<u8> {
        let key = self.public_der();
        ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, key)
            .as_ref()
            .to_vec()
    }
}

/// The authorities as the knobs want them.
pub struct Authority<'a> {
    pub knobs: &'a Knobs,
    pub now: u64,
}

impl<'a> Authority<'a> {
    pub fn of(knobs: &'a Knobs, now: u64) -> Self {
        Self { knobs, now }
    }

    fn root_key(&self) -> Key {
        match self.knobs.root {
            Signer::Rightful => Key::Ark,
            Signer::Impostor => Key::Impostor,
        }
    }

    fn ask_key(&self) -> Key {
        match self.knobs.key {
            EndorsementKey::Vcek => Key::Ask,
            EndorsementKey::Vlek => Key::Asvk,
        }
    }

    /// The key that signs the endorsement key's certificate.
    pub fn vek_issuer(&self) -> Key {
        match self.knobs.vek_signer {
            Signer::Rightful => self.ask_key(),
            Signer::Impostor => Key::Impostor,
        }
    }

    pub fn ark_name(&self) -> String {
        let line = match self.knobs.names {
            Names::ArkOfAnotherProduct => another_line(self.knobs.processor),
            _ => self.knobs.processor.line(),
        };
        format!("ARK-{line}")
    }

    pub fn ask_name(&self) -> String {
        let processor = self.knobs.processor;
        let line = match self.knobs.names {
            Names::AskOfAnotherProduct => another_line(processor),
            _ => processor.line(),
        };
        let other_kind = self.knobs.names == Names::AskOfTheOtherKind;
        match (self.knobs.key, other_kind) {
            (EndorsementKey::Vcek, false) | (EndorsementKey::Vlek, true) => format!("SEV-{line}"),
            _ => format!("SEV-VLEK-{line}"),
        }
    }

    pub fn ark(&self) -> Vec<u8> {
        let key = self.root_key();
        let says = self.knobs.authorities != Authorities::ArkSaysNot;
        certificate(
            &Subject {
                serial: &ARK_SERIAL,
                issuer: &self.ark_name(),
                name: &self.ark_name(),
                dates: authority_dates(self.knobs.ark_dates, self.now),
                key_info: rsa_key_info(key),
                extensions: vec![
                    key_usage(&[0x06], 1),
                    subject_key_id(key),
                    basic_constraints(says, None),
                    self.crl_url(),
                ],
            },
            &algorithm(true),
            key,
        )
    }

    pub fn ask(&self) -> Vec<u8> {
        let key = self.ask_key();
        let signer = match self.knobs.ask_signer {
            Signer::Rightful => self.root_key(),
            Signer::Impostor => Key::Impostor,
        };
        let mut extensions = vec![subject_key_id(key), authority_key_id(self.root_key())];
        match self.knobs.authorities {
            Authorities::AskDoesNotSay => {}
            says => extensions.push(basic_constraints(says != Authorities::AskSaysNot, Some(0))),
        }
        extensions.extend([key_usage(&[0x04], 2), self.crl_url()]);
        certificate(
            &Subject {
                serial: ask_serial(self.knobs.key),
                issuer: &self.ark_name(),
                name: &self.ask_name(),
                dates: authority_dates(self.knobs.ask_dates, self.now),
                key_info: rsa_key_info(key),
                extensions,
            },
            &algorithm(true),
            signer,
        )
    }

    fn crl_url(&self) -> Vec<u8> {
        let url = format!(
            "https://kds.invalid/vcek/v1/{}/crl",
            self.knobs.processor.line()
        );
        let url = tlv(0x86, url.as_bytes());
        let point = sequence(&[sequence(&[context(0, &context(0, &url))])]);
        extension(&[2, 5, 29, 31], false, &point)
    }
}

pub fn ask_serial(key: EndorsementKey) -> &'static [u8; 3] {
    match key {
        EndorsementKey::Vcek => &ASK_SERIAL,
        EndorsementKey::Vlek => &ASVK_SERIAL,
    }
}

/// A certificate before it is signed.
pub struct Subject<'a> {
    pub serial: &'a [u8],
    pub issuer: &'a str,
    pub name: &'a str,
    pub dates: (u64, u64),
    pub key_info: Vec<u8>,
    pub extensions: Vec<Vec<u8>>,
}

// RFC 5280 §4.1
pub fn certificate(subject: &Subject<'_>, algorithm: &[u8], issuer: Key) -> Vec<u8> {
    let (not_before, not_after) = subject.dates;
    let to_be_signed = sequence(&[
        context(0, &integer(&[2])),
        integer(subject.serial),
        algorithm.to_vec(),
        name(subject.issuer),
        sequence(&[time(not_before), time(not_after)]),
        name(subject.name),
        subject.key_info.clone(),
        context(3, &sequence(&subject.extensions)),
    ]);
    signed(&to_be_signed, algorithm, issuer)
}

/// `SIGNED { to_be_signed }`, the frame that certificates and revocation lists share.
pub fn signed(to_be_signed: &[u8], algorithm: &[u8], issuer: Key) -> Vec<u8> {
    sequence(&[
        to_be_signed.to_vec(),
        algorithm.to_vec(),
        bits(&issuer.sign(to_be_signed), 0),
    ])
}

/// RSASSA-PSS with SHA-384 and a salt of 48 bytes (RFC 4055 §3.1). AMD's authorities write out the
/// trailer field that DER would leave at its default; newer chip keys are certified without.
pub fn algorithm(trailer_written_out: bool) -> Vec<u8> {
    pss(2, trailer_written_out)
}

pub fn vek_algorithm(knobs: &Knobs) -> Vec<u8> {
    match knobs.algorithm {
        Algorithm::PssSha384 => algorithm(knobs.key == EndorsementKey::Vlek),
        Algorithm::PssSha256 => pss(1, false),
    }
}

/// `hash` is the last arc under NIST's SHA-2 arc.
fn pss(hash: u64, trailer_written_out: bool) -> Vec<u8> {
    let hash = sequence(&[oid(&[2, 16, 840, 1, 101, 3, 4, 2, hash]), tlv(0x05, &[])]);
    let mask = sequence(&[oid(&[1, 2, 840, 113_549, 1, 1, 8]), hash.clone()]);
    let mut parameters = vec![
        context(0, &hash),
        context(1, &mask),
        context(2, &integer(&[48])),
    ];
    if trailer_written_out {
        parameters.push(context(3, &integer(&[1])));
    }
    sequence(&[oid(&[1, 2, 840, 113_549, 1, 1, 10]), sequence(&parameters)])
}

/// A distinguished name with the attributes, order and string types of AMD's.
pub fn name(common_name: &str) -> Vec<u8> {
    let attribute = |last_arc, value| set(&[sequence(&[oid(&[2, 5, 4, last_arc]), value])]);
    sequence(&[
        attribute(11, utf8("Engineering")),
        attribute(6, printable("ZZ")),
        attribute(7, utf8("Nowhere")),
        attribute(8, utf8("NA")),
        attribute(10, utf8("Sealgate testkit, not AMD")),
        attribute(3, utf8(common_name)),
    ])
}

pub fn extension(id: &[u64], critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![oid(id)];
    if critical {
        parts.push(boolean(true));
    }
    parts.push(octets(value));
    sequence(&parts)
}

/// `(from, until)` around `now`.
pub fn validity(dates: Dates, now: u64, lifetime: u64) -> (u64, u64) {
    match dates {
        Dates::Current => (now - 90 * DAY, now - 90 * DAY + lifetime),
        Dates::Expired => (now - 90 * DAY, now - DAY),
        Dates::NotYetValid => (now + DAY, now + DAY + lifetime),
    }
}

fn authority_dates(dates: Dates, now: u64) -> (u64, u64) {
    match dates {
        Dates::Current => (AUTHORITIES_FROM, AUTHORITIES_UNTIL),
        bent => validity(bent, now, YEAR),
    }
}

pub const fn another_line(processor: Processor) -> &'static str {
    match processor {
        Processor::Milan => "Genoa",
        _ => "Milan",
    }
}

fn rsa_key_info(key: Key) -> Vec<u8> {
    sequence(&[
        sequence(&[oid(&[1, 2, 840, 113_549, 1, 1, 1]), tlv(0x05, &[])]),
        bits(key.public_der(), 0),
    ])
}

fn key_usage(usage: &[u8], unused: u8) -> Vec<u8> {
    extension(&[2, 5, 29, 15], true, &bits(usage, unused))
}

fn subject_key_id(key: Key) -> Vec<u8> {
    extension(&[2, 5, 29, 14], false, &octets(&key.id()))
}

pub fn authority_key_id(key: Key) -> Vec<u8> {
    extension(&[2, 5, 29, 35], false, &sequence(&[tlv(0x80, &key.id())]))
}

fn basic_constraints(authority: bool, path_length: Option<u8>) -> Vec<u8> {
    let mut parts = Vec::new();
    if authority {
        parts.push(boolean(true));
        parts.extend(path_length.map(|length| integer(&[length])));
    }
    extension(&[2, 5, 29, 19], true, &sequence(&parts))
}
