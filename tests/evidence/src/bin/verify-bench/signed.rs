//! The signature checks of each kind of evidence, taken from the evidence itself: the same keys, bytes
//! and signatures that the verification checks.

use anyhow::{Context, Result, bail, ensure};
use x509_parser::pem::Pem;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::bare::{Kind, SignatureCheck, p384_over};
use attest_core::TdxCollateral;
use attest_core::nvidia::UnverifiedDevice;

/// The quoting enclave's report and the quote; then what a verifier needs that has cached nothing:
/// platform's certificate and its authority's, signer of Intel's texts, both texts, both lists.
pub fn quote(quote: &[u8], collateral: &TdxCollateral) -> Result<[Vec<SignatureCheck>; 2]> {
    let parts = QuoteParts::read(quote).context("a quote's end")?;
    let pck_chain = pem(parts.pck_chain)?;
    let [pck, authority, root] = pck_chain.as_slice() else {
        bail!("another chain than platform, authority, root");
    };
    let attestation_key = [&[4], parts.attestation_key].concat();
    let of_the_quote = vec![
        fixed_p256(&key(pck)?, parts.qe_report, parts.qe_report_signature),
        fixed_p256(&attestation_key, parts.signed, parts.signature),
    ];
    let signers = pem(collateral.tcb_info_issuer_chain.as_bytes())?;
    let signer = signers.first().context("a signer")?;
    let same = pem(collateral.qe_identity_issuer_chain.as_bytes())?;
    ensure!(signers == same, "one signer signs both of Intel's texts");
    let same = pem(collateral.pck_crl_issuer_chain.as_bytes())?;
    ensure!(same.first() == Some(authority), "one authority");
    let endorsements = vec![
        certificate(pck, authority)?,
        certificate(authority, root)?,
        certificate(signer, root)?,
        fixed_p256(
            &key(signer)?,
            collateral.tcb_info.as_bytes(),
            &collateral.tcb_info_signature,
        ),
        fixed_p256(
            &key(signer)?,
            collateral.qe_identity.as_bytes(),
            &collateral.qe_identity_signature,
        ),
        list(&collateral.root_ca_crl, root)?,
        list(&collateral.pck_crl, authority)?,
    ];
    Ok([of_the_quote, endorsements])
}

fn fixed_p256(key: &[u8], message: &[u8], signature: &[u8]) -> SignatureCheck {
    SignatureCheck::fixed(Kind::P256, key, message, signature)
}

/// A quote of version 4, of which this is only asked.
struct QuoteParts<'a> {
    signed: &'a [u8],
    signature: &'a [u8],
    attestation_key: &'a [u8],
    qe_report: &'a [u8],
    qe_report_signature: &'a [u8],
    pck_chain: &'a [u8],
}

impl<'a> QuoteParts<'a> {
    fn read(quote: &'a [u8]) -> Option<Self> {
        let (signed, rest) = quote.split_at_checked(48 + 584)?;
        let (_length, rest) = rest.split_at_checked(4)?;
        let (signature, rest) = rest.split_at_checked(64)?;
        let (attestation_key, rest) = rest.split_at_checked(64)?;
        let (_type_and_length, rest) = rest.split_at_checked(6)?;
        let (qe_report, rest) = rest.split_at_checked(384)?;
        let (qe_report_signature, rest) = rest.split_at_checked(64)?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (_auth, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        let (_type, rest) = rest.split_at_checked(2)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        Some(Self {
            signed,
            signature,
            attestation_key,
            qe_report,
            qe_report_signature,
            pck_chain: rest.get(..length)?,
        })
    }
}

/// A device's signature over its report.
pub fn device_report(device: &UnverifiedDevice) -> Result<SignatureCheck> {
    let chain = pem(&device.certificate_chain)?;
    let leaf = chain.first().context("a certificate")?;
    let (message, signature) = device
        .evidence
        .split_last_chunk::<96>()
        .context("a signature")?;
    let key = key(leaf)?;
    Ok(SignatureCheck::fixed(Kind::P384, &key, message, signature))
}

/// A device's certificates, the root's over itself among them.
pub fn device_chain(device: &UnverifiedDevice) -> Result<Vec<SignatureCheck>> {
    chain(&pem(&device.certificate_chain)?)
}

/// A manifest's signature, and those of the certificates it brings.
pub fn manifest(xml: &[u8]) -> Result<Vec<SignatureCheck>> {
    let text = std::str::from_utf8(xml)?;
    let tags = text.split("X509Certificate>").skip(1).step_by(2);
    let blocks = tags.map(|block| {
        let base64 = block.split('<').next().unwrap_or_default();
        format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
    });
    let mut checks = chain(&pem(blocks.collect::<String>().as_bytes())?)?;
    let signed = text.find("SignedInfo").zip(text.rfind("SignedInfo"));
    let (from, to) = signed.context("a signature")?;
    checks.push(p384_over(to - from)?);
    Ok(checks)
}

/// AMD's root, signing key and endorsement key, each signed by the one before it.
pub fn amd_chain(root: &[u8], signing: &[u8], endorsement: &[u8]) -> Result<Vec<SignatureCheck>> {
    chain(&[endorsement, signing, root].map(<[u8]>::to_vec))
}

/// r and s are little-endian numbers in fields of 72 bytes.
pub fn amd_report(report: &[u8], endorsement: &[u8]) -> Result<SignatureCheck> {
    let (message, field) = report.split_at_checked(0x2A0).context("a report")?;
    let (r, s) = (field.get(..48), field.get(72..72 + 48));
    let (r, s) = r.zip(s).context("a signature")?;
    let signature: Vec<u8> = r.iter().rev().chain(s.iter().rev()).copied().collect();
    let key = key(endorsement)?;
    Ok(SignatureCheck::fixed(Kind::P384, &key, message, &signature))
}

/// Each certificate under the next one, the last under itself.
fn chain(ders: &[Vec<u8>]) -> Result<Vec<SignatureCheck>> {
    let issuers = ders.iter().skip(1).chain(ders.last());
    let links = ders.iter().zip(issuers);
    links
        .map(|(one, issuer)| certificate(one, issuer))
        .collect()
}

fn certificate(der: &[u8], issuer: &[u8]) -> Result<SignatureCheck> {
    let (_, read) = X509Certificate::from_der(der)?;
    let (message, signature) = (read.tbs_certificate.as_ref(), &read.signature_value.data);
    under(issuer, message, signature)
}

fn list(der: &[u8], issuer: &[u8]) -> Result<SignatureCheck> {
    let (_, read) = CertificateRevocationList::from_der(der)?;
    let (message, signature) = (read.tbs_cert_list.as_ref(), &read.signature_value.data);
    under(issuer, message, signature)
}

fn under(issuer: &[u8], message: &[u8], signature: &[u8]) -> Result<SignatureCheck> {
    let key = key(issuer)?;
    let kind = match key.len() {
        65 => Kind::P256,
        97 => Kind::P384,
        _ => Kind::Rsa,
    };
    Ok(SignatureCheck::in_certificate(
        kind, &key, message, signature,
    ))
}

fn key(der: &[u8]) -> Result<Vec<u8>> {
    let (_, read) = X509Certificate::from_der(der)?;
    Ok(read.public_key().subject_public_key.data.to_vec())
}

fn pem(text: &[u8]) -> Result<Vec<Vec<u8>>> {
    let blocks = Pem::iter_from_buffer(text.trim_ascii_end());
    let ders = blocks.map(|block| Ok(block?.contents));
    ders.collect()
}
