//! What a test may bend, one thing at a time. The defaults bend nothing. What a report or a manifest
//! says is bent in [`super::evidence::Evidence`] and [`super::manifest::Manifest`] themselves.

pub use crate::intel::knobs::{Dates, Signer};

/// Everything that can be made to differ about a device's certificates and signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceKnobs {
    /// With `Impostor` the whole chain hangs from another root of the same name.
    pub root: Signer,
    /// The place, from the leaf, of a certificate that an impostor signed.
    pub forged: Option<usize>,
    /// The place, from the leaf, of a certificate that has other dates.
    pub dates: Option<(usize, Dates)>,
    /// The place, from the leaf, of a certificate with the wrong authority flag.
    pub flag: Option<usize>,
    pub leaf: Leaf,
    pub firmware: CertifiedFirmware,
    pub shape: ChainShape,
    pub report_signer: Signer,
}

impl Default for DeviceKnobs {
    fn default() -> Self {
        Self {
            root: Signer::Rightful,
            forged: None,
            dates: None,
            flag: None,
            leaf: Leaf::Own,
            firmware: CertifiedFirmware::Running,
            shape: ChainShape::Whole,
            report_signer: Signer::Rightful,
        }
    }
}

/// The certificate of the attestation key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    Own,
    OfAnUnknownChip,
    WithoutSerialNumber,
    OnAnotherCurve,
}

/// The firmware digest in the leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertifiedFirmware {
    Running,
    Another,
    Absent,
    /// Two that are not zero: none can be meant.
    Two,
    /// The whole extension twice.
    TwoExtensions,
}

/// How the chain is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainShape {
    Whole,
    WithoutRoot,
    RootTwice,
    RootFirst,
    /// DER instead of PEM.
    Der,
    /// A block that is not a certificate.
    ForeignBlock,
    /// The certificate at this place, from the leaf, is cut short inside its PEM.
    CutAt(usize),
}

/// Everything that can be made to differ about a manifest's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestKnobs {
    pub root: Signer,
    /// Who signed the signer's certificate.
    pub certified_by: Signer,
    pub intermediate_says_not: bool,
    pub signer_dates: Dates,
    /// Who signed the manifest.
    pub signed_by: Signer,
    pub edited: Edited,
    pub algorithm: Algorithm,
    pub layout: Layout,
    pub key_info: KeyInfo,
}

impl Default for ManifestKnobs {
    fn default() -> Self {
        Self {
            root: Signer::Rightful,
            certified_by: Signer::Rightful,
            intermediate_says_not: false,
            signer_dates: Dates::Current,
            signed_by: Signer::Rightful,
            edited: Edited::Nothing,
            algorithm: Algorithm::Usual,
            layout: Layout::Usual,
            key_info: KeyInfo::LeafToRoot,
        }
    }
}

/// What was changed after the manifest was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    Nothing,
    Version,
    /// A value that was not active is made so.
    Active,
    /// A digit of a value.
    Value,
    /// White space between elements.
    Space,
    /// The signed digest itself.
    Digest,
    /// Attributes in another order and quotes: the same document.
    Spelling,
}

/// One algorithm that is not the usual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Usual,
    Canonicalization,
    SignatureMethod,
    Digest,
    /// The enveloped-signature transform left out.
    NoEnveloped,
    /// A third transform.
    MoreTransforms,
}

/// What stands in the document beside what NVIDIA writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Usual,
    XmlDeclaration,
    Comment,
    ProcessingInstruction,
    Doctype,
    NoSignature,
    TwoSignatures,
    /// The reference names a part of the document.
    PartialReference,
    /// A second payload inside the signature, where the digest does not reach.
    PayloadInSignature,
}

/// Which certificates the signature brings along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyInfo {
    LeafToRoot,
    WithoutRoot,
    /// The root stands first: NVIDIA's are not always last.
    RootFirst,
    WithoutIntermediate,
    Nothing,
}

const DAY: u64 = 86_400;

/// Validity windows; those of [`Dates`] itself are the mock Intel's business.
pub trait Windows {
    fn two_years_around(self, now: u64) -> (u64, u64);
    fn week_around(self, now: u64) -> (u64, u64);
}

impl Windows for Dates {
    fn two_years_around(self, now: u64) -> (u64, u64) {
        match self {
            Self::Current => (now - 90 * DAY, now + 640 * DAY),
            Self::Expired => (now - 731 * DAY, now - DAY),
            Self::NotYetValid => (now + DAY, now + 731 * DAY),
        }
    }

    fn week_around(self, now: u64) -> (u64, u64) {
        match self {
            Self::Current => (now - DAY, now + 6 * DAY),
            Self::Expired => (now - 8 * DAY, now - DAY),
            Self::NotYetValid => (now + DAY, now + 8 * DAY),
        }
    }
}
