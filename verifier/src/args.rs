//! Arguments that several commands share.

use std::path::PathBuf;

use clap::Args;

use crate::render::{Detail, Form};

/// How evidence is judged: shared by every command that judges.
#[derive(Debug, Args, Clone, Default)]
pub struct JudgeArgs {
    /// Attestation policy (TOML); without one nothing says what is wanted, and nothing is accepted
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Directory of roots to use INSTEAD of the vendors', by their names (intel-root.pem, amd-ark-milan.pem, nvidia-device-root.pem, …); the verdict says so
    #[arg(long, value_name = "DIR")]
    pub roots: Option<PathBuf>,

    /// Collateral (JSON), used when the evidence carries none
    #[arg(long, value_name = "FILE")]
    pub collateral: Option<PathBuf>,

    /// Judge as of this time (RFC 3339, UTC) instead of now
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
}

#[derive(Debug, Args, Clone, Default)]
pub struct OutputArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Print every check on a line of its own
    #[arg(long, conflicts_with = "json")]
    pub all: bool,
}

impl OutputArgs {
    pub fn form(&self) -> Form {
        match (self.json, self.all) {
            (true, _) => Form::Json,
            (false, true) => Form::Person(Detail::EveryCheck),
            (false, false) => Form::Person(Detail::Short),
        }
    }
}
