//! `sealgate reload`: has the running service read its configuration again, and prints the outcome.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use super::{UNUSABLE, unusable};
use attest_core::to_hex;
use gateway_base::config::{Config, ConfigError, InFile};
use gateway_contract::rotation::{ReloadOutcome, ReloadRequests};

/// How often the answer is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// A running service accepts a request within this time, unless it is busy with an epoch.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error("the system has no randomness")]
    Random,
    #[error("cannot write the request in {dir}: {source}")]
    Request { dir: String, source: std::io::Error },
    #[error("no service accepted the request from {dir} within {} s: does one run from it?", ACCEPTED_WITHIN.as_secs())]
    NoService { dir: String },
    #[error("the service accepted the request and did not answer within {0} s; see its log")]
    NoAnswer(u64),
}

pub(super) fn run(file: &Path, timeout: Duration) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => {
            let code = unusable(&error);
            eprintln!("The service was not asked; it continues unchanged.");
            return code;
        }
    };
    match ask(&config.server.state_dir, timeout) {
        Ok(outcome) => report(file, outcome),
        Err(error) => {
            eprintln!("sealgate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ask(state_dir: &Path, timeout: Duration) -> Result<ReloadOutcome, ReloadError> {
    let mut id = [0; 16];
    SystemRandom::new()
        .fill(&mut id)
        .map_err(|_| ReloadError::Random)?;
    let id = to_hex(&id);
    let dir = state_dir.display().to_string();
    let requests = ReloadRequests::in_directory(state_dir);
    requests
        .request(&id)
        .map_err(|source| ReloadError::Request {
            dir: dir.clone(),
            source,
        })?;
    let asked = Instant::now();
    let (mut accepted, mut waits) = (false, ACCEPTED_WITHIN.min(timeout));
    loop {
        if let Some(outcome) = requests.outcome(&id) {
            return Ok(outcome);
        }
        if asked.elapsed() >= waits {
            if accepted {
                return Err(ReloadError::NoAnswer(timeout.as_secs()));
            }
            // Either this or the service removes the file, never both: a reload that this command reports as not
            // accepted does not happen later.
            if requests.withdraw() {
                return Err(ReloadError::NoService { dir });
            }
            // The request file was removed, so the service is working on it.
            (accepted, waits) = (true, timeout);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn report(file: &Path, outcome: ReloadOutcome) -> ExitCode {
    for warning in &outcome.warnings {
        eprintln!("warning: {}", InFile(file, warning));
    }
    if outcome.began {
        println!("epoch {} serves {}", outcome.epoch, file.display());
        return ExitCode::SUCCESS;
    }
    let failure = outcome.failure.unwrap_or_default();
    let is_configuration = !outcome.problems.is_empty();
    if is_configuration {
        let (file, problems) = (file.to_owned(), outcome.problems);
        unusable(&ConfigError { file, problems });
    }
    eprintln!(
        "Not reloaded ({failure}); epoch {} continues.",
        outcome.epoch
    );
    if is_configuration {
        ExitCode::from(UNUSABLE)
    } else {
        ExitCode::FAILURE
    }
}
