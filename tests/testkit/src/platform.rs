//! The software platform: a trust domain on the mock Intel hierarchy, ready to stand where real
//! hardware stands.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use attest_collect::{Attester, CollectError};
use attest_core::{Collateral, CpuEvidence, ReportData, Roots, TdxCollateral, TeeType, UnixTime};
use futures_util::future::{BoxFuture, ready};
use sealgate::{Clock, Platform, SystemClock};

use crate::intel::MockIntel;
use crate::intel::knobs::Knobs;
use crate::measurements::TdMeasurements;

/// A TD of given measurements, on a platform that follows from a seed.
#[derive(Clone)]
pub struct SoftwarePlatform {
    intel: MockIntel,
    measurements: TdMeasurements,
    quote_delay: Duration,
    panic_file: Option<PathBuf>,
    collateral: Arc<OnceLock<Collateral>>,
}

impl SoftwarePlatform {
    /// A healthy platform whose collateral is current around `at`.
    pub fn from_seed(seed: &[u8; 32], at: UnixTime) -> Self {
        Self::with_knobs(seed, at, Knobs::default())
    }

    pub fn with_knobs(seed: &[u8; 32], at: UnixTime, knobs: Knobs) -> Self {
        Self {
            intel: MockIntel::new(seed, knobs, at.secs()),
            measurements: TdMeasurements::named("gateway"),
            quote_delay: Duration::ZERO,
            panic_file: None,
            collateral: Arc::default(),
        }
    }

    /// The same platform running something else.
    #[must_use]
    pub fn running(mut self, measurements: TdMeasurements) -> Self {
        self.measurements = measurements;
        self
    }

    /// Makes every quote take this long, as hardware does.
    #[must_use]
    pub fn with_quote_delay(mut self, delay: Duration) -> Self {
        self.quote_delay = delay;
        self
    }

    /// Makes the next look at the clock panic whenever `file` exists; the file is gone then. A way to
    /// see a request handler die with a request in its hands.
    #[must_use]
    pub fn panicking_on(mut self, file: PathBuf) -> Self {
        self.panic_file = Some(file);
        self
    }

    pub fn intel(&self) -> &MockIntel {
        &self.intel
    }

    pub fn measurements(&self) -> &TdMeasurements {
        &self.measurements
    }

    pub fn intel_root_pem(&self) -> String {
        self.intel.root_pem()
    }

    /// The roots that accept this platform.
    pub fn roots(&self) -> Roots {
        Roots::supplied(self.intel.root_der()).expect("the mock root is a CA certificate")
    }

    pub fn collateral(&self) -> Collateral {
        self.collateral
            .get_or_init(|| {
                let fields = serde_json::to_vec(&self.intel.collateral()).expect("plain strings");
                let tdx = TdxCollateral::parse(&fields).expect("the nine fields are well formed");
                Collateral::from(tdx)
            })
            .clone()
    }

    /// A quote for any trust domain on this platform.
    pub fn quote(&self, measurements: &TdMeasurements, report_data: &ReportData) -> Vec<u8> {
        self.intel.quote(measurements, report_data.as_bytes())
    }

    /// Writes `intel-root.pem`, the directory that `--roots` and `roots = "…"` take.
    pub fn write_roots(&self, directory: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("intel-root.pem"), self.intel_root_pem())
    }
}

impl Platform for SoftwarePlatform {
    fn attester(&self) -> Option<Arc<dyn Attester>> {
        Some(Arc::new(self.clone()))
    }

    fn collateral<'a>(&'a self, evidence: &'a CpuEvidence) -> BoxFuture<'a, Option<Collateral>> {
        Box::pin(ready(match evidence {
            CpuEvidence::Tdx { .. } => Some(self.collateral()),
            CpuEvidence::SevSnp { .. } => None,
        }))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        match &self.panic_file {
            Some(file) => Arc::new(PanickingClock(file.clone())),
            None => Arc::new(SystemClock),
        }
    }
}

/// The time, unless a file tells it to panic.
struct PanickingClock(PathBuf);

impl Clock for PanickingClock {
    fn now(&self) -> UnixTime {
        if std::fs::remove_file(&self.0).is_ok() {
            panic!("told to by {}", self.0.display());
        }
        SystemClock.now()
    }
}

impl Attester for SoftwarePlatform {
    fn tee_type(&self) -> TeeType {
        TeeType::Tdx
    }

    fn attest(&self, report_data: &ReportData) -> Result<CpuEvidence, CollectError> {
        std::thread::sleep(self.quote_delay);
        Ok(CpuEvidence::Tdx {
            quote: self.quote(&self.measurements, report_data),
        })
    }
}
