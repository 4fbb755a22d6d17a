//! What runs besides PID 1: the programs that the verified root lists, each as its own unprivileged user.

mod output;
pub mod plan;
mod start;
mod supervise;

use std::time::Duration;

pub use start::{Running, start_all};
pub use supervise::{Reason, watch};

use crate::os::OsError;
use crate::users::UserError;
use plan::PlanError;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    #[error("/etc/services: {0}")]
    Plan(#[from] PlanError),

    #[error(transparent)]
    User(#[from] UserError),

    #[error("{service}: a step before it ended with {ending}")]
    Preparation { service: String, ending: Ending },

    #[error("{service}: a step before it did not end within {} seconds", .after.as_secs())]
    PreparationHangs { service: String, after: Duration },

    #[error("{service} was not ready after {} seconds", .after.as_secs())]
    NotReady { service: String, after: Duration },

    #[error("{service} ended with {ending} before it was ready")]
    EndedEarly { service: String, ending: Ending },

    #[error(transparent)]
    Os(#[from] OsError),
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Status(i32),
    Signal(i32),
    Unknown,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("no status"),
        }
    }
}
