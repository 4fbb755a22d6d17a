//! The section `[snp]` of an attestation policy: images, guest policy, platform and minimum TCB.

use std::time::Duration;

use super::floors::Floors;
use super::section::Section;
use super::values::{duration, hex, one_of, text, word};
use super::{Accepted, PolicyError};
use crate::snp::{GuestPolicy, PlatformInfo, Product, VekKind};

/// The `[snp]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnpPolicy {
    /// Images whose measurements belong together; empty if none is listed.
    pub(crate) images: Vec<SnpImage>,
    pub(crate) measurement: Accepted<48>,
    pub(crate) host_data: Accepted<32>,
    pub(crate) id_key_digest: Accepted<48>,
    pub(crate) author_key_digest: Accepted<48>,
    pub(crate) family_id: Accepted<16>,
    pub(crate) image_id: Accepted<16>,
    pub(crate) min_guest_svn: Option<u32>,
    pub(crate) chip_id: Accepted<64>,
    pub(crate) products: Option<Vec<Product>>,
    pub(crate) keys: Vec<VekKind>,
    pub(crate) csp_ids: Option<Vec<String>>,
    pub(crate) max_vmpl: u32,
    pub(crate) allow_debug: bool,
    pub(crate) allow_migration_agent: bool,
    pub(crate) allow_smt: bool,
    pub(crate) require_guest_policy: Vec<GuestDemand>,
    pub(crate) require_platform: Vec<PlatformFeature>,
    pub(crate) require_crl: bool,
    pub(crate) max_crl_age: Option<Duration>,
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

const PLATFORM: [(&str, PlatformFeature); 5] = [
    ("tsme", PlatformFeature::Tsme),
    ("ecc", PlatformFeature::Ecc),
    ("rapl_disabled", PlatformFeature::RaplDisabled),
    ("ciphertext_hiding", PlatformFeature::CiphertextHiding),
    ("alias_check", PlatformFeature::AliasCheck),
];

impl PlatformFeature {
    pub(crate) fn as_str(self) -> &'static str {
        let found = PLATFORM.iter().find(|(_, feature)| *feature == self);
        found.map_or("", |(name, _)| name)
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

/// Something a guest's owner may have demanded of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuestDemand {
    SingleSocket,
    NoCxl,
    Aes256Xts,
    RaplDisabled,
    CiphertextHiding,
    PageSwapDisabled,
}

const DEMANDS: [(&str, GuestDemand); 6] = [
    ("single_socket", GuestDemand::SingleSocket),
    ("no_cxl", GuestDemand::NoCxl),
    ("aes_256_xts", GuestDemand::Aes256Xts),
    ("rapl_disabled", GuestDemand::RaplDisabled),
    ("ciphertext_hiding", GuestDemand::CiphertextHiding),
    ("page_swap_disabled", GuestDemand::PageSwapDisabled),
];

impl GuestDemand {
    pub(crate) fn as_str(self) -> &'static str {
        let found = DEMANDS.iter().find(|(_, demand)| *demand == self);
        found.map_or("", |(name, _)| name)
    }

    pub(crate) const fn is_made(self, policy: GuestPolicy) -> bool {
        match self {
            Self::SingleSocket => policy.single_socket_required(),
            Self::NoCxl => !policy.cxl_allowed(),
            Self::Aes256Xts => policy.aes_256_xts_required(),
            Self::RaplDisabled => policy.rapl_disabled(),
            Self::CiphertextHiding => policy.ciphertext_hiding_required(),
            Self::PageSwapDisabled => policy.page_swap_disabled(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Measurements {
    Pinned,
    Any,
}

const MEASUREMENTS: [(&str, Measurements); 2] =
    [("pinned", Measurements::Pinned), ("any", Measurements::Any)];
const KEYS: [(&str, VekKind); 2] = [("VCEK", VekKind::Vcek), ("VLEK", VekKind::Vlek)];

impl SnpPolicy {
    pub(super) fn from_section(mut section: Section<'_, '_>) -> Self {
        let s = &mut section;
        let stated = s.read("measurements", one_of("pinned, any", &MEASUREMENTS));
        let policy = Self {
            images: s.tables("image").into_iter().map(SnpImage::from_section).collect(),
            measurement: s.list("measurement", hex),
            host_data: s.list("host_data", hex),
            id_key_digest: s.list("id_key_digest", hex),
            author_key_digest: s.list("author_key_digest", hex),
            family_id: s.list("family_id", hex),
            image_id: s.list("image_id", hex),
            min_guest_svn: s.number("min_guest_svn"),
            chip_id: s.list("chip_id", hex),
            products: s.list(
                "products",
                word("Milan, Genoa, Turin", |word| {
                    Product::ALL.into_iter().find(|this| this.as_str() == word)
                }),
            ),
            keys: s
                .list("keys", one_of("VCEK, VLEK", &KEYS))
                .unwrap_or_else(|| vec![VekKind::Vcek]),
            csp_ids: s.list("csp_id", text),
            max_vmpl: s.number("max_vmpl").unwrap_or_default(),
            allow_debug: s.flag("allow_debug", false),
            allow_migration_agent: s.flag("allow_migration_agent", false),
            allow_smt: s.flag("allow_smt", true),
            require_guest_policy: s
                .list(
                    "require_guest_policy",
                    one_of(
                        "single_socket, no_cxl, aes_256_xts, rapl_disabled, ciphertext_hiding, page_swap_disabled",
                        &DEMANDS,
                    ),
                )
                .unwrap_or_default(),
            require_platform: s
                .list(
                    "require_platform",
                    one_of(
                        "tsme, ecc, rapl_disabled, ciphertext_hiding, alias_check",
                        &PLATFORM,
                    ),
                )
                .unwrap_or_default(),
            require_crl: s.flag("require_crl", false),
            max_crl_age: s.read("max_crl_age", duration),
            min_tcb: s.table("min_tcb").map(Floors::read),
        };
        match stated {
            Some(stated) => policy.measurements_are_as_stated(stated, &section),
            None if section.has("measurements") => {}
            None if section.has_unknown() => {}
            None => policy.measurements_are_as_stated(Measurements::Pinned, &section),
        }
        section.finish();
        policy
    }

    /// Whether no measurement is pinned.
    pub(crate) fn accepts_any_image(&self) -> bool {
        self.images.is_empty() && self.measurement.is_none()
    }

    fn measurements_are_as_stated(&self, stated: Measurements, section: &Section<'_, '_>) {
        match stated {
            // An image without one was reported already.
            Measurements::Pinned if self.measurement.is_none() && self.images.is_empty() => {
                section.problem_of("measurements", PolicyError::NotPinned("measurement"));
            }
            Measurements::Any if self.measurement.is_some() => {
                section.problem_of("measurement", PolicyError::PinnedUnderAny("measurement"))
            }
            Measurements::Any if !self.images.is_empty() => {
                section.problem_of("image", PolicyError::PinnedUnderAny("image"));
            }
            _ => {}
        }
    }
}

impl SnpImage {
    fn from_section(mut section: Section<'_, '_>) -> Self {
        // For the reader of the file.
        section.text("name");
        let image = Self {
            measurement: section.list("measurement", hex),
            host_data: section.list("host_data", hex),
            id_key_digest: section.list("id_key_digest", hex),
            author_key_digest: section.list("author_key_digest", hex),
        };
        if image.measurement.is_none() {
            section.problem(PolicyError::EmptyImage("snp.image"));
        }
        section.finish();
        image
    }
}
