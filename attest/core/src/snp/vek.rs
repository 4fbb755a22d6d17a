//! The endorsement key's certificate: what AMD certified about the chip (VCEK) or the cloud (VLEK)
//! whose key signs reports. These values are the ones to believe, not the report's own.
//!
//! Extensions under 1.3.6.1.4.1.3704.1 (AMD publication 57230, "VCEK certificate fields"): `.2`
//! product name, `.3.1` boot loader, `.3.2` TEE, `.3.3` SNP, `.3.4`-`.3.7` reserved, `.3.8`
//! microcode, `.3.9` FMC (Turin), `.4` hardware id (VCEK), `.5` the cloud's id (VLEK).

use super::{Product, Tcb, VekKind};
use crate::x509::{Certificate, IssuerKey, X509Error};

/// Length of an uncompressed P-384 point.
const P384_POINT_LEN: usize = 97;

const AMD_ARC: &str = "1.3.6.1.4.1.3704.1.";

/// Why a certificate is not an endorsement key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VekError {
    /// Not a certificate.
    #[error(transparent)]
    Certificate(#[from] X509Error),
    /// A subject that is neither SEV-VCEK nor SEV-VLEK.
    #[error("the certificate's subject is neither SEV-VCEK nor SEV-VLEK")]
    NotAnEndorsementKey,
    /// A key that is not on P-384.
    #[error("the endorsement key is not on P-384")]
    NotP384,
    /// One of AMD's extensions stands twice.
    #[error("an extension of the endorsement key's certificate stands twice")]
    Repeated,
    /// The product name extension is absent or names no known product.
    #[error("the endorsement key's certificate names no known product")]
    Product,
    /// A security version is absent, not a byte, or of a component this version does not know and
    /// not zero.
    #[error("the endorsement key's security versions cannot be read")]
    SecurityVersions,
    /// The hardware id has a length that is not this product's.
    #[error("the endorsement key's hardware id has the wrong length")]
    HardwareId,
}

/// What an endorsement key's certificate says. Anyone can read these from a certificate; that AMD
/// said them is shown by [`super::VerifiedVek`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VekClaims {
    /// VCEK or VLEK, by the subject's name.
    pub kind: VekKind,
    /// The product line.
    pub product: Product,
    /// The TCB this key was derived for.
    pub tcb: Tcb,
    /// The chip: 64 bytes, on Turin the first 8. `None` for a VLEK.
    pub hwid: Option<Vec<u8>>,
    /// The cloud a VLEK was issued to.
    pub csp_id: Option<String>,
    /// The key, as an uncompressed point.
    pub public_key: [u8; P384_POINT_LEN],
}

impl VekClaims {
    /// Reads the claims of a DER certificate without verifying who signed it.
    pub fn parse(der: &[u8]) -> Result<Self, VekError> {
        Self::from_certificate(&Certificate::parse(der)?)
    }

    pub(super) fn from_certificate(certificate: &Certificate<'_>) -> Result<Self, VekError> {
        let kind = match certificate.common_name() {
            Some("SEV-VCEK") => VekKind::Vcek,
            Some("SEV-VLEK") => VekKind::Vlek,
            _ => return Err(VekError::NotAnEndorsementKey),
        };
        let extensions = AmdExtensions::from_certificate(certificate);
        let name = extensions.one("2")?.and_then(ia5_string);
        let product = name
            .and_then(Product::from_certificate_name)
            .ok_or(VekError::Product)?;
        Ok(Self {
            kind,
            product,
            tcb: security_versions(&extensions, product)?,
            hwid: hardware_id(&extensions, product)?,
            csp_id: extensions.one("5")?.and_then(ia5_string).map(str::to_owned),
            public_key: p384_point(certificate)?,
        })
    }
}

/// The certificate's extensions below AMD's arc, by the rest of their id.
struct AmdExtensions<'a>(Vec<(String, &'a [u8])>);

impl<'a> AmdExtensions<'a> {
    fn from_certificate(certificate: &'a Certificate<'_>) -> Self {
        let below = |extension: &'a x509_parser::prelude::X509Extension<'_>| {
            let id = extension.oid.to_id_string();
            id.strip_prefix(AMD_ARC)
                .map(|rest| (rest.to_owned(), extension.value))
        };
        Self(
            certificate
                .x509
                .extensions()
                .iter()
                .filter_map(below)
                .collect(),
        )
    }

    /// The value of an extension that may stand once.
    fn one(&self, id: &str) -> Result<Option<&'a [u8]>, VekError> {
        let mut values = self
            .0
            .iter()
            .filter(|(this, _)| this == id)
            .map(|(_, value)| *value);
        match (values.next(), values.next()) {
            (found, None) => Ok(found),
            (_, Some(_)) => Err(VekError::Repeated),
        }
    }

    fn version(&self, id: &str) -> Result<Option<u8>, VekError> {
        let Some(value) = self.one(id)? else {
            return Ok(None);
        };
        match value {
            [0x02, 0x01, version @ 0..=0x7F] => Ok(Some(*version)),
            // DER puts a zero in front where the sign bit would be set.
            [0x02, 0x02, 0x00, version @ 0x80..=0xFF] => Ok(Some(*version)),
            _ => Err(VekError::SecurityVersions),
        }
    }

    fn required_version(&self, id: &str) -> Result<u8, VekError> {
        self.version(id)?.ok_or(VekError::SecurityVersions)
    }
}

fn security_versions(extensions: &AmdExtensions<'_>, product: Product) -> Result<Tcb, VekError> {
    for reserved in ["3.4", "3.5", "3.6", "3.7"] {
        if extensions
            .version(reserved)?
            .is_some_and(|version| version != 0)
        {
            return Err(VekError::SecurityVersions);
        }
    }
    let fmc = match (product, extensions.version("3.9")?) {
        (Product::Turin, Some(fmc)) => Some(fmc),
        (Product::Milan | Product::Genoa, None) => None,
        _ => return Err(VekError::SecurityVersions),
    };
    Ok(Tcb {
        fmc,
        boot_loader: extensions.required_version("3.1")?,
        tee: extensions.required_version("3.2")?,
        snp: extensions.required_version("3.3")?,
        microcode: extensions.required_version("3.8")?,
    })
}

/// The hardware id stands raw in the extension, not wrapped in an inner OCTET STRING.
fn hardware_id(
    extensions: &AmdExtensions<'_>,
    product: Product,
) -> Result<Option<Vec<u8>>, VekError> {
    match extensions.one("4")? {
        None => Ok(None),
        Some(id) if id.len() == product.hwid_len() => Ok(Some(id.to_vec())),
        Some(_) => Err(VekError::HardwareId),
    }
}

fn ia5_string(value: &[u8]) -> Option<&str> {
    match value {
        [0x16, len, text @ ..] if usize::from(*len) == text.len() && text.is_ascii() => {
            std::str::from_utf8(text).ok()
        }
        _ => None,
    }
}

fn p384_point(certificate: &Certificate<'_>) -> Result<[u8; P384_POINT_LEN], VekError> {
    match certificate.key() {
        Some(IssuerKey::P384(point)) => point.try_into().map_err(|_| VekError::NotP384),
        _ => Err(VekError::NotP384),
    }
}
