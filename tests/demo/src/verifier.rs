//! Runs the real `sealgate-verify` and prints its output.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::say;
use crate::stage::Stage;
use testkit::process::{run, sibling};

pub const ACCEPTED: i32 = 0;
pub const REJECTED: i32 = 10;

/// How a client judges the gateway.
const JUDGE: [&str; 4] = ["--policy", "gateway-policy.toml", "--roots", "roots"];

/// How the gateway judges the enclave.
const JUDGE_ENCLAVE: [&str; 4] = ["--policy", "enclave-policy.toml", "--roots", "roots"];

/// How much of a verdict is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    Whole,
    /// What was decided and why, without every check that passed on the report.
    Brief,
}

/// Runs `sealgate-verify` with the gateway's policy, prints command and verdict, and insists on
/// the exit code.
pub async fn shows(
    stage: &Stage,
    arguments: &[&str],
    detail: Detail,
    expected: i32,
) -> Result<String> {
    shows_by(stage, &[arguments, &JUDGE].concat(), detail, expected).await
}

/// The same with the enclave's policy, for a verdict that accepts.
pub async fn shows_of_enclave(stage: &Stage, arguments: &[&str]) -> Result<String> {
    let arguments = [arguments, &JUDGE_ENCLAVE].concat();
    shows_by(stage, &arguments, Detail::Whole, ACCEPTED).await
}

async fn shows_by(
    stage: &Stage,
    arguments: &[&str],
    detail: Detail,
    expected: i32,
) -> Result<String> {
    say::command(&format!("sealgate-verify {}", arguments.join(" ")));
    let output = run(&sibling("sealgate-verify")?, arguments, stage.path()).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match detail {
        Detail::Whole => say::output(&text),
        Detail::Brief => say::output(&abridged(&text)),
    }
    say::output(&String::from_utf8_lossy(&output.stderr));
    let code = output.status.code();
    ensure!(
        code == Some(expected),
        "sealgate-verify exited with {code:?}, not {expected}"
    );
    say::note(&format!("exit status {expected}"));
    Ok(text)
}

/// A verdict on a report ends at its first passed check; what stands before it is kept whole.
fn abridged(text: &str) -> String {
    const REST: &str = "\n  …  (the rest as above)";
    let report = text.find("The evidence this rests on:").unwrap_or(0);
    let passed = text[report..].find("PASS").map(|at| report + at);
    let end = passed.and_then(|at| text[..at].rfind('\n'));
    match end {
        Some(end) => format!("{}{REST}", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

/// The checks that failed in the JSON verdict on `url`, by id.
pub async fn failed_checks(stage: &Stage, url: &str) -> Result<Vec<String>> {
    let arguments = [&["endpoint", url, "--json"], &JUDGE[..]].concat();
    let output = run(&sibling("sealgate-verify")?, &arguments, stage.path()).await?;
    let verdict: Value =
        serde_json::from_slice(&output.stdout).context("the JSON verdict is not JSON")?;
    let checks = verdict["checks"]
        .as_array()
        .or(verdict["verdict"]["checks"].as_array());
    let failed = checks
        .context("the verdict lists no checks")?
        .iter()
        .filter(|check| check["outcome"] == "fail" || check["outcome"]["fail"].is_object());
    Ok(failed
        .filter_map(|check| check["id"].as_str())
        .map(str::to_owned)
        .collect())
}
