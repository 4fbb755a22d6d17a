//! Reference manifests (RIMs): what NVIDIA says a driver or firmware measures.

use super::chip::{Chip, Source, measurement};

/// What one measurement may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Speaks for measurement block `index + 1`.
    pub index: u8,
    pub active: bool,
    /// At most ten: the canonical order of their attributes is the order of their numbers.
    pub alternatives: Vec<[u8; 48]>,
}

/// A manifest before it is signed. Every field may be bent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub product: String,
    pub edition: String,
    pub version: String,
    pub values: Vec<Reference>,
}

impl Manifest {
    /// What is published for healthy devices: 64 values, of which few are active.
    pub fn published(chip: Chip, source: Source) -> Self {
        let active = chip.measured(source);
        let value = |index| Reference {
            index,
            active: active.contains(&index),
            alternatives: vec![if active.contains(&index) {
                measurement(chip, source, index)
            } else {
                [0; 48]
            }],
        };
        Self {
            product: chip.product().to_owned(),
            edition: if chip == Chip::Ls10 { "SWITCH" } else { "GPU" }.to_owned(),
            version: chip.version(source).to_owned(),
            values: (0..64).map(value).collect(),
        }
    }

    pub fn at(&mut self, index: u8) -> &mut Reference {
        &mut self.values[usize::from(index)]
    }

    /// A value that no healthy device measures.
    pub fn differ_at(&mut self, index: u8) {
        self.at(index).alternatives = vec![[0xEE; 48]];
    }
}
