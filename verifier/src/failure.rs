//! Why a command has no verdict, and its exit code.

use std::path::PathBuf;

use thiserror::Error;

/// Exit codes shared by every command.
pub mod exit {
    pub const ACCEPTED: u8 = 0;
    pub const INTERNAL: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const REJECTED: u8 = 10;
    pub const UNSUPPORTED: u8 = 20;
    pub const MALFORMED: u8 = 30;
    /// Every exit code, in order.
    pub const ALL: [u8; 6] = [ACCEPTED, INTERNAL, USAGE, REJECTED, UNSUPPORTED, MALFORMED];
}

/// A command that ended without a verdict. Printed as one line on standard error.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("cannot read {path}: {cause}")]
    Unreadable { path: PathBuf, cause: String },
    #[error("cannot write {path}: {cause}")]
    Unwritable { path: PathBuf, cause: String },
    #[error("{path} is larger than {limit} bytes")]
    TooLarge { path: PathBuf, limit: usize },
    #[error("{what}: {cause}")]
    Malformed { what: String, cause: String },
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    pub fn malformed(what: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Malformed {
            what: what.into(),
            cause: cause.to_string(),
        }
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Malformed { .. } | Self::TooLarge { .. } => exit::MALFORMED,
            Self::Unreadable { .. }
            | Self::Unwritable { .. }
            | Self::Unreachable(_)
            | Self::Internal(_) => exit::INTERNAL,
        }
    }
}
