//! From a pinned AMD root key to an endorsement key.
//!
//! ARK (pinned, per product line) → ASK for a VCEK, ASVK for a VLEK → the endorsement key. Each
//! link: issuer's name, RSASSA-PSS signature, dates, authority flag, and the name AMD gives that
//! link, so that a key of one kind or product can't stand in for another. No path building: the
//! chain has three links and their order is known.

use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::{Product, VekClaims, VekError, VekKind};
use crate::time::UnixTime;
use crate::x509::{Certificate, SignedObject, SignedObjectError, Validities, X509Error, unix};

/// A revocation list of this hierarchy is well below this.
const MAX_CRL_LEN: usize = 256 << 10;

/// Which certificate of the chain something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// The root key.
    Ark,
    /// The signing key: ASK or ASVK.
    Ask,
    /// The endorsement key: VCEK or VLEK.
    Vek,
}

impl Link {
    /// `ARK`, `ASK` or `VEK`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ark => "ARK",
            Self::Ask => "ASK",
            Self::Vek => "VEK",
        }
    }
}

/// Why an endorsement key does not lead back to the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A certificate cannot be read.
    #[error("{}: {error}", link.as_str())]
    Format {
        /// Whose.
        link: Link,
        /// What is wrong with it.
        error: X509Error,
    },
    /// The endorsement key's certificate lacks what AMD puts into it.
    #[error(transparent)]
    Claims(#[from] VekError),
    /// A certificate's subject is not the name AMD gives this link for this product and key kind.
    #[error("{} has another name than this chain's", link.as_str())]
    Name {
        /// Whose.
        link: Link,
    },
    /// A certificate that signs others says that it may not.
    #[error("{} is not a certificate authority", link.as_str())]
    NotAnAuthority {
        /// Whose.
        link: Link,
    },
    /// A certificate is not signed by the one before it.
    #[error("{}: {error}", link.as_str())]
    Signature {
        /// Whose signature.
        link: Link,
        /// What is wrong with it.
        error: SignedObjectError,
    },
    /// A certificate is not valid yet.
    #[error("{} is not valid before {not_before}", link.as_str())]
    NotYetValid {
        /// Whose.
        link: Link,
        /// From when.
        not_before: UnixTime,
    },
    /// A certificate is not valid any more.
    #[error("{} was valid until {not_after}", link.as_str())]
    Expired {
        /// Whose.
        link: Link,
        /// Until when.
        not_after: UnixTime,
    },
}

/// Why a revocation list is not usable, or revokes a certificate of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// Not one DER revocation list, or too long.
    #[error("not a DER revocation list")]
    Format,
    /// Not signed by the root key.
    #[error("the revocation list: {0}")]
    Signature(SignedObjectError),
    /// From the future.
    #[error("the revocation list is not valid before {0}")]
    NotYetValid(UnixTime),
    /// A newer one must exist by now, or it does not say until when it holds.
    #[error("the revocation list has expired")]
    Expired,
    /// The signing key has been revoked.
    #[error("the {} has been revoked", .0.as_str())]
    Revoked(Link),
}

/// An endorsement key whose certificate leads to AMD's root. Whether its chain is valid is checked
/// for every time it is used: [`AuthenticVek::at`]. Made by [`authenticate_chain`] only.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AuthenticVek {
    claims: VekClaims,
    /// Of ARK, ASK and VEK.
    validities: Validities,
}

impl AuthenticVek {
    /// What may be relied on at `now`: nothing outside the dates of its chain.
    pub(crate) fn at(&self, now: UnixTime) -> Result<VerifiedVek, ChainError> {
        let valid_until = self.validities.at(now).map_err(|outside| {
            let link = match outside.place {
                0 => Link::Ark,
                1 => Link::Ask,
                _ => Link::Vek,
            };
            if now < outside.not_before {
                ChainError::NotYetValid {
                    link,
                    not_before: outside.not_before,
                }
            } else {
                ChainError::Expired {
                    link,
                    not_after: outside.not_after,
                }
            }
        })?;
        Ok(VerifiedVek {
            claims: self.claims.clone(),
            valid_until,
        })
    }
}

/// An endorsement key that AMD's root vouches for at a stated time. Made by `AuthenticVek::at`
/// only:
///
/// ```compile_fail
/// fn forge(
///     claims: attest_core::snp::VekClaims,
///     valid_until: attest_core::UnixTime,
/// ) -> attest_core::snp::VerifiedVek {
///     attest_core::snp::VerifiedVek { claims, valid_until }
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct VerifiedVek {
    claims: VekClaims,
    valid_until: UnixTime,
}

impl VerifiedVek {
    /// What AMD certified.
    pub fn claims(&self) -> &VekClaims {
        &self.claims
    }

    /// The earliest end of any certificate of the chain.
    pub fn valid_until(&self) -> UnixTime {
        self.valid_until
    }
}

/// Verifies `vek` under `ask` under the pinned `ark` of `product`, all DER, at `now`.
pub fn verify_chain(
    vek: &[u8],
    ask: &[u8],
    ark: &[u8],
    product: Product,
    now: UnixTime,
) -> Result<VerifiedVek, ChainError> {
    authenticate_chain(vek, ask, ark, product)?.at(now)
}

/// Verifies the signatures and names of `vek` under `ask` under the pinned `ark` of `product`, all
/// DER.
pub(crate) fn authenticate_chain(
    vek: &[u8],
    ask: &[u8],
    ark: &[u8],
    product: Product,
) -> Result<AuthenticVek, ChainError> {
    let read =
        |link, der| Certificate::parse(der).map_err(|error| ChainError::Format { link, error });
    let ark = read(Link::Ark, ark)?;
    let ask = read(Link::Ask, ask)?;
    let vek = read(Link::Vek, vek)?;

    signed_by(Link::Ark, &ark, &ark)?;
    signed_by(Link::Ask, &ask, &ark)?;
    signed_by(Link::Vek, &vek, &ask)?;
    authority(Link::Ark, &ark)?;
    authority(Link::Ask, &ask)?;

    let claims = VekClaims::from_certificate(&vek)?;
    named(Link::Ark, &ark, &format!("ARK-{}", product.as_str()))?;
    named(Link::Ask, &ask, &signing_key_name(claims.kind, product))?;
    if claims.product != product {
        return Err(ChainError::Name { link: Link::Vek });
    }

    Ok(AuthenticVek {
        claims,
        validities: Validities::from_chain(&[ark, ask, vek]),
    })
}

/// When a revocation list says it was issued. Nothing to rely on unless [`check_revocation`] holds.
pub(crate) fn revocation_list_issued(crl: &[u8]) -> Option<UnixTime> {
    let (_, list) = CertificateRevocationList::from_der(crl).ok()?;
    Some(unix(list.last_update().timestamp()))
}

/// Checks the signing key `ask` against a revocation list signed by `ark`. AMD gives every
/// endorsement key the serial number zero, so a list can only name signing keys.
pub fn check_revocation(
    crl: &[u8],
    ask: &[u8],
    ark: &[u8],
    now: UnixTime,
) -> Result<UnixTime, RevocationError> {
    let ark = Certificate::parse(ark).map_err(|_| RevocationError::Format)?;
    let ask = Certificate::parse(ask).map_err(|_| RevocationError::Format)?;
    let list = if crl.len() <= MAX_CRL_LEN { crl } else { &[] };
    let signed = SignedObject::split(list).map_err(|_| RevocationError::Format)?;
    let Ok(([], list)) = CertificateRevocationList::from_der(list) else {
        return Err(RevocationError::Format);
    };
    // RFC 5280 §5.1.1.2: the algorithm inside the signed part is the one outside it.
    if list.tbs_cert_list.signature != list.signature_algorithm {
        return Err(RevocationError::Format);
    }
    if list.issuer().as_raw() != ark.x509.subject().as_raw() {
        return Err(RevocationError::Signature(SignedObjectError::Issuer));
    }
    let key = ark.key().ok_or(RevocationError::Format)?;
    signed.verify(key).map_err(RevocationError::Signature)?;

    let from = unix(list.last_update().timestamp());
    if now < from {
        return Err(RevocationError::NotYetValid(from));
    }
    let until = list.next_update().map(|end| unix(end.timestamp()));
    let until = until
        .filter(|until| now <= *until)
        .ok_or(RevocationError::Expired)?;
    let serial = ask.x509.tbs_certificate.raw_serial();
    if list
        .iter_revoked_certificates()
        .any(|revoked| revoked.raw_serial() == serial)
    {
        return Err(RevocationError::Revoked(Link::Ask));
    }
    Ok(until)
}

fn signing_key_name(kind: VekKind, product: Product) -> String {
    match kind {
        VekKind::Vcek => format!("SEV-{}", product.as_str()),
        VekKind::Vlek => format!("SEV-VLEK-{}", product.as_str()),
    }
}

fn signed_by(
    link: Link,
    certificate: &Certificate<'_>,
    issuer: &Certificate<'_>,
) -> Result<(), ChainError> {
    certificate
        .verify_issued_by(issuer)
        .map_err(|error| ChainError::Signature { link, error })
}

fn authority(link: Link, certificate: &Certificate<'_>) -> Result<(), ChainError> {
    if certificate.x509.is_ca() {
        Ok(())
    } else {
        Err(ChainError::NotAnAuthority { link })
    }
}

fn named(link: Link, certificate: &Certificate<'_>, name: &str) -> Result<(), ChainError> {
    if certificate.common_name() == Some(name) {
        Ok(())
    } else {
        Err(ChainError::Name { link })
    }
}
