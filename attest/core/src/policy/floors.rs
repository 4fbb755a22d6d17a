//! The least versions of an AMD platform's components, by product: the `[snp.min_tcb]` section.

use super::PolicyError;
use super::section::Section;
use crate::snp::{Component, Product};

/// The least versions of a platform's components, by product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Floors(Vec<(Product, Vec<(Component, u8)>)>);

const PRODUCTS: [(&str, Product); 3] = [
    ("milan", Product::Milan),
    ("genoa", Product::Genoa),
    ("turin", Product::Turin),
];
const COMPONENTS: [(&str, Component); 5] = [
    ("fmc", Component::Fmc),
    ("bootloader", Component::BootLoader),
    ("tee", Component::Tee),
    ("snp", Component::Snp),
    ("microcode", Component::Microcode),
];

impl Floors {
    /// The floors for a product, or nothing if the policy has none for it.
    pub(crate) fn for_product(&self, product: Product) -> Option<&[(Component, u8)]> {
        let (_, floors) = self.0.iter().find(|(this, _)| *this == product)?;
        Some(floors)
    }

    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let mut floors = Vec::new();
        for (key, product) in PRODUCTS {
            if let Some(of_product) = section.table(key) {
                floors.push((product, versions(product, of_product)));
            }
        }
        section.finish();
        Self(floors)
    }
}

fn versions(product: Product, mut section: Section<'_, '_>) -> Vec<(Component, u8)> {
    if product != Product::Turin && section.has("fmc") {
        section.problem_of("fmc", PolicyError::NoFmc(product.as_str()));
    }
    let mut stated = Vec::new();
    for (key, component) in COMPONENTS {
        if let Some(version) = section.number(key) {
            stated.push((component, version));
        }
    }
    section.finish();
    stated
}
