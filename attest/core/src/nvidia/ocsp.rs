//! Whether NVIDIA has revoked a certificate: an OCSP response (RFC 6960), given or fetched.
//!
//! Accepted is a successful basic response, signed with ECDSA P-384 and SHA-384 by the
//! certificate's issuer or by a responder that this issuer certified for OCSP signing, about this
//! very certificate, and fresh: it answers our nonce, or it is inside its dates and not older than
//! a stated age. Only `good` passes; revoked, on hold and unknown are different errors.
//!
//! No response of NVIDIA's own service is on record here: this follows the RFC and is tested with
//! responses made to it.

use std::time::Duration;

use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, digest};
use ring::signature::{ECDSA_P384_SHA384_ASN1, UnparsedPublicKey};

use crate::collateral::MAX_OCSP_LEN;
use crate::time::UnixTime;
use crate::x509::der::{
    BIT_STRING, ENUMERATED, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE,
    only, take,
};
use crate::x509::{Certificate, IssuerKey, SignedObjectError};

const BASIC_RESPONSE: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
const NONCE: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02];
const ECDSA_SHA384: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03];
const HASHES: [(&[u8], &Algorithm); 3] = [
    (&[0x2B, 0x0E, 0x03, 0x02, 0x1A], &SHA1_FOR_LEGACY_USE_ONLY),
    (
        &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01],
        &SHA256,
    ),
    (
        &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02],
        &SHA384,
    ),
];
/// CRLReason certificateHold (RFC 5280 §5.3.1).
const ON_HOLD: u8 = 6;

/// What makes a response fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspFreshness<'a> {
    /// It must answer this nonce.
    Nonce(&'a [u8]),
    /// It may be no older than this.
    MaxAge(Duration),
}

/// A response that says the certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OcspGood {
    /// When the responder knew it to be good.
    pub this_update: UnixTime,
    /// When there will be newer knowledge, if the response says.
    pub next_update: Option<UnixTime>,
}

/// Why a response does not show a certificate to be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OcspError {
    /// Not a DER OCSP response, or too long.
    #[error("not an OCSP response")]
    Format,
    /// The responder declined to answer.
    #[error("the OCSP responder answered with error status {0}")]
    Unsuccessful(u8),
    /// Neither the issuer nor one it certified for OCSP signing signed.
    #[error("the OCSP responder is not authorized by the certificate's issuer")]
    Responder,
    /// The signature.
    #[error("the OCSP response: {0}")]
    Signature(SignedObjectError),
    /// About other certificates.
    #[error("the OCSP response is not about this certificate")]
    OtherCertificate,
    /// From the future.
    #[error("the OCSP response is not valid before {0}")]
    NotYetValid(UnixTime),
    /// Past its next update, or older than allowed.
    #[error("the OCSP response of {this_update} is too old")]
    Stale {
        /// When it was true.
        this_update: UnixTime,
    },
    /// Another nonce, or none.
    #[error("the OCSP response does not answer our nonce")]
    Nonce,
    /// Revoked.
    #[error("the certificate was revoked at {at}")]
    Revoked {
        /// Since when.
        at: UnixTime,
    },
    /// On hold: revoked for the time being.
    #[error("the certificate is on hold since {at}")]
    OnHold {
        /// Since when.
        at: UnixTime,
    },
    /// The responder does not know it.
    #[error("the OCSP responder does not know the certificate")]
    Unknown,
}

/// Checks that `response` says `certificate` (DER), issued by `issuer` (DER), is good at `now`.
pub fn check_ocsp(
    response: &[u8],
    certificate: &[u8],
    issuer: &[u8],
    freshness: OcspFreshness<'_>,
    now: UnixTime,
) -> Result<OcspGood, OcspError> {
    let certificate = Certificate::parse(certificate).map_err(|_| OcspError::OtherCertificate)?;
    let issuer = Certificate::parse(issuer).map_err(|_| OcspError::Responder)?;
    let basic = Basic::parse(response)?;
    basic.verify(&issuer, now)?;
    let data = ResponseData::parse(basic.data).ok_or(OcspError::Format)?;
    let single = data
        .singles
        .iter()
        .find(|single| single.is_about(&certificate, &issuer))
        .ok_or(OcspError::OtherCertificate)?;
    check_freshness(single, data.nonce, freshness, now)?;
    match single.status {
        Status::Good => Ok(OcspGood {
            this_update: single.this_update,
            next_update: single.next_update,
        }),
        Status::Revoked {
            at,
            reason: Some(ON_HOLD),
        } => Err(OcspError::OnHold { at }),
        Status::Revoked { at, .. } => Err(OcspError::Revoked { at }),
        Status::Unknown => Err(OcspError::Unknown),
    }
}

fn check_freshness(
    single: &Single<'_>,
    nonce: Option<&[u8]>,
    freshness: OcspFreshness<'_>,
    now: UnixTime,
) -> Result<(), OcspError> {
    let this_update = single.this_update;
    if now < this_update {
        return Err(OcspError::NotYetValid(this_update));
    }
    if single.next_update.is_some_and(|next| now > next) {
        return Err(OcspError::Stale { this_update });
    }
    match freshness {
        OcspFreshness::Nonce(sent) if nonce == Some(sent) => Ok(()),
        OcspFreshness::Nonce(_) => Err(OcspError::Nonce),
        OcspFreshness::MaxAge(age) if now <= this_update.plus(age) => Ok(()),
        OcspFreshness::MaxAge(_) => Err(OcspError::Stale { this_update }),
    }
}

/// A basic response, parsed and not verified.
struct Basic<'a> {
    signed: &'a [u8],
    data: &'a [u8],
    signature: &'a [u8],
    responder: Option<&'a [u8]>,
}

impl<'a> Basic<'a> {
    fn parse(response: &'a [u8]) -> Result<Self, OcspError> {
        if response.len() > MAX_OCSP_LEN {
            return Err(OcspError::Format);
        }
        let mut outer = only(response, SEQUENCE).ok_or(OcspError::Format)?.content;
        match take(&mut outer, ENUMERATED)
            .ok_or(OcspError::Format)?
            .content
        {
            [0] => {}
            [status] => return Err(OcspError::Unsuccessful(*status)),
            _ => return Err(OcspError::Format),
        }
        Self::parse_basic(outer).ok_or(OcspError::Format)
    }

    fn parse_basic(response_bytes: &'a [u8]) -> Option<Self> {
        let mut typed = only(only(response_bytes, 0xA0)?.content, SEQUENCE)?.content;
        if take(&mut typed, OBJECT_IDENTIFIER)?.content != BASIC_RESPONSE {
            return None;
        }
        let mut basic = only(only(typed, OCTET_STRING)?.content, SEQUENCE)?.content;
        let data = take(&mut basic, SEQUENCE)?;
        let algorithm = take(&mut basic, SEQUENCE)?;
        if only(algorithm.content, OBJECT_IDENTIFIER)?.content != ECDSA_SHA384 {
            return None;
        }
        let [0, signature @ ..] = take(&mut basic, BIT_STRING)?.content else {
            return None;
        };
        let responder = match basic {
            [] => None,
            certificates => {
                let mut list = only(only(certificates, 0xA0)?.content, SEQUENCE)?.content;
                Some(take(&mut list, SEQUENCE)?.whole)
            }
        };
        Some(Self {
            signed: data.whole,
            data: data.content,
            signature,
            responder,
        })
    }

    /// RFC 6960 §4.2.2.2: signed by the issuer, or by a responder the issuer itself certified.
    fn verify(&self, issuer: &Certificate<'_>, now: UnixTime) -> Result<(), OcspError> {
        let Some(der) = self.responder else {
            return self.verify_under(issuer);
        };
        let responder = Certificate::parse(der).map_err(|_| OcspError::Responder)?;
        let is_issuer = responder.key().is_some() && responder.key() == issuer.key();
        if !is_issuer {
            responder
                .verify_issued_by(issuer)
                .map_err(|_| OcspError::Responder)?;
            let (not_before, not_after) = responder.validity();
            let authorized = responder
                .x509
                .extended_key_usage()
                .ok()
                .flatten()
                .is_some_and(|usage| usage.value.ocsp_signing);
            if !authorized || now < not_before || now > not_after {
                return Err(OcspError::Responder);
            }
        }
        self.verify_under(&responder)
    }

    fn verify_under(&self, signer: &Certificate<'_>) -> Result<(), OcspError> {
        let Some(IssuerKey::P384(key)) = signer.key() else {
            return Err(OcspError::Signature(SignedObjectError::Algorithm));
        };
        UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, key)
            .verify(self.signed, self.signature)
            .map_err(|_| OcspError::Signature(SignedObjectError::Signature))
    }
}

struct ResponseData<'a> {
    singles: Vec<Single<'a>>,
    nonce: Option<&'a [u8]>,
}

#[derive(Clone, Copy)]
enum Status {
    Good,
    Revoked { at: UnixTime, reason: Option<u8> },
    Unknown,
}

struct Single<'a> {
    hash: &'static Algorithm,
    issuer_name_hash: &'a [u8],
    issuer_key_hash: &'a [u8],
    serial: &'a [u8],
    status: Status,
    this_update: UnixTime,
    next_update: Option<UnixTime>,
}

impl<'a> ResponseData<'a> {
    fn parse(data: &'a [u8]) -> Option<Self> {
        let mut rest = data;
        // Version 1 is the default and not written; the responder's id is one of two choices.
        take(&mut rest, 0xA1).or_else(|| take(&mut rest, 0xA2))?;
        take(&mut rest, GENERALIZED_TIME)?;
        let mut list = take(&mut rest, SEQUENCE)?.content;
        let mut singles = Vec::new();
        while !list.is_empty() {
            singles.push(Single::parse(take(&mut list, SEQUENCE)?.content)?);
        }
        let nonce = match rest {
            [] => None,
            extensions => nonce(only(only(extensions, 0xA1)?.content, SEQUENCE)?.content)?,
        };
        Some(Self { singles, nonce })
    }
}

/// The nonce among the response's extensions: `Some(None)` if there is none. RFC 8954 wraps it in
/// an inner OCTET STRING.
fn nonce(mut extensions: &[u8]) -> Option<Option<&[u8]>> {
    let mut found = None;
    while !extensions.is_empty() {
        let mut extension = take(&mut extensions, SEQUENCE)?.content;
        let id = take(&mut extension, OBJECT_IDENTIFIER)?.content;
        let value = only(extension, OCTET_STRING)?.content;
        if id == NONCE {
            found = Some(only(value, OCTET_STRING)?.content);
        }
    }
    Some(found)
}

impl<'a> Single<'a> {
    fn parse(content: &'a [u8]) -> Option<Self> {
        let mut rest = content;
        let mut id = take(&mut rest, SEQUENCE)?.content;
        let mut algorithm = take(&mut id, SEQUENCE)?.content;
        let oid = take(&mut algorithm, OBJECT_IDENTIFIER)?.content;
        let (_, hash) = HASHES.into_iter().find(|(known, _)| *known == oid)?;
        let issuer_name_hash = take(&mut id, OCTET_STRING)?.content;
        let issuer_key_hash = take(&mut id, OCTET_STRING)?.content;
        let serial = only(id, INTEGER)?.content;
        let status = status(&mut rest)?;
        let this_update = time(take(&mut rest, GENERALIZED_TIME)?.content)?;
        let next_update = match take(&mut rest, 0xA0) {
            Some(next) => Some(time(only(next.content, GENERALIZED_TIME)?.content)?),
            None => None,
        };
        Some(Self {
            hash,
            issuer_name_hash,
            issuer_key_hash,
            serial,
            status,
            this_update,
            next_update,
        })
    }

    fn is_about(&self, certificate: &Certificate<'_>, issuer: &Certificate<'_>) -> bool {
        let name = issuer.x509.subject().as_raw();
        let key = issuer.x509.public_key().subject_public_key.data.as_ref();
        digest(self.hash, name).as_ref() == self.issuer_name_hash
            && digest(self.hash, key).as_ref() == self.issuer_key_hash
            && certificate.x509.tbs_certificate.raw_serial() == self.serial
            && certificate.x509.issuer().as_raw() == name
    }
}

fn status(rest: &mut &[u8]) -> Option<Status> {
    if take(rest, 0x80).is_some() {
        return Some(Status::Good);
    }
    if take(rest, 0x82).is_some() {
        return Some(Status::Unknown);
    }
    let mut revoked = take(rest, 0xA1)?.content;
    let at = time(take(&mut revoked, GENERALIZED_TIME)?.content)?;
    let reason = match revoked {
        [] => None,
        explicit => match only(only(explicit, 0xA0)?.content, ENUMERATED)?.content {
            [reason] => Some(*reason),
            _ => return None,
        },
    };
    Some(Status::Revoked { at, reason })
}

/// GeneralizedTime as DER allows it in these structures: `YYYYMMDDHHMMSSZ`.
fn time(content: &[u8]) -> Option<UnixTime> {
    let text = std::str::from_utf8(content).ok()?;
    if text.len() != 15 || !text.is_ascii() {
        return None;
    }
    let part = |range: std::ops::Range<usize>| text.get(range);
    let rfc3339 = format!(
        "{}-{}-{}T{}:{}:{}{}",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(8..10)?,
        part(10..12)?,
        part(12..14)?,
        part(14..15)?
    );
    UnixTime::parse_rfc3339(&rfc3339).ok()
}
