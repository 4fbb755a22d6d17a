//! `[tee]`: the expected hardware, and the evidence that reports contain.

use std::path::PathBuf;

use attest_fetch::RimFolder;

/// `[tee]`
#[derive(Clone, Debug, PartialEq)]
pub struct Tee {
    pub kind: TeeKind,
    /// The path of configfs-tsm, if not the default.
    pub tsm_path: Option<PathBuf>,
    pub gpus: Gpus,
    pub event_log: EventLogChoice,
    pub collateral: CollateralSettings,
}

/// The expected CPU hardware.
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

/// Devices that reports contain beside the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gpus {
    None,
    /// Every NVIDIA GPU; with `count`, exactly this many must be present.
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

/// The source of the boot event log in reports.
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

/// The source of collateral for our evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollateralSettings {
    /// Whether collateral is fetched from the vendors' services.
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
