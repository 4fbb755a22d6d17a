//! Which of the certificate chains is it? Asked only after the verification library refused in
//! words that fit several: the same chains are then built again, one by one, with the same
//! certificate library and the same rules. Nothing is ever accepted here.

use std::time::Duration;

use dcap_webpki as webpki;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{CertRevocationList, OwnedCertRevocationList};

use super::library::Question;
use super::refusal::Stage;
use crate::verdict::id;
use crate::x509::{PemError, pem};

pub(super) enum ChainError {
    Revoked,
    RevocationUnknown(String),
    Invalid(String),
}

/// The first chain that does not hold, in the verification library's order.
pub(super) fn first_failure(question: &Question<'_>) -> Option<(Stage, &'static str, ChainError)> {
    let root = CertificateDer::from_slice(question.root);
    let anchor = webpki::anchor_from_trusted_cert(&root).ok()?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(question.now.secs()));
    let collateral = question.collateral;
    let lists = match [&collateral.root_ca_crl, &collateral.pck_crl]
        .map(|der| OwnedCertRevocationList::from_der(der).map(CertRevocationList::from))
    {
        [Ok(root_list), Ok(pck_list)] => [root_list, pck_list],
        _ => {
            let error = ChainError::RevocationUnknown("it cannot be read".into());
            return Some((Stage::TcbInfo, id::TDX_CRL, error));
        }
    };
    if root_is_revoked(&root, &lists, now) {
        return Some((Stage::TcbInfo, id::TDX_CRL, ChainError::Revoked));
    }
    let chains = [
        (
            Stage::TcbInfo,
            id::TDX_TCB_INFO_SIGNATURE,
            pem::certificates(collateral.tcb_info_issuer_chain.as_bytes()),
        ),
        (
            Stage::QeIdentitySignature,
            id::TDX_QE_IDENTITY_SIGNATURE,
            pem::certificates(collateral.qe_identity_issuer_chain.as_bytes()),
        ),
        (
            Stage::PckChain,
            id::TDX_PCK_CHAIN,
            Ok(question.pck_chain.0.to_vec()),
        ),
    ];
    chains.into_iter().find_map(|(stage, check, certificates)| {
        build(certificates, &anchor, &lists, now)
            .err()
            .map(|error| (stage, check, error))
    })
}

fn root_is_revoked(
    root: &CertificateDer<'_>,
    lists: &[CertRevocationList<'_>],
    now: UnixTime,
) -> bool {
    let lists: Vec<_> = lists.iter().collect();
    webpki::check_single_cert_revocation(root, &lists, &[webpki::ring::ECDSA_P256_SHA256], now)
        .is_err()
}

fn build(
    certificates: Result<Vec<Vec<u8>>, PemError>,
    anchor: &TrustAnchor<'_>,
    lists: &[CertRevocationList<'_>],
    now: UnixTime,
) -> Result<(), ChainError> {
    let invalid = |detail: &str| ChainError::Invalid(detail.to_owned());
    let certificates = certificates.map_err(|error| ChainError::Invalid(error.to_string()))?;
    let certificates: Vec<_> = certificates.into_iter().map(CertificateDer::from).collect();
    let [leaf, issuers @ ..] = certificates.as_slice() else {
        return Err(invalid("no certificate"));
    };
    // The verification library's own bound.
    if issuers.len() > 4 {
        return Err(invalid("too many certificates"));
    }
    let leaf = webpki::EndEntityCert::try_from(leaf).map_err(named)?;
    let lists: Vec<_> = lists.iter().collect();
    let revocation = webpki::RevocationOptionsBuilder::new(&lists)
        .map_err(|_| invalid("no revocation lists"))?
        .with_depth(webpki::RevocationCheckDepth::Chain)
        .with_status_policy(webpki::UnknownStatusPolicy::Deny)
        .with_expiration_policy(webpki::ExpirationPolicy::Enforce)
        .build();
    leaf.verify_for_usage(
        &[webpki::ring::ECDSA_P256_SHA256],
        std::slice::from_ref(anchor),
        issuers,
        now,
        webpki::KeyUsage::server_auth(),
        Some(revocation),
        None,
    )
    .map_err(named)?;
    Ok(())
}

fn named(error: webpki::Error) -> ChainError {
    use webpki::Error;
    match error {
        Error::CertRevoked => ChainError::Revoked,
        Error::UnknownRevocationStatus
        | Error::CrlExpired { .. }
        | Error::InvalidCrlNumber
        | Error::InvalidCrlSignatureForPublicKey
        | Error::IssuerNotCrlSigner
        | Error::UnsupportedCrlVersion => ChainError::RevocationUnknown(error.to_string()),
        other => ChainError::Invalid(other.to_string()),
    }
}
