//! Every file of the recordings, cut. Nothing of them is kept: they are no seeds.

use std::path::{Path, PathBuf};

use fuzz_targets::ALL;

use crate::driver::{Effort, run};

/// What came of it.
#[derive(Debug, Default)]
pub struct Truncated {
    pub files: usize,
    pub executions: usize,
    /// Targets and files.
    pub panics: Vec<(&'static str, PathBuf)>,
}

/// Shows each file, whole and cut to at most `truncations` lengths, to every target: what is cut
/// short seldom gets as far as its signatures.
pub fn truncate_all(vectors: &Path, truncations: usize) -> std::io::Result<Truncated> {
    let mut result = Truncated::default();
    let effort = Effort {
        truncations,
        mutants: 0,
    };
    for path in files_below(vectors)? {
        let seeds = [std::fs::read(&path)?];
        result.files += 1;
        for target in ALL {
            let outcome = run(target, &seeds, effort, 0);
            result.executions += outcome.executions();
            if !outcome.panics.is_empty() {
                result.panics.push((target.name, path.clone()));
            }
        }
    }
    Ok(result)
}

fn files_below(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
