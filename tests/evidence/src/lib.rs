//! Recorded evidence of real machines, judged offline and compared with the verdicts that other
//! people's tools reached.
//!
//! The recordings are no part of this repository. They are looked for in the directory that
//! `SEALGATE_VECTORS` names, and beside the checkout (`../shared/vectors`) if it names none; where
//! there are none, everything here is skipped by name.

pub mod expect;
pub mod index;
pub mod nvidia;
pub mod row;
pub mod snp;
pub mod table;
pub mod tdx;

use std::path::{Path, PathBuf};

use row::Row;

/// The recordings, if they are here.
pub fn vectors() -> Option<PathBuf> {
    let named = std::env::var_os("SEALGATE_VECTORS").map(PathBuf::from);
    let directory = named
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"));
    directory.join("index.json").is_file().then_some(directory)
}

/// The recordings, or a line that says what was skipped.
pub fn vectors_or_skip(what: &str) -> Option<PathBuf> {
    let found = vectors();
    if found.is_none() {
        println!("skipped: {what}: recorded vectors not found (set SEALGATE_VECTORS)");
    }
    found
}

/// Every case of every recording, judged.
pub fn run(vectors: &Path) -> anyhow::Result<Vec<Row>> {
    let mut rows = tdx::run(vectors)?;
    rows.extend(snp::run(vectors)?);
    rows.extend(nvidia::run(vectors)?);
    Ok(rows)
}
