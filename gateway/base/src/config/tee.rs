//! `[tee]`: the hardware the service expects to run in, and what it shows of it.

use std::path::PathBuf;

use attest_fetch::RimFolder;

/// `[tee]`
#[derive(Clone, Debug, PartialEq)]
pub struct Tee {
    pub kind: TeeKind,
    /// Where configfs-tsm is mounted, if not in the usual place.
    pub tsm_path: Option<PathBuf>,
    pub gpus: Gpus,
    pub event_log: EventLogChoice,
    pub collateral: CollateralSettings,
}

/// Which hardware the service expects to run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeeKind {
    Tdx,
    Snp,
    /// No hardware evidence: no report, and no model may be flagged confidential.
    None,
}

impl TeeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            TeeKind::Tdx => "tdx",
            TeeKind::Snp => "snp",
            TeeKind::None => "none",
        }
    }
}

/// Which devices reports show beside the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gpus {
    None,
    /// All of NVIDIA's; if a number is given, just so many have to be there.
    Nvidia {
        count: Option<u32>,
    },
}

impl Gpus {
    pub fn as_str(self) -> &'static str {
        match self {
            Gpus::None => "none",
            Gpus::Nvidia { .. } => "nvidia",
        }
    }

    pub fn count(self) -> Option<u32> {
        match self {
            Gpus::None => None,
            Gpus::Nvidia { count } => count,
        }
    }
}

/// Where the boot event log that reports carry comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventLogChoice {
    None,
    /// From the firmware, by its table `CCEL`. Where it is not required, a machine without one serves without.
    Firmware {
        required: bool,
    },
    /// A CCEL area or dstack's JSON.
    File(PathBuf),
}

/// Where collateral for our own evidence comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollateralSettings {
    /// Whether vendors' services are asked at all.
    pub fetch: bool,
    /// Base URL of Intel PCS or a PCCS, if not Intel's own.
    pub pcs_url: Option<String>,
    /// Base URL of AMD's key distribution service, if not AMD's own.
    pub kds_url: Option<String>,
    /// Base URL of NVIDIA's manifest service, if not NVIDIA's own.
    pub rim_url: Option<String>,
    /// URL of NVIDIA's OCSP responder, if not NVIDIA's own.
    pub ocsp_url: Option<String>,
    /// Manifests of GPUs from a folder instead of from NVIDIA's service.
    pub rims: Option<RimFolder>,
}
