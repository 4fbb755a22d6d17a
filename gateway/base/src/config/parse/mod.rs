//! From text to [`Config`], section by section.

mod authorization;
mod identity;
mod models;
mod prices;
mod retention;
mod server;
mod tee;
mod trust;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use attest_core::SourceProvenance;
use strict_toml::{Table, nearest};

use super::hints::hint_for_other_format;
use super::problem::{KeyLines, Problems};
use super::read::{At, Section};
use super::{
    AdminListener, Config, ConfigError, Hardening, HealthListener, MetricsListener, Server, files,
};
use harden::{self as hardening, Fact};

pub use identity::provider_url;
pub use prices::parse_prices;

/// Larger than any real configuration, and small enough to read into memory.
const MAX_FILE: u64 = 1 << 20;

impl Config {
    /// Reads a configuration and every file it names.
    pub fn load(file: &Path) -> Result<Config, ConfigError> {
        let text = read_text(file, MAX_FILE).map_err(|reason| ConfigError::whole(file, reason))?;
        Self::parse(file, &text)
    }

    /// Parses a configuration; relative paths are relative to the directory of `file`.
    pub fn parse(file: &Path, text: &str) -> Result<Config, ConfigError> {
        if let Some(reason) = hint_for_other_format(text) {
            return Err(ConfigError::whole(file, reason));
        }
        let problems = Problems::new(text);
        let config = match Table::parse(text) {
            Ok(table) => {
                let base = file.parent().map(Path::to_owned).unwrap_or_default();
                read(file, &base, Section::new(table, &problems), &problems)
            }
            Err(errors) => {
                for error in errors {
                    let reason = format!("is not TOML: {}", error.message);
                    problems.add(error.span.as_ref(), "", reason);
                }
                None
            }
        };
        let (warnings, lines) = (problems.warnings(), problems.lines());
        let found = problems.into_vec();
        match config {
            Some(config) if found.is_empty() => Ok(Config {
                warnings,
                lines,
                ..config
            }),
            _ => Err(ConfigError {
                file: file.to_owned(),
                problems: found,
            }),
        }
    }
}

/// Every key of a configuration as the reference page writes it: `server.listen`, `model.upstream.url`,
/// `attestation.NAME.policy`. Taken from the reader itself, so that the list is complete.
pub fn known_keys() -> BTreeSet<String> {
    const ONE_OF_EACH: &str = "[attestation.NAME]\n[[identity.issuers]]\n[[identity.issuers.rules]]\n[[model]]\n[[model.upstream]]\n";
    let problems = Problems::new(ONE_OF_EACH);
    if let Ok(table) = Table::parse(ONE_OF_EACH) {
        let root = Section::new(table, &problems);
        let _ = read(Path::new(""), Path::new(""), root, &problems);
    }
    let keys: BTreeSet<String> = problems
        .known_keys()
        .iter()
        .map(|key| key.replace("[1]", ""))
        .collect();
    let is_table = |key: &String| {
        let inside = format!("{key}.");
        keys.iter().any(|other| other.starts_with(&inside))
    };
    keys.iter().filter(|key| !is_table(key)).cloned().collect()
}

fn read(file: &Path, base: &Path, mut root: Section<'_>, problems: &Problems) -> Option<Config> {
    let server = server::server(root.section("server"), base, problems);
    let tee = tee::read(root.section("tee"), base);
    let provenance = provenance(root.section("provenance"));
    let retention = retention::read(root.section("retention"), base);
    let hardening = hardening(root.section("hardening"));
    let limits = server::limits(root.section("limits"));
    let timeouts = server::timeouts(root.section("timeouts"));
    let receipts = server::receipts(root.section("receipts"));
    let ledger = server::ledger(root.section("ledger"));
    let keys = server::keys(root.section("keys"));
    let health = server::health(root.section("health"));
    let metrics = server::metrics(root.section("metrics"));
    let admin = server::admin(root.section("admin"));
    let identity = identity::read(root.section("identity"), base, &admin, problems);
    let authorization = authorization::read(root.section("authorization"), base);
    let log = server::log(root.section("log"));
    let telemetry = server::telemetry(root.section("telemetry"));
    let attestation = trust::read(root.section("attestation"), base);
    let models = models::read(
        root.sections("model"),
        base,
        &attestation,
        server.as_ref(),
        &tee,
        problems,
    );
    let prices = prices::read(root.section("prices"), base, &models, problems);
    root.finish();
    addresses(server.as_ref(), &health, &metrics, &admin, problems);
    Some(Config {
        file: file.to_owned(),
        warnings: Vec::new(),
        lines: KeyLines::default(),
        server: server?,
        tee,
        provenance,
        retention,
        hardening,
        limits,
        timeouts,
        receipts,
        ledger,
        keys,
        health,
        metrics,
        admin,
        identity,
        prices,
        authorization,
        log,
        telemetry,
        attestation: attestation
            .into_iter()
            .filter_map(|(name, trust)| Some((name, trust?)))
            .collect(),
        models,
    })
}

/// Reports listeners that share an address.
fn addresses(
    server: Option<&Server>,
    health: &HealthListener,
    metrics: &MetricsListener,
    admin: &AdminListener,
    problems: &Problems,
) {
    let all = [
        ("server.listen", server.map(|server| server.listen)),
        ("health.listen", health.listen),
        ("metrics.listen", metrics.listen),
        ("admin.listen", admin.listen),
    ];
    let given: Vec<(&str, SocketAddr)> = all
        .into_iter()
        .filter_map(|(key, address)| Some((key, address?)))
        .collect();
    for (place, (key, address)) in given.iter().enumerate() {
        let clash = given
            .iter()
            .take(place)
            .find(|(_, earlier)| overlap(*earlier, *address));
        if let Some((earlier, _)) = clash {
            problems.add_at(
                key,
                format!("{address} is the address of {earlier} already; each listener needs a separate address"),
            );
        }
    }
}

/// Whether both cannot be bound at once: same port, and same address or one of them unspecified.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let unspecified = |address: SocketAddr| address.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || unspecified(a) || unspecified(b))
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

fn hardening(mut section: Section<'_>) -> Hardening {
    let mut require = vec![Fact::NoDump, Fact::NoCore];
    if let Some(names) = section.strings("require") {
        require.clear();
        for (index, At { value, span, .. }) in names.into_iter().enumerate() {
            match Fact::parse(&value) {
                Some(fact) => require.push(fact),
                None => {
                    let known = Fact::ALL.map(Fact::as_str).join(", ");
                    let place = format!("require[{}]", index + 1);
                    section.problem(&span, &place, format!("{value:?} is not one of {known}"));
                }
            }
        }
    }
    section.finish();
    Hardening { require }
}

/// Resolves a path against the configuration's directory.
fn resolve(base: &Path, path: &str) -> PathBuf {
    base.join(path)
}

fn read_text(path: &Path, max: u64) -> Result<String, String> {
    let bytes = read_bytes(path, max)?;
    String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))
}

fn unreadable(shown: &dyn std::fmt::Display, error: &std::io::Error) -> String {
    let confined =
        error.kind() == std::io::ErrorKind::PermissionDenied && hardening::confined_to_files();
    let hint = if confined {
        "; a running service reads only the directory of its configuration and those of the files named when it was started"
    } else {
        ""
    };
    format!("cannot read {shown}: {error}{hint}")
}

/// Suggests an existing file with a similar name.
fn similar_file(path: &Path) -> Option<String> {
    let (name, folder) = (path.file_name()?.to_str()?, path.parent()?);
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    nearest(name, &names).map(|meant| format!("; did you mean {:?}?", folder.join(meant)))
}

fn open(path: &Path) -> Result<std::fs::File, String> {
    std::fs::File::open(path).map_err(|error| {
        let meant = match error.kind() {
            std::io::ErrorKind::NotFound => similar_file(path),
            _ => None,
        };
        format!(
            "{}{}",
            unreadable(&path.display(), &error),
            meant.unwrap_or_default()
        )
    })
}

/// Reads a file after checking that other users cannot read it.
fn read_secret(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let opened = open(path)?.metadata();
    let metadata = opened.map_err(|error| unreadable(&path.display(), &error))?;
    files::check_secret(&metadata).map_err(|exposed| format!("{} {exposed}", path.display()))?;
    read_bytes(path, max)
}

fn read_bytes(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let shown = path.display();
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("cannot read {shown}: {e}"))?;
    if bytes.len() as u64 > max {
        return Err(format!("{shown} is larger than {max} bytes"));
    }
    Ok(bytes)
}
