//! The form of a case, as `cases/README.md` describes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One case. Policy, collateral and roots are names of files in `files/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub says: String,
    pub kind: Kind,
    pub at: String,
    pub policy: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collateral: Option<String>,
    /// Files by the kind of evidence that the root is for.
    pub roots: BTreeMap<String, String>,
    pub evidence: Vec<Evidence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_spki: Option<String>,
    pub expected: Expected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    TdxQuote,
    SnpReport,
    NvidiaDevices,
    Report,
    Receipt,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// `tdx`, `sev_snp`, `nvidia_gpu`, `nvidia_switch`, `report`, `receipt`, `keyset` or `config`.
    pub role: String,
    pub base64: String,
    /// A device's certificates, or the certificate table of an SNP report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    pub decision: String,
    /// Every check that fails, in the order of the verdict.
    pub failing: Vec<String>,
    /// Checks that are needed and were not made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}
