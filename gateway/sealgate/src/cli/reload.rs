//! `sealgate reload`: has the running service read its configuration again, and says what came of it.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use attest_core::to_hex;
use ring::rand::{SecureRandom, SystemRandom};

use super::{UNUSABLE, unusable};
use gateway_base::config::{Config, ConfigError, InFile};
use gateway_contract::rotation::{ReloadOutcome, ReloadRequests};

/// From one look for the answer to the next.
const LOOK: Duration = Duration::from_millis(50);
/// A service that runs takes a request up within this time, unless it is busy with an epoch.
const TAKEN_UP: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error("the system has no randomness to offer")]
    Random,
    #[error("cannot ask in {dir}: {source}")]
    Ask { dir: String, source: std::io::Error },
    #[error("no service took the request up from {dir} within {} s: does one run from it?", TAKEN_UP.as_secs())]
    NoService { dir: String },
    #[error(
        "the service took the request up and did not answer within {0} s; its log says what it is doing"
    )]
    NoAnswer(u64),
}

pub(super) fn run(file: &Path, timeout: Duration) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => {
            let code = unusable(&error);
            eprintln!("The service was not asked; it goes on as it is.");
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
    let requests = ReloadRequests::of(state_dir);
    requests.ask(&id).map_err(|source| ReloadError::Ask {
        dir: dir.clone(),
        source,
    })?;
    let asked = Instant::now();
    let (mut taken_up, mut waits) = (false, TAKEN_UP.min(timeout));
    loop {
        if let Some(outcome) = requests.answer(&id) {
            return Ok(outcome);
        }
        if asked.elapsed() >= waits {
            if taken_up {
                return Err(ReloadError::NoAnswer(timeout.as_secs()));
            }
            if requests.withdraw() {
                return Err(ReloadError::NoService { dir });
            }
            // It is not there any more: the service is at it.
            (taken_up, waits) = (true, timeout);
        }
        std::thread::sleep(LOOK);
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
    eprintln!("Not reloaded ({failure}); epoch {} goes on.", outcome.epoch);
    if is_configuration {
        ExitCode::from(UNUSABLE)
    } else {
        ExitCode::FAILURE
    }
}
