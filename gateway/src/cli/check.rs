//! `sealgate check`: what would be served, or everything that is wrong.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use super::unusable;
use crate::config::{Config, InFile};
use crate::{descriptors, hardening};

pub(super) fn run(file: &Path) -> ExitCode {
    match Config::load(file) {
        Ok(config) => {
            for warning in &config.warnings {
                eprintln!("warning: {}", InFile(file, warning));
            }
            warn_of_descriptors(&config);
            let written = std::io::stdout()
                .lock()
                .write_all(config.explain().as_bytes());
            if written.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            let count = error.problems.len();
            let code = unusable(&error);
            let noun = if count == 1 { "problem" } else { "problems" };
            eprintln!("{count} {noun}; nothing would be served");
            code
        }
    }
}

fn warn_of_descriptors(config: &Config) {
    let (needed, limit) = (
        descriptors::needed(&config.limits),
        hardening::hard_descriptor_limit(),
    );
    if needed > limit {
        eprintln!(
            "warning: [limits] need {needed} file descriptors, and the hard limit here is {limit}: where the service has no \
             more (LimitNOFILE= of its unit), at most {} requests are served at a time",
            descriptors::requests_within(limit).min(config.limits.max_concurrent)
        );
    }
}
