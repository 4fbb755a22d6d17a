//! The recorded SEV-SNP and NVIDIA evidence: where it is and how its index is read.
#![allow(dead_code, reason = "each suite uses what it needs")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use attest_core::UnixTime;

/// Every bit where the code is optimised, a sample where it is not.
pub const BIT_STEP: usize = if cfg!(debug_assertions) { 61 } else { 1 };

#[derive(Deserialize)]
struct Index {
    vectors: Vec<Vector>,
}

/// One recording. What a suite does not read stays JSON.
#[derive(Deserialize)]
pub struct Vector {
    pub id: String,
    pub kind: String,
    files: BTreeMap<String, String>,
    pub facts: Value,
    pub complete_collateral: bool,
    pub cases: Vec<Case>,
    #[serde(skip)]
    folder: PathBuf,
}

#[derive(Deserialize)]
pub struct Case {
    at: Option<String>,
    #[serde(default)]
    pub rims: BTreeMap<String, RecordedRim>,
    #[serde(default)]
    pub measurement_comparison: BTreeMap<String, RecordedComparison>,
    pub expected: Expected,
}

#[derive(Deserialize)]
pub struct Expected {
    pub verdict: String,
    pub reason: Option<String>,
}

#[derive(Deserialize)]
pub struct RecordedRim {
    pub file: String,
    pub sha256: String,
    pub version: String,
    pub product: String,
    pub signer_validity: [String; 2],
    pub digest_ok: bool,
    pub signature_ok: bool,
    pub chain_ok: bool,
}

#[derive(Deserialize)]
pub struct RecordedComparison {
    pub compared: usize,
    pub skipped_nvdec0_disabled: Vec<u8>,
    pub mismatch_indices: Vec<u8>,
}

/// The recordings whose kind starts with `kind`, or nothing after saying so.
pub fn recorded(kind: &str) -> Option<Vec<Vector>> {
    let folder = std::env::var_os("SEALGATE_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let Ok(index) = std::fs::read(folder.join("index.json")) else {
        println!(
            "skipped: recorded vectors not found at {}",
            folder.display()
        );
        return None;
    };
    let index: Index = serde_json::from_slice(&index).expect("the index has its shape");
    let mut vectors = index.vectors;
    vectors.retain(|vector| vector.kind.starts_with(kind));
    for vector in &mut vectors {
        vector.folder = folder.clone();
    }
    assert!(!vectors.is_empty(), "the index has recordings of {kind}");
    Some(vectors)
}

impl Vector {
    /// A file by its role, if it was recorded.
    pub fn file(&self, role: &str) -> Option<Vec<u8>> {
        Some(self.read(self.files.get(role)?))
    }

    pub fn required(&self, role: &str) -> Vec<u8> {
        self.file(role)
            .unwrap_or_else(|| panic!("{} has a {role}", self.id))
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(path)).expect("a file of the index")
    }

    pub fn text(&self, fact: &str) -> Option<&str> {
        self.facts[fact].as_str()
    }
}

impl Case {
    pub fn at(&self) -> UnixTime {
        let at = self.at.as_deref().expect("a case with evidence has a time");
        UnixTime::parse_rfc3339(at).expect("RFC 3339")
    }

    pub fn reason(&self) -> &str {
        self.expected.reason.as_deref().unwrap_or_default()
    }
}

/// `2023-06-27 06:10:12+00:00`, as the index writes dates of manifests' signers.
pub fn spaced_time(text: &str) -> UnixTime {
    let rfc3339 = text.replace(' ', "T").replace("+00:00", "Z");
    UnixTime::parse_rfc3339(&rfc3339).expect("a date of the index")
}
