//! The security versions of a platform's parts (`TCB_VERSION`, AMD publication 56860).
//!
//! Eight bytes whose order depends on the product:
//!
//! | byte | Milan, Genoa | Turin |
//! |---|---|---|
//! | 0 | boot loader | FMC |
//! | 1 | TEE | boot loader |
//! | 2 | reserved | TEE |
//! | 3 | reserved | SNP |
//! | 4, 5 | reserved | reserved |
//! | 6 | SNP | reserved |
//! | 7 | microcode | microcode |

use std::fmt;

use super::Product;

/// A part of the platform that has a separate security version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// First mutable code; Turin only.
    Fmc,
    /// The secure processor's boot loader.
    BootLoader,
    /// The secure processor's operating system.
    Tee,
    /// The SNP firmware.
    Snp,
    /// CPU microcode.
    Microcode,
}

impl Component {
    /// The name used in policies and verdicts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fmc => "fmc",
            Self::BootLoader => "bootloader",
            Self::Tee => "tee",
            Self::Snp => "snp",
            Self::Microcode => "microcode",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Security versions by component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tcb {
    /// First mutable code; `Some` on Turin.
    pub fmc: Option<u8>,
    /// Boot loader.
    pub boot_loader: u8,
    /// Secure processor operating system.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Microcode.
    pub microcode: u8,
}

/// Reserved bytes of a TCB that are not zero: some part this version does not know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reserved bytes of the TCB version are not zero")]
pub struct ReservedTcbBytes;

impl Tcb {
    /// Reads the eight bytes in the order of `product`.
    pub const fn decode(raw: [u8; 8], product: Product) -> Result<Self, ReservedTcbBytes> {
        match product {
            Product::Milan | Product::Genoa => {
                let [boot_loader, tee, r2, r3, r4, r5, snp, microcode] = raw;
                if (r2 | r3 | r4 | r5) != 0 {
                    return Err(ReservedTcbBytes);
                }
                Ok(Self {
                    fmc: None,
                    boot_loader,
                    tee,
                    snp,
                    microcode,
                })
            }
            Product::Turin => {
                let [fmc, boot_loader, tee, snp, r4, r5, r6, microcode] = raw;
                if (r4 | r5 | r6) != 0 {
                    return Err(ReservedTcbBytes);
                }
                Ok(Self {
                    fmc: Some(fmc),
                    boot_loader,
                    tee,
                    snp,
                    microcode,
                })
            }
        }
    }

    /// Every component this TCB has, with its version.
    pub fn components(&self) -> impl Iterator<Item = (Component, u8)> {
        self.fmc
            .map(|fmc| (Component::Fmc, fmc))
            .into_iter()
            .chain([
                (Component::BootLoader, self.boot_loader),
                (Component::Tee, self.tee),
                (Component::Snp, self.snp),
                (Component::Microcode, self.microcode),
            ])
    }

    /// The version of one component, if this product has it.
    pub fn get(&self, component: Component) -> Option<u8> {
        self.components()
            .find(|(this, _)| *this == component)
            .map(|(_, version)| version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_bytes_depends_on_the_product() {
        let turin = Tcb::decode([1, 2, 3, 4, 0, 0, 0, 81], Product::Turin).unwrap();
        assert_eq!(turin.fmc, Some(1));
        assert_eq!(
            (turin.boot_loader, turin.tee, turin.snp, turin.microcode),
            (2, 3, 4, 81)
        );
        let milan = Tcb::decode([3, 0, 0, 0, 0, 0, 21, 209], Product::Milan).unwrap();
        assert_eq!((milan.fmc, milan.boot_loader, milan.snp), (None, 3, 21));
        assert_eq!(milan.get(Component::Fmc), None);
        assert_eq!(milan.get(Component::Microcode), Some(209));
    }

    #[test]
    fn rejects_an_unknown_component() {
        for byte in 2..=5 {
            let mut raw = [0; 8];
            raw[byte] = 1;
            assert_eq!(Tcb::decode(raw, Product::Genoa), Err(ReservedTcbBytes));
        }
        for byte in 4..=6 {
            let mut raw = [0; 8];
            raw[byte] = 1;
            assert_eq!(Tcb::decode(raw, Product::Turin), Err(ReservedTcbBytes));
        }
    }
}
