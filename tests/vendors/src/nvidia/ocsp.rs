//! OCSP responses (RFC 6960) with a responder that the issuer of the certificate in question
//! delegated to.

use ring::digest::{SHA384, digest};

use super::MockNvidia;
use super::certificates::{
    Issued, LONG, ORGANISATION, Template, ecdsa_with_sha384, extension, issue, leaf_extensions,
    name, serial,
};
use super::chain::Device;
use super::knobs::{Dates, Signer, Windows};
use crate::amd::keys::P384Key;
use crate::der::{bits, context, enumerated, integer, octets, oid, sequence, tlv, utf8};
use crate::intel::calendar;

/// What a responder says, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspKnobs {
    pub status: Status,
    pub dates: Dates,
    /// The nonce of the response: the requester's, another one, or none.
    pub nonce: Option<Vec<u8>>,
    /// Whose key signs.
    pub signer: Signer,
    pub responder: Responder,
    /// Answers about the certificate with another serial number.
    pub another_certificate: bool,
    /// `responseStatus`: 0 is successful, 6 unauthorized.
    pub response_status: u8,
}

impl OcspKnobs {
    pub fn good(nonce: Option<&[u8]>) -> Self {
        Self {
            status: Status::Good,
            dates: Dates::Current,
            nonce: nonce.map(<[u8]>::to_vec),
            signer: Signer::Rightful,
            responder: Responder::Delegated,
            another_certificate: false,
            response_status: 0,
        }
    }
}

/// `CertStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Good,
    /// Key compromise.
    Revoked,
    /// Revoked with the reason `certificateHold`, which can be taken back.
    OnHold,
    Unknown,
}

/// The signer's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Responder {
    /// Issued by the issuer, for signing OCSP responses.
    Delegated,
    /// Issued by the issuer, for something else.
    WithoutPurpose,
    /// Issued by an impostor under the issuer's name.
    Forged,
    Expired,
    /// The issuer itself signs; no certificate comes along.
    Issuer,
}

const ID_SHA384: [u64; 9] = [2, 16, 840, 1, 101, 3, 4, 2, 2];
const OCSP_SIGNING: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 3, 9];
const BASIC: [u64; 10] = [1, 3, 6, 1, 5, 5, 7, 48, 1, 1];
const NONCE: [u64; 10] = [1, 3, 6, 1, 5, 5, 7, 48, 1, 2];
const NO_CHECK: [u64; 10] = [1, 3, 6, 1, 5, 5, 7, 48, 1, 5];
const KEY_COMPROMISE: u8 = 1;
const CERTIFICATE_HOLD: u8 = 6;

impl MockNvidia {
    /// A response about the certificate at `place` of a device's chain, counted from the leaf; its
    /// issuer is the next. DER.
    pub fn ocsp(&self, device: &Device, place: usize, knobs: &OcspKnobs) -> Vec<u8> {
        let (subject, issuer) = (&device.chain[place], &device.chain[place + 1]);
        self.response(subject, issuer, knobs)
    }

    /// A response about the certificate at `place` of a manifest signer's chain, counted from the
    /// leaf. DER.
    pub fn ocsp_of_manifest_signer(&self, place: usize, knobs: &OcspKnobs) -> Vec<u8> {
        let chain = self.manifest_signer(&super::knobs::ManifestKnobs::default());
        self.response(&chain[place], &chain[place + 1], knobs)
    }

    // RFC 6960 §4.2.1
    fn response(&self, subject: &Issued, issuer: &Issued, knobs: &OcspKnobs) -> Vec<u8> {
        let status = enumerated(knobs.response_status);
        if knobs.response_status != 0 {
            return sequence(&[status]);
        }
        let responder = self.responder(issuer, knobs.responder);
        let impostor = P384Key::derive(&self.seed, "impostor OCSP responder");
        let key = match (knobs.signer, &responder) {
            (Signer::Impostor, _) => &impostor,
            (Signer::Rightful, Some(responder)) => &responder.key,
            (Signer::Rightful, None) => &issuer.key,
        };
        let name = responder
            .as_ref()
            .map_or(&issuer.name, |responder| &responder.name);
        let data = self.response_data(subject, issuer, name, knobs);
        let mut basic = vec![
            data.clone(),
            ecdsa_with_sha384(),
            bits(&key.sign_der(&data), 0),
        ];
        if let Some(responder) = responder {
            basic.push(context(0, &sequence(&[responder.der])));
        }
        let bytes = sequence(&[oid(&BASIC), octets(&sequence(&basic))]);
        sequence(&[status, context(0, &bytes)])
    }

    fn response_data(
        &self,
        subject: &Issued,
        issuer: &Issued,
        responder: &[u8],
        knobs: &OcspKnobs,
    ) -> Vec<u8> {
        let (this_update, next_update) = knobs.dates.week_around(self.now);
        let mut serial = subject.serial.clone();
        if knobs.another_certificate {
            *serial.last_mut().expect("a serial number") ^= 1;
        }
        let single = sequence(&[
            certificate_id(issuer, &serial),
            knobs.status.der(this_update),
            generalized_time(this_update),
            context(0, &generalized_time(next_update)),
        ]);
        let mut parts = vec![
            context(1, responder),
            generalized_time(this_update),
            sequence(&[single]),
        ];
        if let Some(nonce) = &knobs.nonce {
            let nonce = extension(&NONCE, false, &octets(nonce));
            parts.push(context(1, &sequence(&[nonce])));
        }
        sequence(&parts)
    }

    fn responder(&self, issuer: &Issued, kind: Responder) -> Option<Issued> {
        const LABEL: &str = "NVIDIA OCSP Responder";
        if kind == Responder::Issuer {
            return None;
        }
        let key = P384Key::derive(&self.seed, LABEL);
        let mut extensions = leaf_extensions(&key, &issuer.key);
        if kind != Responder::WithoutPurpose {
            let purposes = sequence(&[oid(&OCSP_SIGNING)]);
            extensions.push(extension(&[2, 5, 29, 37], false, &purposes));
            extensions.push(extension(&NO_CHECK, false, &tlv(0x05, &[])));
        }
        let template = Template {
            name: name(&[(3, utf8(LABEL)), (10, utf8(ORGANISATION))]),
            serial: serial(&self.seed, LABEL),
            dates: match kind {
                Responder::Expired => Dates::Expired.two_years_around(self.now),
                _ => LONG,
            },
            extensions,
        };
        let impostor = P384Key::derive(&self.seed, "impostor OCSP issuer");
        let signer = match kind {
            Responder::Forged => &impostor,
            _ => &issuer.key,
        };
        Some(issue(&template, key, issuer, signer))
    }
}

impl Status {
    fn der(self, at: u64) -> Vec<u8> {
        let revoked = |reason| {
            let reason = context(0, &enumerated(reason));
            context(1, &[generalized_time(at), reason].concat())
        };
        match self {
            Self::Good => tlv(0x80, &[]),
            Self::Revoked => revoked(KEY_COMPROMISE),
            Self::OnHold => revoked(CERTIFICATE_HOLD),
            Self::Unknown => tlv(0x82, &[]),
        }
    }
}

/// With SHA-384, as NVIDIA's verifiers ask.
fn certificate_id(issuer: &Issued, serial: &[u8]) -> Vec<u8> {
    let hash = |bytes: &[u8]| octets(digest(&SHA384, bytes).as_ref());
    sequence(&[
        sequence(&[oid(&ID_SHA384), tlv(0x05, &[])]),
        hash(&issuer.name),
        hash(&issuer.key.public_point()),
        integer(serial),
    ])
}

/// OCSP has no UTCTime.
fn generalized_time(unix: u64) -> Vec<u8> {
    let digits: String = calendar::rfc3339(unix)
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    tlv(0x18, format!("{digits}Z").as_bytes())
}
