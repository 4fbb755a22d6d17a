//! What is wanted of NVIDIA devices.

use std::time::Duration;

use serde::Deserialize;

use super::PolicyError;
use super::values::{digests, duration, list, words};
use crate::digest::Sha256Digest;
use crate::nvidia::{Architecture, FeatureFlag};

/// NVIDIA's own answers are good for about this long.
const OCSP_MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// The `[nvidia]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NvidiaPolicy {
    pub(crate) required: bool,
    pub(crate) gpus: Option<Count>,
    pub(crate) switches: Option<usize>,
    pub(crate) architectures: Option<Vec<Architecture>>,
    pub(crate) rims_required: bool,
    pub(crate) rim_digests: Option<Vec<Sha256Digest>>,
    pub(crate) driver_versions: Option<Vec<String>>,
    pub(crate) vbios_versions: Option<Vec<String>>,
    pub(crate) modes: Option<Vec<FeatureFlag>>,
    pub(crate) ocsp: OcspPolicy,
    pub(crate) allow_missing_fwid: bool,
    pub(crate) topology: bool,
}

/// How many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Exactly(usize),
    AtLeast(usize),
}

/// What becomes of revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OcspPolicy {
    /// Every certificate of a device but its leaf and the root needs a good answer.
    Required(Duration),
    /// Answers that are there must be good.
    Optional(Duration),
    Off,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Need {
    Required,
    Optional,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Ocsp {
    Required,
    Optional,
    Off,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Topology {
    Enforced,
    Off,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    #[serde(default)]
    required: bool,
    gpus: Option<usize>,
    min_gpus: Option<usize>,
    switches: Option<usize>,
    architectures: Option<Vec<String>>,
    #[serde(default = "required")]
    rims: Need,
    rim_digests: Option<Vec<String>>,
    driver_versions: Option<Vec<String>>,
    vbios_versions: Option<Vec<String>>,
    modes: Option<Vec<String>>,
    #[serde(default = "optional")]
    ocsp: Ocsp,
    ocsp_max_age: Option<String>,
    #[serde(default)]
    allow_missing_fwid: bool,
    #[serde(default = "enforced")]
    topology: Topology,
}

const fn required() -> Need {
    Need::Required
}

const fn optional() -> Ocsp {
    Ocsp::Optional
}

const fn enforced() -> Topology {
    Topology::Enforced
}

impl NvidiaPolicy {
    pub(super) fn from_wire(nvidia: Wire) -> Result<Self, PolicyError> {
        let gpus = match (nvidia.gpus, nvidia.min_gpus) {
            (Some(_), Some(_)) => return Err(PolicyError::Contradiction("gpus", "min_gpus")),
            (Some(count), None) => Some(Count::Exactly(count)),
            (None, Some(least)) => Some(Count::AtLeast(least)),
            (None, None) => None,
        };
        let max_age = nvidia
            .ocsp_max_age
            .map(|age| duration("ocsp_max_age", age))
            .transpose()?
            .unwrap_or(OCSP_MAX_AGE);
        Ok(Self {
            required: nvidia.required,
            gpus,
            switches: nvidia.switches,
            architectures: words(
                "architectures",
                nvidia.architectures,
                "HOPPER, BLACKWELL, LS10",
                architecture,
            )?,
            rims_required: matches!(nvidia.rims, Need::Required),
            rim_digests: digests("rim_digests", nvidia.rim_digests)?,
            driver_versions: list("driver_versions", nvidia.driver_versions, Ok)?,
            vbios_versions: list("vbios_versions", nvidia.vbios_versions, Ok)?,
            modes: words("modes", nvidia.modes, "SPT, MPT, PPCIE", mode)?,
            ocsp: match nvidia.ocsp {
                Ocsp::Required => OcspPolicy::Required(max_age),
                Ocsp::Optional => OcspPolicy::Optional(max_age),
                Ocsp::Off => OcspPolicy::Off,
            },
            allow_missing_fwid: nvidia.allow_missing_fwid,
            topology: nvidia.topology == Topology::Enforced,
        })
    }
}

fn architecture(word: &str) -> Option<Architecture> {
    let all = [
        Architecture::Hopper,
        Architecture::Blackwell,
        Architecture::Ls10,
    ];
    all.into_iter().find(|this| this.as_str() == word)
}

fn mode(word: &str) -> Option<FeatureFlag> {
    let all = [
        FeatureFlag::SinglePassthrough,
        FeatureFlag::MultiPassthrough,
        FeatureFlag::ProtectedPcie,
    ];
    all.into_iter().find(|this| this.as_str() == word)
}
