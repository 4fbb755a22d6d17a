//! AMD processor families, as far as attestation tells them apart.
//!
//! Bergamo and Siena (CPUID family 19h, models A0h-AFh) are endorsed under Genoa's root.

use crate::roots::RootKind;

/// A product line: it decides the root, the TCB layout and the length of a hardware id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    /// Third generation EPYC.
    Milan,
    /// Fourth generation EPYC, with Bergamo and Siena.
    Genoa,
    /// Fifth generation EPYC.
    Turin,
}

impl Product {
    /// Every product line.
    pub const ALL: [Self; 3] = [Self::Milan, Self::Genoa, Self::Turin];

    /// From CPUID family, model and stepping, as reports of version 3 and later carry them.
    pub(crate) const fn from_cpuid([family, model, _stepping]: [u8; 3]) -> Option<Self> {
        match (family, model) {
            (0x19, 0x00..=0x0F) => Some(Self::Milan),
            (0x19, 0x10..=0x1F | 0xA0..=0xAF) => Some(Self::Genoa),
            (0x1A, 0x00..=0x11) => Some(Self::Turin),
            _ => None,
        }
    }

    /// The name used in certificates and by the key distribution service.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// Which of AMD's roots its endorsement keys lead to.
    pub(crate) const fn root_kind(self) -> RootKind {
        match self {
            Self::Milan => RootKind::AmdMilan,
            Self::Genoa => RootKind::AmdGenoa,
            Self::Turin => RootKind::AmdTurin,
        }
    }

    /// From the `productName` of an endorsement key's certificate: `Milan-B0`, `Genoa`, `Turin`.
    /// What follows a hyphen is a stepping. Siena and Bergamo certificates say so or say Genoa.
    pub(crate) fn from_certificate_name(name: &str) -> Option<Self> {
        let line = name.split_once('-').map_or(name, |(line, _stepping)| line);
        match line {
            "Milan" => Some(Self::Milan),
            "Genoa" | "Bergamo" | "Siena" => Some(Self::Genoa),
            "Turin" => Some(Self::Turin),
            _ => None,
        }
    }

    /// How many bytes of the chip id an endorsement key's certificate names.
    pub const fn hwid_len(self) -> usize {
        match self {
            Self::Milan | Self::Genoa => 64,
            Self::Turin => 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siena_and_bergamo_belong_to_genoa() {
        assert_eq!(Product::from_cpuid([0x19, 0xA0, 2]), Some(Product::Genoa));
        assert_eq!(Product::from_cpuid([0x19, 0x11, 1]), Some(Product::Genoa));
        assert_eq!(Product::from_cpuid([0x19, 0x01, 1]), Some(Product::Milan));
        assert_eq!(Product::from_cpuid([0x1A, 0x02, 1]), Some(Product::Turin));
        assert_eq!(Product::from_cpuid([0x17, 0x31, 0]), None);
        assert_eq!(
            Product::from_certificate_name("Siena"),
            Some(Product::Genoa)
        );
    }

    #[test]
    fn a_stepping_may_follow_the_name_and_nothing_else_may() {
        assert_eq!(
            Product::from_certificate_name("Milan-B0"),
            Some(Product::Milan)
        );
        assert_eq!(
            Product::from_certificate_name("Milan"),
            Some(Product::Milan)
        );
        assert_eq!(Product::from_certificate_name("Milano"), None);
        assert_eq!(Product::from_certificate_name(""), None);
    }
}
