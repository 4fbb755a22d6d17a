//! The three vendors of one machine.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use attest_core::{Collateral, ReportData, RootKind, Roots, TdxCollateral, UnixTime};

use crate::amd::MockAmd;
use crate::amd::knobs::{EndorsementKey, Processor};
use crate::der::pem;
use crate::intel::MockIntel;
use crate::intel::knobs::Knobs;
use crate::measurements::TdMeasurements;
use crate::nvidia::MockNvidia;

/// The processor that SEV-SNP guests run on.
const PROCESSOR: Processor = Processor::Genoa;

/// Intel, AMD and NVIDIA, as they follow from one seed at one time.
#[derive(Clone)]
pub struct Vendors {
    seed: [u8; 32],
    at: UnixTime,
    intel: MockIntel,
    collateral: Arc<OnceLock<Collateral>>,
    amd: Arc<OnceLock<MockAmd>>,
}

impl Vendors {
    /// All in good health, with collateral that is current around `at`.
    pub fn from_seed(seed: &[u8; 32], at: UnixTime) -> Self {
        Self::with_knobs(seed, at, Knobs::default())
    }

    /// With an Intel that is bent.
    pub fn with_knobs(seed: &[u8; 32], at: UnixTime, knobs: Knobs) -> Self {
        Self {
            seed: *seed,
            at,
            intel: MockIntel::new(seed, knobs, at.secs()),
            collateral: Arc::default(),
            amd: Arc::default(),
        }
    }

    pub fn intel(&self) -> &MockIntel {
        &self.intel
    }

    pub fn intel_root_pem(&self) -> String {
        self.intel.root_pem()
    }

    /// The roots that accept quotes of this Intel.
    pub fn roots(&self) -> Roots {
        Roots::supplied(self.intel.root_der()).expect("the mock root is a CA certificate")
    }

    /// Intel's.
    pub fn collateral(&self) -> Collateral {
        self.collateral
            .get_or_init(|| {
                let fields = serde_json::to_vec(&self.intel.collateral()).expect("plain strings");
                let tdx = TdxCollateral::parse(&fields).expect("the nine fields are well formed");
                Collateral::from(tdx)
            })
            .clone()
    }

    /// A quote for any trust domain.
    pub fn quote(&self, measurements: &TdMeasurements, report_data: &ReportData) -> Vec<u8> {
        self.intel.quote(measurements, report_data.as_bytes())
    }

    /// The machine's SEV-SNP processor.
    pub fn amd(&self) -> &MockAmd {
        self.amd.get_or_init(|| {
            MockAmd::healthy(&self.seed, PROCESSOR, EndorsementKey::Vcek, self.at.secs())
        })
    }

    pub fn nvidia(&self) -> MockNvidia {
        MockNvidia::new(&self.seed, self.at.secs())
    }

    /// Writes the root of each of the three, for the directory that `--roots` and `roots = "…"`
    /// take.
    pub fn write_roots(&self, directory: &Path) -> std::io::Result<()> {
        let nvidia = self.nvidia();
        let roots = [
            (RootKind::Intel, self.intel_root_pem()),
            (RootKind::AmdGenoa, pem("CERTIFICATE", self.amd().ark())),
            (RootKind::NvidiaDevice, nvidia.device_root_pem()),
            (RootKind::NvidiaRim, nvidia.manifest_root_pem()),
        ];
        std::fs::create_dir_all(directory)?;
        for (kind, text) in roots {
            std::fs::write(directory.join(kind.file_name()), text)?;
        }
        Ok(())
    }
}
