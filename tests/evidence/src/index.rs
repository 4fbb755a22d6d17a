//! Reading the index of the recordings: the members that the runners compare with.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub struct Index {
    pub vectors: Vec<Vector>,
}

/// One recording.
#[derive(Deserialize)]
pub struct Vector {
    pub id: String,
    pub kind: String,
    pub files: BTreeMap<String, Value>,
    #[serde(default)]
    pub facts: Value,
    #[serde(default)]
    pub cases: Vec<Value>,
}

/// One recording judged by one bundle of Intel's collateral at one time.
#[derive(Deserialize)]
pub struct TdxCase {
    pub collateral: String,
    pub collateral_window: [String; 2],
    pub at: String,
    pub fmspc: String,
    pub tcb_evaluation_data_number: u32,
    pub expected: Expected,
}

/// One SNP report or set of devices at one time.
#[derive(Deserialize)]
pub struct OtherCase {
    /// Absent where nothing could be verified.
    pub at: Option<String>,
    /// First and last second of the endorsement key's certificate.
    pub window: Option<[String; 2]>,
    /// Manifests by what they were recorded as.
    #[serde(default)]
    pub rims: BTreeMap<String, RimFile>,
    #[serde(default)]
    pub measurement_comparison: Value,
    pub expected: Expected,
}

/// A recorded manifest.
#[derive(Deserialize)]
pub struct RimFile {
    pub file: String,
}

/// What other tools said.
#[derive(Deserialize)]
pub struct Expected {
    pub verdict: String,
    pub reason: String,
    pub tcb_status: Option<String>,
    pub platform_status: Option<String>,
    pub qe_status: Option<String>,
    #[serde(default)]
    pub advisories: Vec<String>,
    /// What they say once debug and service TDs are allowed: a status, or a reason in words.
    #[serde(default)]
    pub if_debug_and_service_td_allowed: Value,
}

impl Index {
    pub fn read(vectors: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(vectors.join("index.json")).context("reading index.json")?;
        serde_json::from_slice(&text).context("index.json is not of the known shape")
    }
}

impl Vector {
    /// The recorded bytes.
    pub fn evidence(&self, vectors: &Path) -> anyhow::Result<Vec<u8>> {
        let name = self.files.get("evidence").and_then(Value::as_str);
        let name = name.with_context(|| format!("{} names no evidence", self.id))?;
        std::fs::read(vectors.join(name)).with_context(|| format!("reading {name}"))
    }

    /// A recorded file that belongs to it.
    pub fn file(&self, vectors: &Path, role: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match self.files.get(role).and_then(Value::as_str) {
            None => Ok(None),
            Some(name) => std::fs::read(vectors.join(name))
                .map(Some)
                .with_context(|| format!("reading {name}")),
        }
    }

    /// Its cases as those of an SNP report or of NVIDIA devices.
    pub fn other_cases(&self) -> anyhow::Result<Vec<OtherCase>> {
        let cases = self.cases.iter().cloned().map(serde_json::from_value);
        cases
            .collect::<Result<_, _>>()
            .with_context(|| format!("a case of {} is not of the known shape", self.id))
    }

    /// Its cases as those of a TDX or SGX quote.
    pub fn tdx_cases(&self) -> anyhow::Result<Vec<TdxCase>> {
        let cases = self.cases.iter().cloned().map(serde_json::from_value);
        cases
            .collect::<Result<_, _>>()
            .with_context(|| format!("a case of {} is not of the known shape", self.id))
    }
}
