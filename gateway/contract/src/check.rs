//! Checks of a configuration before anything changes.
//!
//! A start, a reload and `sealgate check` call the same functions, so that their results cannot differ. [`problems`]
//! takes the configuration and the history of retention policies; [`examine`] reads that history from the state
//! directory without changing anything in it, and checks what else a start needs: the directory and the addresses.
//!
//! Only a start can check whether the machine has the hardware that `[tee]` names, and whether the kernel accepts the
//! restrictions of `[hardening]`. Only a reload can check whether a setting changed that needs a restart.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use crate::epoch::names_fit;
use gateway_authorization::Authorization;
use gateway_base::config::{Config, Problem, files, signature_file};
use gateway_retention::{self as retention, Notice};
use gateway_store::ledger::{self, PolicyRow};
use gateway_upstream::route::Routes;

/// The result of checking a configuration.
#[derive(Debug, Default)]
pub struct Findings {
    /// Errors: it cannot be served. In the order of the file.
    pub problems: Vec<Problem>,
    /// It can be served, but this is probably a mistake.
    pub warnings: Vec<Problem>,
    /// Whether a service runs from its state directory: then this is what a reload would find.
    pub running: bool,
}

const AUTHORIZATION_POLICY: &str = "authorization.policy";

/// Everything that prevents the configuration from being served, given the retention policies so far.
pub fn problems(config: &Config, policies: &[PolicyRow]) -> Vec<Problem> {
    let mut found = Vec::new();
    let lines = &config.lines;
    if let Err(error) = retention::decide(policies, &config.retention) {
        found.push(lines.problem(error.key(), error.to_string()));
    }
    if !names_fit(&config.server.names) {
        found.push(lines.problem("server.names", "do not fit into a certificate"));
    }
    if let Err(error) = Authorization::from_config(config) {
        let reasons = error.reasons().into_iter();
        found.extend(reasons.map(|reason| lines.problem(AUTHORIZATION_POLICY, reason)));
    }
    for (index, error) in Routes::check(config) {
        let key = format!("model[{}]", index + 1);
        found.push(lines.problem(&key, error.to_string()));
    }
    if let Ok(directory) = std::fs::metadata(&config.server.state_dir)
        && let Err(exposed) = files::check_state_directory(&directory)
    {
        let reason = format!("{} {exposed}", config.server.state_dir.display());
        found.push(lines.problem("server.state_dir", reason));
    }
    found.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
    found
}

/// Warnings from reading the configuration, and about files that decide what is served and that every user may change.
pub fn warnings(config: &Config) -> Vec<Problem> {
    let mut found = config.warnings.clone();
    let mut decisive = vec![(String::new(), config.file.clone())];
    for (name, trust) in &config.attestation {
        let key = format!("attestation.{name}.policy");
        decisive.push((key, trust.policy_file.clone()));
    }
    for (index, issuer) in config.identity.issuers.iter().enumerate() {
        if let Some(pinned) = &issuer.authorities {
            let key = format!("identity.issuers[{}].ca_file", index + 1);
            decisive.push((key, pinned.file.clone()));
        }
    }
    if let Some(named) = &config.authorization.policy {
        decisive.push((AUTHORIZATION_POLICY.to_owned(), named.file.clone()));
        let reasons = Authorization::warnings(config).into_iter();
        let reasons = reasons.map(|reason| format!("{}: {reason}", named.file.display()));
        found.extend(reasons.map(|reason| config.lines.problem(AUTHORIZATION_POLICY, reason)));
    }
    if let Some(named) = &config.retention.policy {
        let key = || "retention.policy".to_owned();
        decisive.push((key(), named.file.clone()));
        decisive.push((key(), signature_file(&named.file)));
    }
    if let Some(named) = &config.retention.policy
        && named.policy.salt().is_some()
        && let Ok(metadata) = std::fs::metadata(&named.file)
        && let Err(exposed) = files::check_secret(&metadata)
    {
        let reason = format!("{} has a salt and {exposed}", named.file.display());
        found.push(config.lines.problem("retention.policy", reason));
    }
    for (key, file) in decisive {
        let Ok(metadata) = std::fs::metadata(&file) else {
            continue;
        };
        if let Err(exposed) = files::check_trusted(&metadata) {
            let reason = format!("{} {exposed}", file.display());
            found.push(config.lines.problem(&key, reason));
        }
    }
    found.sort_by_key(|problem| problem.line.unwrap_or(0));
    found
}

/// All of it, and what a start would find in the state directory and at the addresses. Changes nothing.
pub async fn examine(config: &Config) -> Findings {
    let mut findings = Findings {
        warnings: warnings(config),
        ..Findings::default()
    };
    let state_dir = &config.server.state_dir;
    let at_state_dir = |reason: String| config.lines.problem("server.state_dir", reason);
    match ledger::inspect(state_dir).await {
        Ok(seen) => {
            findings.running = seen.running;
            findings.problems = problems(config, &seen.policies);
            findings
                .warnings
                .extend(policy_notices(config, &seen.policies));
        }
        // Without the history the policy cannot be checked. This error comes first.
        Err(error) => findings.problems.push(at_state_dir(error.to_string())),
    }
    if let Err(reason) = check_writable(state_dir) {
        findings.problems.push(at_state_dir(reason));
    }
    if !findings.running {
        findings.problems.extend(addresses_in_use(config));
    }
    findings
        .problems
        .sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
    findings
}

/// What the operator has to know about the retention policy that would be served.
fn policy_notices(config: &Config, policies: &[PolicyRow]) -> Vec<Problem> {
    let Ok(decision) = retention::decide(policies, &config.retention) else {
        return Vec::new();
    };
    let notices = Notice::about(decision.policy().policy());
    let problem = |notice: &Notice| config.lines.problem("retention.policy", notice.to_string());
    notices.iter().map(problem).collect()
}

/// Whether the service's user can make files in the directory, or make the directory.
fn check_writable(state_dir: &Path) -> Result<(), String> {
    let mut existing = state_dir;
    while !existing.exists() {
        existing = match existing.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
    }
    if !existing.is_dir() {
        return Err(format!("{} is not a directory", existing.display()));
    }
    let required = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(existing, required).map_err(|error| {
        let error = std::io::Error::from(error);
        format!("cannot write in {}: {error}", existing.display())
    })
}

/// Addresses that another program listens on, each tested by binding it for a moment.
fn addresses_in_use(config: &Config) -> Vec<Problem> {
    let all: [(&str, Option<SocketAddr>); 4] = [
        ("server.listen", Some(config.server.listen)),
        ("health.listen", config.health.listen),
        ("metrics.listen", config.metrics.listen),
        ("admin.listen", config.admin.listen),
    ];
    let mut found = Vec::new();
    for (key, address) in all {
        let Some(address) = address else { continue };
        if let Err(error) = TcpListener::bind(address) {
            let reason = format!("cannot listen on {address}: {error}");
            found.push(config.lines.problem(key, reason));
        }
    }
    found
}
