//! `sealgate check`: prints what a configuration would serve, or all its problems.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use super::{UNUSABLE, unusable};
use gateway_base::config::{Config, ConfigError, InFile};
use gateway_base::descriptors;
use gateway_contract::check::{self, Findings};
use gateway_contract::platform::PlatformError;
use harden as hardening;

/// Checks the configuration, the state directory, the addresses and the machine. Changes nothing.
pub(super) async fn run(
    file: &Path,
    hardware: impl FnOnce(&Config) -> Result<(), PlatformError>,
) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => return nothing_served(&error),
    };
    let Findings {
        problems,
        warnings,
        running,
    } = check::examine(&config).await;
    for warning in &warnings {
        eprintln!("warning: {}", InFile(file, warning));
    }
    if !problems.is_empty() {
        let file = file.to_owned();
        return nothing_served(&ConfigError { file, problems });
    }
    if let Err(error) = hardware(&config) {
        let problem = config
            .lines
            .problem("tee", format!("this machine: {error}"));
        eprintln!("warning: {}", InFile(file, &problem));
    }
    if let Some(reason) = too_few_descriptors(&config) {
        let problem = config.lines.problem("limits", reason);
        eprintln!("warning: {}", InFile(file, &problem));
    }
    let mut page = config.explain();
    if running {
        page.push_str("\nA service runs from this state directory: `sealgate reload` serves this, where no setting changed that needs a restart.\n");
    }
    match std::io::stdout().lock().write_all(page.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A service may have a higher limit than this command; otherwise it serves less than it is configured to.
fn too_few_descriptors(config: &Config) -> Option<String> {
    let needed = descriptors::required(&config.limits);
    let limit = hardening::hard_descriptor_limit();
    (needed > limit).then(|| {
        format!(
            "{needed} file descriptors are needed, and the hard limit here is {limit}: where the service has no more (LimitNOFILE= of its unit), at most {} requests are served at a time",
            descriptors::max_requests(limit).min(config.limits.max_concurrent)
        )
    })
}

fn nothing_served(error: &ConfigError) -> ExitCode {
    let count = error.problems.len();
    unusable(error);
    let noun = if count == 1 { "problem" } else { "problems" };
    eprintln!("{count} {noun}; nothing would be served");
    ExitCode::from(UNUSABLE)
}
