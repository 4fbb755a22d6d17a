//! Why a command of `sealgate retention` failed, and its exit code.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use attest_core::retention::{InvalidRetentionPolicy, SignatureFileError};

use crate::cli::{UNUSABLE, unusable};
use gateway_base::config::{ConfigError, policy_problems};
use gateway_retention::{HistoryError, RecordError};
use gateway_store::StoreError;

#[derive(Debug, thiserror::Error)]
pub(super) enum RetentionFailure {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Ledger(#[from] StoreError),
    #[error("{0}")]
    History(#[from] HistoryError),
    #[error("{}", in_file(file, error))]
    Policy {
        file: PathBuf,
        error: InvalidRetentionPolicy,
    },
    #[error("{}: {error}", file.display())]
    Signatures {
        file: PathBuf,
        error: SignatureFileError,
    },
    #[error("{}: {error}", file.display())]
    File { file: PathBuf, error: io::Error },
    #[error("{} is not a policy key made by `sealgate retention keygen`", .0.display())]
    Key(PathBuf),
    #[error("{0}")]
    Record(#[from] RecordError),
    #[error("there is no record {0}")]
    NoRecord(String),
    #[error("the system has no randomness")]
    Random,
}

/// One line for each problem.
fn in_file(file: &Path, invalid: &InvalidRetentionPolicy) -> String {
    let problems = policy_problems(invalid).into_iter();
    let lines = problems.map(|problem| format!("{}: {problem}", file.display()));
    lines.collect::<Vec<_>>().join("\n")
}

impl RetentionFailure {
    /// 2 for what the operator can correct in a file or on the command line, 1 for everything else.
    pub(super) fn report(self) -> ExitCode {
        match self {
            Self::Config(error) => unusable(&error),
            failure => {
                eprintln!("sealgate: {failure}");
                match failure {
                    Self::Ledger(_)
                    | Self::File { .. }
                    | Self::Record(_)
                    | Self::Random
                    | Self::History(HistoryError::Ledger(_) | HistoryError::EpochTaken(_)) => {
                        ExitCode::FAILURE
                    }
                    _ => ExitCode::from(UNUSABLE),
                }
            }
        }
    }
}
