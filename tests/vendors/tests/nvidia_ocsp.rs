//! OCSP responses of the mock NVIDIA, read back by hand as RFC 6960 writes them: what each knob bends
//! and what it leaves alone.

use std::sync::LazyLock;

use ring::digest::{SHA384, digest};
use ring::signature::{ECDSA_P384_SHA384_ASN1, UnparsedPublicKey};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use vendors::nvidia::knobs::{Dates, Signer};
use vendors::nvidia::ocsp::{OcspKnobs, Responder, Status};
use vendors::nvidia::{Chip, Device, MockNvidia};

const NOW: u64 = 1_767_323_045; // 2026-01-02T03:04:05Z
const NONCE: [u8; 32] = [3; 32];
const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;
const TIME: u8 = 0x18;

static DEVICE: LazyLock<(MockNvidia, Device)> = LazyLock::new(|| {
    let nvidia = MockNvidia::new(&[7; 32], NOW);
    let device = nvidia.healthy(Chip::Hopper, "0");
    (nvidia, device)
});

/// One DER element.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Element<'a> {
    fn read(der: &'a [u8]) -> (Self, &'a [u8]) {
        let (len, header) = match der[1] {
            short @ 0..=0x7F => (usize::from(short), 2),
            long => {
                let digits = &der[2..2 + usize::from(long & 0x7F)];
                let len = digits
                    .iter()
                    .fold(0, |len, digit| len << 8 | usize::from(*digit));
                (len, 2 + digits.len())
            }
        };
        let (whole, rest) = der.split_at(header + len);
        let content = &whole[header..];
        let tag = der[0];
        (
            Self {
                tag,
                content,
                whole,
            },
            rest,
        )
    }

    fn whole(der: &'a [u8]) -> Self {
        let (element, rest) = Self::read(der);
        assert!(rest.is_empty());
        element
    }

    fn expect(self, tag: u8) -> Self {
        assert_eq!(self.tag, tag);
        self
    }

    fn parts(self) -> Vec<Self> {
        let mut rest = self.content;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let (part, after) = Self::read(rest);
            parts.push(part);
            rest = after;
        }
        parts
    }
}

/// A successful response, taken apart.
struct Response<'a> {
    data: &'a [u8],
    signature: &'a [u8],
    responder: Option<&'a [u8]>,
    name: &'a [u8],
    produced_at: &'a [u8],
    certificate_id: Vec<Element<'a>>,
    status: Element<'a>,
    this_update: &'a [u8],
    next_update: &'a [u8],
    nonce: Option<&'a [u8]>,
}

impl<'a> Response<'a> {
    fn read(der: &'a [u8]) -> Self {
        let outer = Element::whole(der).expect(SEQUENCE).parts();
        assert_eq!(outer[0].whole, [0x0A, 1, 0], "successful");
        let typed = Element::whole(outer[1].expect(0xA0).content).parts();
        let basic_id = [0x2B, 6, 1, 5, 5, 7, 0x30, 1, 1];
        assert_eq!(typed[0].content, basic_id);
        let basic = Element::whole(typed[1].expect(OCTETS).content).parts();
        let data = basic[0].expect(SEQUENCE).parts();
        let singles = data[2].expect(SEQUENCE).parts();
        assert_eq!(singles.len(), 1);
        let single = singles[0].parts();
        Self {
            data: basic[0].whole,
            signature: &basic[2].expect(0x03).content[1..],
            responder: basic
                .get(3)
                .map(|certs| Element::whole(certs.expect(0xA0).content).content),
            name: data[0].expect(0xA1).content,
            produced_at: data[1].expect(TIME).content,
            certificate_id: single[0].parts(),
            status: single[1],
            this_update: single[2].expect(TIME).content,
            next_update: Element::whole(single[3].expect(0xA0).content).content,
            nonce: data.get(3).map(|extensions| {
                let list = Element::whole(extensions.expect(0xA1).content).parts();
                let nonce = list[0].parts();
                assert_eq!(nonce[0].content, [0x2B, 6, 1, 5, 5, 7, 0x30, 1, 2]);
                Element::whole(nonce[1].content).expect(OCTETS).content
            }),
        }
    }

    fn signed_by(&self, certificate: &X509Certificate<'_>) -> bool {
        verifies(certificate, self.data, self.signature)
    }
}

fn verifies(issuer: &X509Certificate<'_>, message: &[u8], signature: &[u8]) -> bool {
    let key = &issuer.public_key().subject_public_key.data;
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, key)
        .verify(message, signature)
        .is_ok()
}

fn issued_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == issuer.subject().as_raw()
        && verifies(
            issuer,
            certificate.tbs_certificate.as_ref(),
            &certificate.signature_value.data,
        )
}

fn certificate(der: &[u8]) -> X509Certificate<'_> {
    X509Certificate::from_der(der).expect("a certificate").1
}

fn chain() -> Vec<Vec<u8>> {
    Pem::iter_from_buffer(&DEVICE.1.chain_pem())
        .map(|block| block.expect("PEM").contents)
        .collect()
}

fn respond(place: usize, bend: impl FnOnce(&mut OcspKnobs)) -> Vec<u8> {
    let mut knobs = OcspKnobs::good(Some(&NONCE));
    bend(&mut knobs);
    DEVICE.0.ocsp(&DEVICE.1, place, &knobs)
}

#[test]
fn a_good_response_is_about_the_certificate_and_signed_by_its_issuers_delegate() {
    let chain = chain();
    for place in 0..4 {
        let (subject, issuer) = (certificate(&chain[place]), certificate(&chain[place + 1]));
        let der = respond(place, |_| {});
        let response = Response::read(&der);
        let id = &response.certificate_id;
        let hash = |bytes: &[u8]| digest(&SHA384, bytes);
        assert_eq!(id[1].content, hash(issuer.subject().as_raw()).as_ref());
        let key = &issuer.public_key().subject_public_key.data;
        assert_eq!(id[2].content, hash(key).as_ref());
        assert_eq!(id[3].content, subject.raw_serial());
        assert_eq!(response.status.whole, [0x80, 0], "good");
        assert_eq!(response.produced_at, b"20260101030405Z");
        assert_eq!(response.this_update, b"20260101030405Z");
        assert_eq!(response.next_update, b"20260108030405Z");
        assert_eq!(response.nonce, Some(&NONCE[..]));

        let responder = certificate(response.responder.expect("a certificate comes along"));
        assert!(response.signed_by(&responder));
        assert!(issued_by(&responder, &issuer));
        assert_eq!(response.name, responder.subject().as_raw());
        let purpose = responder.extended_key_usage().unwrap().expect("purposes");
        assert!(purpose.value.ocsp_signing);
    }
}

#[test]
fn encodes_each_status() {
    for (status, tag, reason) in [
        (Status::Good, 0x80, None),
        (Status::Revoked, 0xA1, Some(1)),
        (Status::OnHold, 0xA1, Some(6)),
        (Status::Unknown, 0x82, None),
    ] {
        let der = respond(1, |knobs| knobs.status = status);
        let response = Response::read(&der);
        assert_eq!(response.status.tag, tag, "{status:?}");
        let Some(reason) = reason else {
            assert!(response.status.content.is_empty());
            continue;
        };
        let revoked = response.status.parts();
        assert_eq!(revoked[0].expect(TIME).content, b"20260101030405Z");
        assert_eq!(revoked[1].expect(0xA0).content, [0x0A, 1, reason]);
    }
}

#[test]
fn each_fault_changes_only_dates_or_nonce() {
    let der = respond(1, |knobs| knobs.dates = Dates::Expired);
    let expired = Response::read(&der);
    assert_eq!(expired.next_update, b"20260101030405Z");
    let der = respond(1, |knobs| knobs.dates = Dates::NotYetValid);
    let early = Response::read(&der);
    assert_eq!(early.this_update, b"20260103030405Z");
    let der = respond(1, |knobs| knobs.nonce = Some(vec![4; 32]));
    let other = Response::read(&der);
    assert_eq!(other.nonce, Some(&[4; 32][..]));
    let der = respond(1, |knobs| knobs.nonce = None);
    let none = Response::read(&der);
    assert_eq!(none.nonce, None);
    for response in [expired, early, other, none] {
        let responder = certificate(response.responder.unwrap());
        assert!(response.signed_by(&responder));
        assert_eq!(response.status.whole, [0x80, 0]);
    }
}

#[test]
fn rejects_a_signature_by_another_key() {
    let der = respond(1, |knobs| knobs.signer = Signer::Impostor);
    let response = Response::read(&der);
    let responder = certificate(response.responder.unwrap());
    assert!(issued_by(&responder, &certificate(&chain()[2])));
    assert!(!response.signed_by(&responder));
}

#[test]
fn a_responder_is_delegated_forged_expired_without_purpose_or_the_issuer() {
    let chain = chain();
    let issuer = certificate(&chain[2]);
    let der = respond(1, |knobs| knobs.responder = Responder::Forged);
    let forged = Response::read(&der);
    let responder = certificate(forged.responder.unwrap());
    assert!(forged.signed_by(&responder) && !issued_by(&responder, &issuer));

    let der = respond(1, |knobs| knobs.responder = Responder::WithoutPurpose);
    let aimless = Response::read(&der);
    let responder = certificate(aimless.responder.unwrap());
    assert!(aimless.signed_by(&responder) && issued_by(&responder, &issuer));
    assert!(responder.extended_key_usage().unwrap().is_none());

    let der = respond(1, |knobs| knobs.responder = Responder::Expired);
    let late = Response::read(&der);
    let responder = certificate(late.responder.unwrap());
    assert!(late.signed_by(&responder) && issued_by(&responder, &issuer));
    assert_eq!(
        responder.validity().not_after.timestamp(),
        NOW as i64 - 86_400
    );

    let der = respond(1, |knobs| knobs.responder = Responder::Issuer);
    let itself = Response::read(&der);
    assert!(itself.responder.is_none() && itself.signed_by(&issuer));
    assert_eq!(itself.name, issuer.subject().as_raw());
}

#[test]
fn an_answer_about_another_certificate_names_another_serial_number() {
    let chain = chain();
    let der = respond(1, |knobs| knobs.another_certificate = true);
    let response = Response::read(&der);
    let serial = response.certificate_id[3].content;
    assert_ne!(serial, certificate(&chain[1]).raw_serial());
    assert_eq!(serial.len(), certificate(&chain[1]).raw_serial().len());
}

#[test]
fn an_error_response_contains_only_its_status() {
    let refused = respond(1, |knobs| knobs.response_status = 6);
    assert_eq!(refused, [0x30, 3, 0x0A, 1, 6]);
}

#[test]
fn signers_of_manifests_are_answered_about_too() {
    let nvidia = &DEVICE.0;
    for place in 0..3 {
        let der = nvidia.ocsp_of_manifest_signer(place, &OcspKnobs::good(None));
        let response = Response::read(&der);
        let responder = certificate(response.responder.unwrap());
        assert!(response.signed_by(&responder));
        if place == 2 {
            assert!(issued_by(&responder, &certificate(nvidia.manifest_root())));
        }
    }
}
