//! From text to [`Config`], section by section.

mod models;
mod server;
mod trust;

use std::path::{Path, PathBuf};

use attest_core::SourceProvenance;
use toml::de::DeTable;

use super::problem::Problems;
use super::read::Section;
use super::{Config, ConfigError, Problem, RetentionPolicy};

/// Larger than any configuration, smaller than what could hurt.
const MAX_FILE: u64 = 1 << 20;

impl Config {
    /// Reads a configuration and every file it names.
    pub fn load(file: &Path) -> Result<Config, ConfigError> {
        let unreadable = |reason: String| ConfigError {
            file: file.to_owned(),
            problems: vec![Problem {
                line: None,
                key: String::new(),
                reason,
            }],
        };
        let text = read_text(file, MAX_FILE).map_err(unreadable)?;
        Self::parse(file, &text)
    }

    /// Reads a configuration from its text; `file` says what relative paths are relative to.
    pub fn parse(file: &Path, text: &str) -> Result<Config, ConfigError> {
        let problems = Problems::new(text);
        let (table, syntax) = DeTable::parse_recoverable(text);
        for error in &syntax {
            problems.add(
                error.span().as_ref(),
                "",
                format!("is not TOML: {}", error.message()),
            );
        }
        let config = if syntax.is_empty() {
            let base = file.parent().map(Path::to_owned).unwrap_or_default();
            read(
                file,
                &base,
                Section::new(String::new(), 0..0, table.into_inner(), &problems),
                &problems,
            )
        } else {
            None
        };
        let found = problems.into_vec();
        match config {
            Some(config) if found.is_empty() => Ok(config),
            _ => Err(ConfigError {
                file: file.to_owned(),
                problems: found,
            }),
        }
    }
}

fn read(file: &Path, base: &Path, mut root: Section<'_>, problems: &Problems) -> Option<Config> {
    let server = server::server(root.section("server"), base, problems);
    let tee = server::tee(root.section("tee"), base);
    let provenance = provenance(root.section("provenance"));
    let retention = retention(root.section("retention"), base);
    let limits = server::limits(root.section("limits"));
    let timeouts = server::timeouts(root.section("timeouts"));
    let receipts = server::receipts(root.section("receipts"));
    let metrics = server::metrics(root.section("metrics"));
    let log = server::log(root.section("log"));
    let attestation = trust::read(root.section("attestation"), base);
    let models = models::read(
        root.sections("model"),
        base,
        &attestation,
        server.as_ref(),
        &tee,
        problems,
    );
    root.finish();
    Some(Config {
        file: file.to_owned(),
        server: server?,
        tee,
        provenance,
        retention,
        limits,
        timeouts,
        receipts,
        metrics,
        log,
        attestation,
        models,
    })
}

fn provenance(mut section: Section<'_>) -> SourceProvenance {
    let provenance = SourceProvenance {
        repo_url: section.string("repo_url").map(|at| at.value),
        repo_commit: section.string("repo_commit").map(|at| at.value),
        image_digest: section.string("image_digest").map(|at| at.value),
    };
    section.finish();
    provenance
}

fn retention(mut section: Section<'_>, base: &Path) -> RetentionPolicy {
    let policy = section.parsed("policy", |path| {
        let path = resolve(base, path);
        let text = read_text(&path, MAX_FILE)?;
        RetentionPolicy::parse(&text).map_err(|e| format!("{} {e}", path.display()))
    });
    section.finish();
    policy.map_or_else(RetentionPolicy::built_in, |at| at.value)
}

/// A path as the configuration means it.
fn resolve(base: &Path, path: &str) -> PathBuf {
    base.join(path)
}

fn read_text(path: &Path, max: u64) -> Result<String, String> {
    let bytes = read_bytes(path, max)?;
    String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))
}

fn read_bytes(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let shown = path.display();
    let file = std::fs::File::open(path).map_err(|e| format!("cannot read {shown}: {e}"))?;
    let mut bytes = Vec::new();
    file.take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("cannot read {shown}: {e}"))?;
    if bytes.len() as u64 > max {
        return Err(format!("{shown} is larger than {max} bytes"));
    }
    Ok(bytes)
}
