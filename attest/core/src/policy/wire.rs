//! The TOML shape of a policy. Unknown keys are refused everywhere: a key that is misspelt would
//! otherwise be a check that is not made.

use serde::Deserialize;

use super::{event_log, log, nvidia, snp};
use crate::retention::RetentionMode;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) name: String,
    #[allow(dead_code, reason = "for the reader of the file")]
    pub(super) description: Option<String>,
    pub(super) tdx: Option<Tdx>,
    pub(super) snp: Option<snp::Wire>,
    #[serde(default)]
    pub(super) contract: Contract,
    #[serde(default)]
    pub(super) keyset: Keyset,
    #[serde(default)]
    pub(super) provenance: Provenance,
    pub(super) nvidia: Option<nvidia::Wire>,
    pub(super) event_log: Option<event_log::Wire>,
    pub(super) retention: Option<Retention>,
    pub(super) log: Option<log::Wire>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Measurements {
    Pinned,
    Partial,
    Any,
}

#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TrailingBytes {
    Any,
    Zero,
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tdx {
    #[serde(default = "pinned")]
    pub(super) measurements: Measurements,
    #[serde(default)]
    pub(super) image: Vec<TdxImage>,
    pub(super) mrtd: Option<Vec<String>>,
    pub(super) rtmr0: Option<Vec<String>>,
    pub(super) rtmr1: Option<Vec<String>>,
    pub(super) rtmr2: Option<Vec<String>>,
    pub(super) rtmr3: Option<Vec<String>>,
    pub(super) mrseam: Option<Vec<String>>,
    pub(super) mrconfigid: Option<Vec<String>>,
    pub(super) mrowner: Option<Vec<String>>,
    pub(super) mrownerconfig: Option<Vec<String>>,
    pub(super) td_attributes: Option<Vec<String>>,
    pub(super) xfam: Option<Vec<String>>,
    pub(super) ppid: Option<Vec<String>>,
    pub(super) tcb_statuses: Option<Vec<String>>,
    #[serde(default)]
    pub(super) denied_advisories: Vec<String>,
    pub(super) min_tcb_evaluation_data_number: Option<u32>,
    #[serde(default)]
    pub(super) allow_debug: bool,
    #[serde(default)]
    pub(super) allow_service_td: bool,
    #[serde(default = "any_trailing_bytes")]
    pub(super) trailing_bytes: TrailingBytes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TdxImage {
    #[allow(dead_code, reason = "for the reader of the file")]
    pub(super) name: Option<String>,
    pub(super) mrtd: Option<Vec<String>>,
    pub(super) rtmr0: Option<Vec<String>>,
    pub(super) rtmr1: Option<Vec<String>>,
    pub(super) rtmr2: Option<Vec<String>>,
    pub(super) rtmr3: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Contract {
    pub(super) config: Option<Vec<String>>,
    pub(super) retention: Option<Vec<String>>,
    pub(super) max_retention: Option<RetentionMode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retention {
    pub(super) max: Option<RetentionMode>,
    pub(super) tenant: Option<String>,
    pub(super) model: Option<String>,
    pub(super) max_ttl: Option<String>,
    pub(super) min_epoch: Option<u64>,
    pub(super) keys: Option<Vec<String>>,
    pub(super) threshold: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Keyset {
    pub(super) max_lifetime: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Provenance {
    pub(super) repo_url: Option<Vec<String>>,
    pub(super) repo_commit: Option<Vec<String>>,
    pub(super) image_digest: Option<Vec<String>>,
}

const fn pinned() -> Measurements {
    Measurements::Pinned
}

const fn any_trailing_bytes() -> TrailingBytes {
    TrailingBytes::Any
}
