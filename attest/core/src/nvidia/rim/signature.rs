//! The enveloped XML signature of a manifest (W3C "XML Signature Syntax and Processing" 1.1).

use ring::digest::{SHA384, digest};
use ring::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use roxmltree::{Document, Node};

use super::RimError;
use super::canonical::{canonicalize, canonicalize_document};
use crate::encoding::parse_base64;
use crate::time::UnixTime;
use crate::x509::{Certificate, IssuerKey};

const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const C14N: &str = "http://www.w3.org/2006/12/xml-c14n11";
const ECDSA_SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384";
const SHA384_URI: &str = "http://www.w3.org/2001/04/xmldsig-more#sha384";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const MAX_CHAIN: usize = 6;
const MAX_CERTIFICATE_LEN: usize = 8 << 10;

/// Who signed: certificates from the one that signed up to the root, and when all of them are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signer {
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
}

/// Verifies the document's one signature and its signer, whose dates are left to the caller.
pub(super) fn verify(xml: &Document<'_>, source: &str, root: &[u8]) -> Result<Signer, RimError> {
    let signature = only(xml.root_element(), "Signature")?;
    let signed_info = only(signature, "SignedInfo")?;
    check_algorithms(signed_info)?;
    check_reference(xml, source, signature, only(signed_info, "Reference")?)?;

    let ders = certificates(only(signature, "KeyInfo")?)?;
    let (leaf, signer) = verify_signer(&ders, root)?;
    let value = base64_text(only(signature, "SignatureValue")?, "SignatureValue", 128)?;
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, leaf)
        .verify(&canonicalize(signed_info, source, None)?, &value)
        .map_err(|_| RimError::Signature)?;
    Ok(signer)
}

/// The certificates in KeyInfo, whatever they are worth.
pub(super) fn claimed_certificates(xml: &Document<'_>) -> Result<Vec<Vec<u8>>, RimError> {
    let signature = only(xml.root_element(), "Signature")?;
    certificates(only(signature, "KeyInfo")?)
}

fn check_algorithms(signed_info: Node<'_, '_>) -> Result<(), RimError> {
    let canonicalization = only(signed_info, "CanonicalizationMethod")?;
    if canonicalization.attribute("Algorithm") != Some(C14N) {
        return Err(RimError::Algorithm("canonicalization"));
    }
    let method = only(signed_info, "SignatureMethod")?;
    if method.attribute("Algorithm") != Some(ECDSA_SHA384) {
        return Err(RimError::Algorithm("signature method"));
    }
    Ok(())
}

/// The one reference covers the whole document but the signature, and its digest is right.
fn check_reference(
    xml: &Document<'_>,
    source: &str,
    signature: Node<'_, '_>,
    reference: Node<'_, '_>,
) -> Result<(), RimError> {
    if reference.attribute("URI") != Some("") {
        return Err(RimError::Shape("Reference URI"));
    }
    check_transforms(only(reference, "Transforms")?)?;
    let method = only(reference, "DigestMethod")?;
    if method.attribute("Algorithm") != Some(SHA384_URI) {
        return Err(RimError::Algorithm("digest method"));
    }
    let stated = base64_text(only(reference, "DigestValue")?, "DigestValue", 48)?;
    let content = canonicalize_document(xml, source, signature.id())?;
    if digest(&SHA384, &content).as_ref() == stated {
        Ok(())
    } else {
        Err(RimError::Digest)
    }
}

/// Exactly: take the signature out, canonicalize.
fn check_transforms(transforms: Node<'_, '_>) -> Result<(), RimError> {
    let algorithms: Vec<_> = transforms
        .children()
        .filter(Node::is_element)
        .map(|transform| {
            (
                transform.has_tag_name((DSIG, "Transform")),
                transform.attribute("Algorithm"),
            )
        })
        .collect();
    match algorithms.as_slice() {
        [(true, Some(ENVELOPED)), (true, Some(C14N))] => Ok(()),
        _ => Err(RimError::Algorithm("transform")),
    }
}

fn certificates(key_info: Node<'_, '_>) -> Result<Vec<Vec<u8>>, RimError> {
    let data = only(key_info, "X509Data")?;
    let ders = data
        .children()
        .filter(|child| child.has_tag_name((DSIG, "X509Certificate")))
        .map(|node| base64_text(node, "X509Certificate", MAX_CERTIFICATE_LEN))
        .collect::<Result<Vec<_>, _>>()?;
    if ders.is_empty() || ders.len() > MAX_CHAIN {
        return Err(RimError::Shape("X509Data"));
    }
    Ok(ders)
}

/// Walks from the first certificate to the pinned root, which may or may not be among them.
/// Returns the leaf's key too.
fn verify_signer(ders: &[Vec<u8>], root: &[u8]) -> Result<(Vec<u8>, Signer), RimError> {
    let ders = ders.iter().map(Vec::as_slice).filter(|der| *der != root);
    let ders: Vec<&[u8]> = ders.chain([root]).collect();
    let mut chain = Vec::with_capacity(ders.len());
    for der in &ders {
        chain.push(Certificate::parse(der).map_err(RimError::Certificate)?);
    }
    let mut signer = Signer {
        chain: ders.iter().map(|der| der.to_vec()).collect(),
        not_before: UnixTime::from_secs(0),
        not_after: UnixTime::from_secs(u64::MAX),
    };
    for (place, certificate) in chain.iter().enumerate() {
        let issuer = chain.get(place + 1).unwrap_or(certificate);
        certificate
            .verify_issued_by(issuer)
            .map_err(RimError::Chain)?;
        if place > 0 && !certificate.x509.is_ca() {
            return Err(RimError::Authority);
        }
        let (not_before, not_after) = certificate.validity();
        signer.not_before = signer.not_before.max(not_before);
        signer.not_after = signer.not_after.min(not_after);
    }
    match chain.first().and_then(Certificate::key) {
        Some(IssuerKey::P384(key)) if chain.len() > 1 => Ok((key.to_vec(), signer)),
        _ => Err(RimError::Algorithm("signer's key")),
    }
}

/// Base64 may be broken over lines in XML; apart from white space it is canonical.
fn base64_text(
    node: Node<'_, '_>,
    name: &'static str,
    max_len: usize,
) -> Result<Vec<u8>, RimError> {
    let text: String = node
        .text()
        .unwrap_or_default()
        .chars()
        .filter(|character| !character.is_ascii_whitespace())
        .collect();
    parse_base64(&text, max_len).map_err(|_| RimError::Shape(name))
}

fn only<'a, 'i>(parent: Node<'a, 'i>, name: &'static str) -> Result<Node<'a, 'i>, RimError> {
    let mut found = parent
        .children()
        .filter(|child| child.has_tag_name((DSIG, name)));
    match (found.next(), found.next()) {
        (Some(child), None) => Ok(child),
        _ => Err(RimError::Shape(name)),
    }
}
