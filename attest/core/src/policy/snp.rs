//! What is wanted of an SNP guest and of the platform under it.

use serde::Deserialize;

use super::values::{hex_list, list, words};
use super::{Accepted, PolicyError};
use crate::snp::{Component, PlatformInfo, Product, VekKind};

/// The `[snp]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnpPolicy {
    /// Images whose measurements belong together; empty if none is listed.
    pub(crate) images: Vec<SnpImage>,
    pub(crate) measurement: Accepted<48>,
    pub(crate) host_data: Accepted<32>,
    pub(crate) id_key_digest: Accepted<48>,
    pub(crate) author_key_digest: Accepted<48>,
    pub(crate) chip_id: Accepted<64>,
    pub(crate) products: Option<Vec<Product>>,
    pub(crate) keys: Vec<VekKind>,
    pub(crate) csp_ids: Option<Vec<String>>,
    pub(crate) max_vmpl: u32,
    pub(crate) allow_debug: bool,
    pub(crate) allow_migration_agent: bool,
    pub(crate) allow_smt: bool,
    pub(crate) require_platform: Vec<PlatformFeature>,
    pub(crate) require_crl: bool,
    pub(crate) min_tcb: Option<Floors>,
}

/// One image: a guest is of it if every listed value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnpImage {
    pub(crate) measurement: Accepted<48>,
    pub(crate) host_data: Accepted<32>,
    pub(crate) id_key_digest: Accepted<48>,
    pub(crate) author_key_digest: Accepted<48>,
}

/// Something a platform may have switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlatformFeature {
    Tsme,
    Ecc,
    RaplDisabled,
    CiphertextHiding,
    AliasCheck,
}

impl PlatformFeature {
    const ALL: [Self; 5] = [
        Self::Tsme,
        Self::Ecc,
        Self::RaplDisabled,
        Self::CiphertextHiding,
        Self::AliasCheck,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tsme => "tsme",
            Self::Ecc => "ecc",
            Self::RaplDisabled => "rapl_disabled",
            Self::CiphertextHiding => "ciphertext_hiding",
            Self::AliasCheck => "alias_check",
        }
    }

    pub(crate) const fn is_on(self, platform: PlatformInfo) -> bool {
        match self {
            Self::Tsme => platform.tsme_enabled(),
            Self::Ecc => platform.ecc_enabled(),
            Self::RaplDisabled => platform.rapl_disabled(),
            Self::CiphertextHiding => platform.ciphertext_hiding_enabled(),
            Self::AliasCheck => platform.alias_check_complete(),
        }
    }
}

/// The least versions of a platform's components, by product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Floors(Vec<(Product, Vec<(Component, u8)>)>);

impl Floors {
    /// The floors for a product, or nothing if the policy has none for it.
    pub(crate) fn of(&self, product: Product) -> Option<&[(Component, u8)]> {
        let (_, floors) = self.0.iter().find(|(this, _)| *this == product)?;
        Some(floors)
    }
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Measurements {
    Pinned,
    Any,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    #[serde(default = "pinned")]
    measurements: Measurements,
    #[serde(default)]
    image: Vec<WireImage>,
    measurement: Option<Vec<String>>,
    host_data: Option<Vec<String>>,
    id_key_digest: Option<Vec<String>>,
    author_key_digest: Option<Vec<String>>,
    chip_id: Option<Vec<String>>,
    products: Option<Vec<String>>,
    keys: Option<Vec<String>>,
    csp_id: Option<Vec<String>>,
    #[serde(default)]
    max_vmpl: u32,
    #[serde(default)]
    allow_debug: bool,
    #[serde(default)]
    allow_migration_agent: bool,
    #[serde(default = "yes")]
    allow_smt: bool,
    require_platform: Option<Vec<String>>,
    #[serde(default)]
    require_crl: bool,
    min_tcb: Option<WireFloors>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireImage {
    #[allow(dead_code, reason = "for the reader of the file")]
    name: Option<String>,
    measurement: Option<Vec<String>>,
    host_data: Option<Vec<String>>,
    id_key_digest: Option<Vec<String>>,
    author_key_digest: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireFloors {
    milan: Option<WireFloor>,
    genoa: Option<WireFloor>,
    turin: Option<WireFloor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireFloor {
    fmc: Option<u8>,
    bootloader: Option<u8>,
    tee: Option<u8>,
    snp: Option<u8>,
    microcode: Option<u8>,
}

const fn pinned() -> Measurements {
    Measurements::Pinned
}

const fn yes() -> bool {
    true
}

impl SnpPolicy {
    pub(super) fn from_wire(snp: Wire) -> Result<Self, PolicyError> {
        let policy = Self {
            images: snp
                .image
                .into_iter()
                .map(SnpImage::from_wire)
                .collect::<Result<_, _>>()?,
            measurement: hex_list("measurement", snp.measurement)?,
            host_data: hex_list("host_data", snp.host_data)?,
            id_key_digest: hex_list("id_key_digest", snp.id_key_digest)?,
            author_key_digest: hex_list("author_key_digest", snp.author_key_digest)?,
            chip_id: hex_list("chip_id", snp.chip_id)?,
            products: words("products", snp.products, "Milan, Genoa, Turin", |word| {
                Product::ALL.into_iter().find(|this| this.as_str() == word)
            })?,
            keys: words("keys", snp.keys, "VCEK, VLEK", |word| {
                let kinds = [VekKind::Vcek, VekKind::Vlek];
                kinds.into_iter().find(|this| this.as_str() == word)
            })?
            .unwrap_or_else(|| vec![VekKind::Vcek]),
            csp_ids: list("csp_id", snp.csp_id, Ok)?,
            max_vmpl: snp.max_vmpl,
            allow_debug: snp.allow_debug,
            allow_migration_agent: snp.allow_migration_agent,
            allow_smt: snp.allow_smt,
            require_platform: words(
                "require_platform",
                snp.require_platform,
                "tsme, ecc, rapl_disabled, ciphertext_hiding, alias_check",
                |word| {
                    let mut all = PlatformFeature::ALL.into_iter();
                    all.find(|this| this.as_str() == word)
                },
            )?
            .unwrap_or_default(),
            require_crl: snp.require_crl,
            min_tcb: snp.min_tcb.map(Floors::from_wire).transpose()?,
        };
        policy.measurements_are_as_stated(snp.measurements)?;
        Ok(policy)
    }

    fn measurements_are_as_stated(&self, stated: Measurements) -> Result<(), PolicyError> {
        let images_pin =
            !self.images.is_empty() && self.images.iter().all(|image| image.measurement.is_some());
        match stated {
            Measurements::Pinned if self.measurement.is_none() && !images_pin => {
                Err(PolicyError::NotPinned("measurement"))
            }
            Measurements::Any if self.measurement.is_some() => {
                Err(PolicyError::PinnedUnderAny("measurement"))
            }
            Measurements::Any if !self.images.is_empty() => {
                Err(PolicyError::PinnedUnderAny("image"))
            }
            _ => Ok(()),
        }
    }
}

impl SnpImage {
    fn from_wire(image: WireImage) -> Result<Self, PolicyError> {
        let image = Self {
            measurement: hex_list("measurement", image.measurement)?,
            host_data: hex_list("host_data", image.host_data)?,
            id_key_digest: hex_list("id_key_digest", image.id_key_digest)?,
            author_key_digest: hex_list("author_key_digest", image.author_key_digest)?,
        };
        match image.measurement {
            Some(_) => Ok(image),
            None => Err(PolicyError::EmptyImage("snp.image")),
        }
    }
}

impl Floors {
    fn from_wire(wire: WireFloors) -> Result<Self, PolicyError> {
        let by_product = [
            (Product::Milan, wire.milan),
            (Product::Genoa, wire.genoa),
            (Product::Turin, wire.turin),
        ];
        let mut floors = Vec::new();
        for (product, floor) in by_product {
            let Some(floor) = floor else { continue };
            if floor.fmc.is_some() && product != Product::Turin {
                return Err(PolicyError::NoFmc(product.as_str()));
            }
            let components = [
                (Component::Fmc, floor.fmc),
                (Component::BootLoader, floor.bootloader),
                (Component::Tee, floor.tee),
                (Component::Snp, floor.snp),
                (Component::Microcode, floor.microcode),
            ];
            let stated = components
                .into_iter()
                .filter_map(|(component, version)| Some((component, version?)));
            floors.push((product, stated.collect()));
        }
        Ok(Self(floors))
    }
}
