//! Reference integrity manifests (RIMs): the measurements NVIDIA says a driver or firmware must
//! have, as signed XML.
//!
//! A manifest is a SWID tag (ISO/IEC 19770-2, TCG "Reference Integrity Manifest Information Model")
//! with an enveloped XML signature: inclusive canonicalization 1.1, SHA-384, ECDSA P-384, and the
//! signer's certificates in KeyInfo. NVIDIA signs one id again over time, with other values and for
//! two years each, so that an id alone does not name its values: pin a manifest by the SHA-256 of
//! its bytes ([`VerifiedRim::digest`]) where that matters.
//!
//! Read with a general XML parser, but only the shape NVIDIA writes is accepted: no DTD, no
//! comments or processing instructions inside, one signature with one reference to the whole
//! document and its two transforms, enveloped signature and canonicalization.

mod canonical;
mod document;
mod signature;

use crate::collateral::MAX_RIM_LEN;
use crate::digest::Sha256Digest;
use crate::time::UnixTime;
use crate::x509::{SignedObjectError, X509Error};

pub(super) use document::ReferenceValue;

/// What a manifest is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RimKind {
    /// A GPU driver.
    Driver,
    /// The firmware of a GPU or a switch.
    Vbios,
}

impl RimKind {
    /// `driver` or `vbios`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Vbios => "vbios",
        }
    }
}

/// Why a manifest is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RimError {
    /// Longer than any manifest.
    #[error("the manifest is too long")]
    TooLong,
    /// Not XML of the accepted subset.
    #[error("the manifest is not XML without DTD, comments and processing instructions")]
    NotXml,
    /// An element or attribute is missing, repeated or has another value than it must have.
    #[error("the manifest's {0} cannot be read")]
    Shape(&'static str),
    /// Signed, canonicalized or digested with other algorithms.
    #[error("the manifest's signature uses another {0}")]
    Algorithm(&'static str),
    /// The content is not what was signed.
    #[error("the manifest was changed after it was signed")]
    Digest,
    /// A certificate of the signer cannot be read.
    #[error("the manifest's signer: {0}")]
    Certificate(X509Error),
    /// The signer does not lead to the pinned root.
    #[error("the manifest's signer does not lead to the root: {0}")]
    Chain(SignedObjectError),
    /// A certificate of the chain has the wrong authority flag.
    #[error("a certificate of the manifest's signer has the wrong authority flag")]
    Authority,
    /// The certificates of the signer are not all valid at this time.
    #[error("the manifest's signer is valid from {not_before} to {not_after}")]
    SignerDates {
        /// From.
        not_before: UnixTime,
        /// To.
        not_after: UnixTime,
    },
    /// The signature does not verify under the signer's key.
    #[error("the manifest's signature does not verify")]
    Signature,
}

/// A manifest, read and not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rim {
    text: String,
}

/// A manifest that NVIDIA's root vouches for. Made by [`Rim::verify`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedRim {
    digest: Sha256Digest,
    product: String,
    version: String,
    values: Vec<ReferenceValue>,
    signer: signature::Signer,
}

impl Rim {
    /// Takes a manifest's bytes; what they say is read when they are verified.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RimError> {
        if bytes.len() > MAX_RIM_LEN {
            return Err(RimError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| RimError::NotXml)?;
        Ok(Self {
            text: text.to_owned(),
        })
    }

    /// The version this claims to be for: enough to pick one of several, and nothing to rely on.
    pub fn claimed_version(&self) -> Option<String> {
        let xml = document::parse(&self.text).ok()?;
        document::read(&xml).ok().map(|content| content.version)
    }

    /// The certificates (DER) it claims to be signed by, in the order they stand in: enough to ask
    /// about their revocation, and nothing to rely on.
    pub fn claimed_signers(&self) -> Vec<Vec<u8>> {
        let signers =
            document::parse(&self.text).and_then(|xml| signature::claimed_certificates(&xml));
        signers.unwrap_or_default()
    }

    /// Verifies signature and signer against the pinned `root` (DER) at `now`, then reads the
    /// values: nothing unsigned is read.
    pub fn verify(&self, root: &[u8], now: UnixTime) -> Result<VerifiedRim, RimError> {
        let rim = self.verify_undated(root)?;
        rim.check_signer_dates(now)?;
        Ok(rim)
    }

    /// The same, whenever the signer's certificates are valid: a manifest is signed once, and what
    /// becomes of those dates is for a policy to say ([`VerifiedRim::check_signer_dates`]).
    pub fn verify_undated(&self, root: &[u8]) -> Result<VerifiedRim, RimError> {
        let xml = document::parse(&self.text)?;
        let signer = signature::verify(&xml, &self.text, root)?;
        let content = document::read(&xml)?;
        Ok(VerifiedRim {
            digest: Sha256Digest::hash(self.text.as_bytes()),
            product: content.product,
            version: content.version,
            values: content.values,
            signer,
        })
    }
}

impl VerifiedRim {
    /// SHA-256 of the manifest's bytes.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// The chip it is for: `GH100`.
    pub fn product(&self) -> &str {
        &self.product
    }

    /// The version it is for: `550.90.07`, `96.00.9F.00.01`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The earliest end of its signer's certificates.
    pub fn valid_until(&self) -> UnixTime {
        self.signer.not_after
    }

    /// Whether all certificates of its signer are valid at `now`.
    pub(crate) fn check_signer_dates(&self, now: UnixTime) -> Result<(), RimError> {
        let (not_before, not_after) = (self.signer.not_before, self.signer.not_after);
        if now < not_before || now > not_after {
            return Err(RimError::SignerDates {
                not_before,
                not_after,
            });
        }
        Ok(())
    }

    /// The certificates of its signer (DER), from the one that signed up to the root.
    pub(crate) fn signer_chain(&self) -> &[Vec<u8>] {
        &self.signer.chain
    }

    pub(super) fn values(&self) -> &[ReferenceValue] {
        &self.values
    }
}
