//! Why the machine does not continue. Each reason ends with one line on the console, and power off.

use crate::cmdline::CmdlineError;
use crate::config::ConfigError;
use crate::devmapper::MapperError;
use crate::disks::DiskError;
use crate::evidence::EvidenceError;
use crate::initramfs::InitramfsError;
use crate::modules::ModuleError;
use crate::network::NetworkError;
use crate::os::OsError;
use crate::readiness::{ClockError, EntropyError};
use crate::services::{Ending, ServiceError};
use crate::state::StateError;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Initramfs(#[from] InitramfsError),

    #[error(transparent)]
    Cmdline(#[from] CmdlineError),

    #[error(transparent)]
    Modules(#[from] ModuleError),

    #[error(transparent)]
    Disk(#[from] DiskError),

    #[error("{0}")]
    Verity(#[from] MapperError),

    #[error("{0}")]
    Mount(OsError),

    #[error(transparent)]
    Config(#[from] ConfigError),

    #[error(transparent)]
    Network(#[from] NetworkError),

    #[error(transparent)]
    Entropy(#[from] EntropyError),

    #[error(transparent)]
    Clock(#[from] ClockError),

    #[error("{0}")]
    Hardening(OsError),

    #[error(transparent)]
    Evidence(#[from] EvidenceError),

    #[error(transparent)]
    State(#[from] StateError),

    #[error(transparent)]
    Services(#[from] ServiceError),

    #[error("{service} ended with {ending}")]
    Ended { service: String, ending: Ending },

    #[error("{0}")]
    Internal(String),
}

impl Refusal {
    /// A stable word for programs that read the console.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Initramfs(_) => "initramfs",
            Self::Cmdline(_) => "cmdline",
            Self::Modules(_) => "modules",
            Self::Disk(_) => "disk",
            Self::Verity(_) => "verity",
            Self::Mount(_) => "mount",
            Self::Config(_) => "config",
            Self::Network(_) => "network",
            Self::Entropy(_) => "entropy",
            Self::Clock(_) => "clock",
            Self::Hardening(_) => "hardening",
            Self::Evidence(_) => "evidence",
            Self::State(_) => "state",
            Self::Services(_) => "services",
            Self::Ended { .. } => "ended",
            Self::Internal(_) => "internal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_word_and_a_reason() {
        let refusal = Refusal::from(CmdlineError::Missing("sealgate.root"));
        assert_eq!(refusal.code(), "cmdline");
        assert_eq!(refusal.to_string(), "the command line has no sealgate.root");
        let ended = Refusal::Ended {
            service: "sealgate".into(),
            ending: Ending::Signal(9),
        };
        assert_eq!(
            (ended.code(), ended.to_string().as_str()),
            ("ended", "sealgate ended with signal 9")
        );
    }
}
