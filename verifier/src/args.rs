//! Arguments that several commands share.

use std::path::PathBuf;

use clap::Args;

use crate::render::{Detail, OutputFormat};

/// What evidence is verified and appraised with: shared by every command that does so.
#[derive(Debug, Args, Clone, Default)]
pub struct TrustArgs {
    /// Attestation policy (TOML); without one no workload is accepted
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Directory of roots to use INSTEAD of the vendors', by their file names (intel-root.pem, amd-ark-milan.pem, nvidia-device-root.pem, …); the verdict says so
    #[arg(long, value_name = "DIR")]
    pub roots: Option<PathBuf>,

    /// Collateral (JSON), used when the evidence carries none
    #[arg(long, value_name = "FILE")]
    pub collateral: Option<PathBuf>,

    /// Verify as of this time (RFC 3339, UTC) instead of now
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
}

#[derive(Debug, Args, Clone, Default)]
pub struct OutputArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Print every check on a separate line
    #[arg(long, conflicts_with = "json")]
    pub all: bool,
}

impl OutputArgs {
    pub fn form(&self) -> OutputFormat {
        match (self.json, self.all) {
            (true, _) => OutputFormat::Json,
            (false, true) => OutputFormat::Text(Detail::EveryCheck),
            (false, false) => OutputFormat::Text(Detail::Short),
        }
    }
}
