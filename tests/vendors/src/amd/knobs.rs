//! What a test may bend about certificates and signatures, one thing at a time. What a report says
//! is bent in the [`super::report::GuestReport`] itself.

use super::SecurityVersions;
pub use crate::intel::knobs::{Dates, Signer};

/// Everything that can be made to differ from a healthy machine with good certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knobs {
    pub processor: Processor,
    pub key: EndorsementKey,
    /// Whose is the root: with `Impostor` the whole chain hangs from another root of the same name.
    pub root: Signer,
    pub ask_signer: Signer,
    pub vek_signer: Signer,
    pub names: Names,
    pub authorities: Authorities,
    pub algorithm: Algorithm,
    pub ark_dates: Dates,
    pub ask_dates: Dates,
    pub vek_dates: Dates,
    /// What the endorsement key's certificate says of the firmware.
    pub certified: SecurityVersions,
    pub claims: Claims,
    pub crl: CrlKnobs,
    pub report_signer: ReportSigner,
    pub signature_field: SignatureField,
}

impl Knobs {
    pub fn healthy(processor: Processor, key: EndorsementKey) -> Self {
        Self {
            processor,
            key,
            root: Signer::Rightful,
            ask_signer: Signer::Rightful,
            vek_signer: Signer::Rightful,
            names: Names::Own,
            authorities: Authorities::Both,
            algorithm: Algorithm::PssSha384,
            ark_dates: Dates::Current,
            ask_dates: Dates::Current,
            vek_dates: Dates::Current,
            certified: SecurityVersions::CURRENT,
            claims: Claims::Faithful,
            crl: CrlKnobs::default(),
            report_signer: ReportSigner::Endorsed,
            signature_field: SignatureField::Canonical,
        }
    }
}

/// Which processor the report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    Milan,
    Genoa,
    /// Endorsed under Genoa's names.
    Siena,
    Turin,
}

impl Processor {
    pub const ALL: [Self; 4] = [Self::Milan, Self::Genoa, Self::Siena, Self::Turin];

    /// The product line in the authorities' names.
    pub const fn line(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa | Self::Siena => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// `productName` of an endorsement key's certificate. A chip key's may carry a stepping.
    pub const fn product_name(self, key: EndorsementKey) -> &'static str {
        match (self, key) {
            (Self::Milan, EndorsementKey::Vcek) => "Milan-B0",
            _ => self.line(),
        }
    }

    /// CPUID family, model and stepping.
    pub const fn cpuid(self) -> [u8; 3] {
        match self {
            Self::Milan => [0x19, 0x01, 0x01],
            Self::Genoa => [0x19, 0x11, 0x01],
            Self::Siena => [0x19, 0xA0, 0x02],
            Self::Turin => [0x1A, 0x02, 0x01],
        }
    }

    /// Bytes of the chip id that a chip key's certificate names.
    pub const fn hwid_len(self) -> usize {
        match self {
            Self::Turin => 8,
            _ => 64,
        }
    }
}

/// The processor's own key, or one that a cloud loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndorsementKey {
    Vcek,
    Vlek,
}

impl EndorsementKey {
    pub const fn common_name(self) -> &'static str {
        match self {
            Self::Vcek => "SEV-VCEK",
            Self::Vlek => "SEV-VLEK",
        }
    }
}

/// What the authorities are called. Each certificate is issued under the name its issuer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    Own,
    ArkOfAnotherProduct,
    AskOfAnotherProduct,
    /// A loaded key under the authority of chip keys, or the other way about.
    AskOfTheOtherKind,
    /// The endorsement key's certificate names an issuer that its issuer is not.
    VekIssuedUnderAnotherName,
    /// The endorsement key's certificate is called neither SEV-VCEK nor SEV-VLEK.
    VekIsNoEndorsementKey,
}

/// Which of the two authorities say that they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorities {
    Both,
    ArkSaysNot,
    AskSaysNot,
    /// No basic constraints at all.
    AskDoesNotSay,
}

/// What the endorsement key's certificate names as its signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    PssSha384,
    /// A spelling that the verifier has no reason to accept.
    PssSha256,
}

/// How the endorsement key's certificate speaks of the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claims {
    Faithful,
    AnotherChip,
    NoHardwareId,
    /// A loaded key bound to a chip, which AMD does not make.
    HardwareIdInLoadedKey,
    ShortHardwareId,
    /// The hardware id wrapped in another OCTET STRING.
    WrappedHardwareId,
    AnotherProduct,
    UnknownProduct,
    NoProduct,
    NoMicrocodeVersion,
    /// A version above 0x7F written in one byte, which is a negative number.
    NegativeVersion,
    /// A small version with a needless zero before it.
    PaddedVersion,
    ReservedVersionInUse,
    /// A first mutable code version where the product has none, or none where it has one.
    FmcOfTheOtherLayout,
    RepeatedExtension,
    /// A key on P-256.
    AnotherCurve,
}

/// What the revocation list says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlKnobs {
    pub dates: Dates,
    pub revoked: Revoked,
    pub signer: CrlSigner,
}

impl Default for CrlKnobs {
    fn default() -> Self {
        Self {
            dates: Dates::Current,
            revoked: Revoked::AnotherSerial,
            signer: CrlSigner::Ark,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    Nothing,
    AnotherSerial,
    Ask,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlSigner {
    Ark,
    /// An impostor's key under the root's name.
    Impostor,
    /// The signing key, under its own name.
    Ask,
}

/// Whose key signs reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportSigner {
    Endorsed,
    Impostor,
}

/// How the signature is written into its 512 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureField {
    Canonical,
    /// A one in the bytes of r that a P-384 number does not reach.
    HighByteOfR,
    HighByteOfS,
    ReservedByte,
    BigEndian,
}
