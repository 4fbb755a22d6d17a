//! The kinds of devices and what healthy ones of each run.

use ring::digest::{SHA384, digest};

/// A GPU or a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chip {
    Hopper,
    Blackwell,
    Ls10,
}

/// Where a published measurement comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Driver,
    /// The firmware of a GPU or a switch.
    Vbios,
}

impl Chip {
    pub const ALL: [Self; 3] = [Self::Hopper, Self::Blackwell, Self::Ls10];

    /// As certificates name it.
    pub(super) const fn family(self) -> &'static str {
        match self {
            Self::Hopper => "GH100",
            Self::Blackwell => "GB100",
            Self::Ls10 => "LS_10",
        }
    }

    /// As manifests name it.
    pub(super) const fn product(self) -> &'static str {
        match self {
            Self::Ls10 => "LS10",
            gpu => gpu.family(),
        }
    }

    /// The processor on the chip that holds the keys.
    pub(super) const fn security_processor(self) -> &'static str {
        match self {
            Self::Ls10 => "FSP",
            _ => "GSP",
        }
    }

    pub(super) const fn provisioner(self) -> &'static str {
        match self {
            Self::Hopper => "NVIDIA GH100 Provisioner ICA 1",
            Self::Blackwell => "NVIDIA GB100 Provisioner ICA 00000",
            Self::Ls10 => "NVIDIA LS_10 Provisioner ICA 1",
        }
    }

    /// Switches are provisioned under the authority of the GPUs they came with.
    pub(super) const fn identity(self) -> &'static str {
        match self {
            Self::Hopper | Self::Ls10 => "NVIDIA GH100 Identity",
            Self::Blackwell => "NVIDIA GB100 Identity",
        }
    }

    /// The byte before a device's number in its serial number.
    pub(super) const fn serial_prefix(self) -> u8 {
        match self {
            Self::Ls10 => 0x50,
            _ => 0x41,
        }
    }

    pub(super) const fn blocks(self) -> u8 {
        match self {
            Self::Ls10 => 31,
            _ => 64,
        }
    }

    /// What a healthy device's driver and firmware are called; switches have no driver.
    pub const fn version(self, source: Source) -> &'static str {
        match (self, source) {
            (Self::Ls10, Source::Driver) => "",
            (_, Source::Driver) => "580.01.02",
            (Self::Hopper, Source::Vbios) => "96.00.9F.00.01",
            (Self::Blackwell, Source::Vbios) => "97.00.88.00.0F",
            (Self::Ls10, Source::Vbios) => "96.10.55.00.01",
        }
    }

    /// The indices that a manifest speaks for.
    pub fn measured(self, source: Source) -> Vec<u8> {
        match (self, source) {
            (Self::Ls10, Source::Driver) => Vec::new(),
            (Self::Ls10, Source::Vbios) => (0..31).collect(),
            (_, Source::Driver) => [7].into_iter().chain(20..35).chain(36..41).collect(),
            (_, Source::Vbios) => (0..7).chain(8..13).collect(),
        }
    }
}

/// What a healthy device measures at `index`.
pub fn measurement(chip: Chip, source: Source, index: u8) -> [u8; 48] {
    let text = format!("{chip:?} {} {index}", chip.version(source));
    digest(&SHA384, text.as_bytes())
        .as_ref()
        .try_into()
        .expect("SHA-384 is 48 bytes")
}
