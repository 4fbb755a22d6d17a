//! The software platform: a guest on the mock Intel or AMD hierarchy, with GPUs on the mock NVIDIA's
//! where it is given some, ready to stand where real hardware stands.

mod fault;
mod gpus;

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, ready};

use crate::event_log::BootLog;
use crate::intel::knobs::Knobs;
use crate::measurements::TdMeasurements;
use attest_channel::Clock;
use attest_channel::SystemClock;
use attest_collect::{Attester, CollectError, DeviceError, EventLogSource, LogError};
use attest_core::event_log::trim_ccel;
use attest_core::nvidia::UnverifiedDevice;
use attest_core::{Collateral, CpuEvidence, ReportData, SnpCollateral, TeeType, UnixTime};
use gateway_contract::platform::EvidenceRef;
use gateway_contract::platform::Platform;
use gpus::Gpus;
use vendors::Vendors;

pub use attest_collect::DeviceAttester;

pub use fault::{Fault, FaultFile};

/// A guest of given measurements, on a machine whose vendors follow from a seed. What it can be asked
/// about them is what [`Vendors`] can be asked.
#[derive(Clone)]
pub struct SoftwarePlatform {
    vendors: Vendors,
    /// The guest's name where it runs on AMD's.
    snp: Option<String>,
    measurements: TdMeasurements,
    quote_delay: Duration,
    panic_file: Option<PathBuf>,
    clock_file: Option<PathBuf>,
    faults: FaultFile,
    boot_log: Option<Arc<BootLog>>,
    gpus: Option<Arc<Gpus>>,
}

impl Deref for SoftwarePlatform {
    type Target = Vendors;

    fn deref(&self) -> &Vendors {
        &self.vendors
    }
}

impl SoftwarePlatform {
    /// A healthy platform whose collateral is current around `at`.
    pub fn from_seed(seed: &[u8; 32], at: UnixTime) -> Self {
        Self::with_knobs(seed, at, Knobs::default())
    }

    pub fn with_knobs(seed: &[u8; 32], at: UnixTime, knobs: Knobs) -> Self {
        Self {
            vendors: Vendors::with_knobs(seed, at, knobs),
            snp: None,
            measurements: TdMeasurements::named("gateway"),
            quote_delay: Duration::ZERO,
            panic_file: None,
            clock_file: None,
            faults: FaultFile::default(),
            boot_log: None,
            gpus: None,
        }
    }

    /// An SEV-SNP guest called `name` instead of a TD.
    #[must_use]
    pub fn as_snp_guest(mut self, name: &str) -> Self {
        self.snp = Some(name.to_owned());
        self
    }

    /// A TD called `name` that shows its event log and is measured accordingly.
    #[must_use]
    pub fn booting(mut self, name: &str) -> Self {
        self.measurements = TdMeasurements::booted(name);
        self.boot_log = Some(Arc::new(BootLog::of(name)));
        self
    }

    /// The machine called `machine` with this many GPUs.
    #[must_use]
    pub fn with_gpus(mut self, machine: &str, count: usize) -> Self {
        self.gpus = (count > 0).then(|| Arc::new(Gpus::new(self.nvidia(), machine, count)));
        self
    }

    /// Has go wrong what the file names.
    #[must_use]
    pub fn with_faults(mut self, faults: FaultFile) -> Self {
        self.faults = faults;
        self
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

    /// Makes the next read of the clock panic whenever `file` exists, and removes the file. A way to
    /// see a request handler die with a request in its hands.
    #[must_use]
    pub fn panicking_on(mut self, file: PathBuf) -> Self {
        self.panic_file = Some(file);
        self
    }

    /// Has the clock off by as many seconds as `file` says, which may change and be negative.
    #[must_use]
    pub fn with_clock_off_by(mut self, file: PathBuf) -> Self {
        self.clock_file = Some(file);
        self
    }

    pub fn measurements(&self) -> &TdMeasurements {
        &self.measurements
    }

    /// Intel's. Here beside [`Platform::collateral`], which would hide it.
    pub fn collateral(&self) -> Collateral {
        self.vendors.collateral()
    }
}

impl Platform for SoftwarePlatform {
    fn attester(&self) -> Option<Arc<dyn Attester>> {
        Some(Arc::new(self.clone()))
    }

    fn devices(&self) -> Option<Arc<dyn DeviceAttester>> {
        self.gpus.as_ref()?;
        Some(Arc::new(self.clone()))
    }

    fn event_log(&self) -> Option<Arc<dyn EventLogSource>> {
        self.boot_log.as_ref()?;
        Some(Arc::new(self.clone()))
    }

    fn collateral<'a>(&'a self, evidence: EvidenceRef<'a>) -> BoxFuture<'a, Collateral> {
        let mut collateral = match evidence.cpu {
            CpuEvidence::Tdx { .. } => self.collateral(),
            CpuEvidence::SevSnp { .. } => {
                let amd = self.amd();
                Collateral::from(SnpCollateral {
                    vek: amd.vek().to_vec(),
                    ask: amd.ask().to_vec(),
                    crl: Some(amd.crl()),
                })
            }
        };
        if let Some(gpus) = self.gpus.as_ref().filter(|_| !evidence.devices.is_empty()) {
            collateral.nvidia = Some(gpus.collateral(self.faults.read()));
        }
        Box::pin(ready(collateral))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        match (&self.panic_file, &self.clock_file) {
            (Some(file), _) => Arc::new(PanickingClock(file.clone())),
            (None, Some(file)) => Arc::new(WrongClock(file.clone())),
            (None, None) => Arc::new(SystemClock),
        }
    }
}

/// The time, unless a file tells it to panic.
struct PanickingClock(PathBuf);

impl Clock for PanickingClock {
    fn now(&self) -> UnixTime {
        // The main thread watches over the whole service; handlers run on others.
        let handler = std::thread::current().name() != Some("main");
        if handler && std::fs::remove_file(&self.0).is_ok() {
            panic!("panic requested by {}", self.0.display());
        }
        SystemClock.now()
    }
}

/// The time, off by what a file says. Time before 1970 is 1970, as the system's clock is read.
struct WrongClock(PathBuf);

impl Clock for WrongClock {
    fn now(&self) -> UnixTime {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let offset: i64 = text.trim().parse().unwrap_or(0);
        UnixTime::from_secs(SystemClock.now().secs().saturating_add_signed(offset))
    }
}

impl Attester for SoftwarePlatform {
    fn tee_type(&self) -> TeeType {
        match self.snp {
            Some(_) => TeeType::SevSnp,
            None => TeeType::Tdx,
        }
    }

    fn attest(&self, report_data: &ReportData) -> Result<CpuEvidence, CollectError> {
        std::thread::sleep(self.quote_delay);
        Ok(match &self.snp {
            Some(name) => CpuEvidence::SevSnp {
                report: self.amd().report(name, report_data.as_bytes()),
                certs: self.amd().certificate_table(),
            },
            None => CpuEvidence::Tdx {
                quote: self.quote(&self.measurements, report_data),
            },
        })
    }
}

impl DeviceAttester for SoftwarePlatform {
    fn attest_devices(&self, gpu_nonce: &[u8; 32]) -> Result<Vec<UnverifiedDevice>, DeviceError> {
        let gpus = self.gpus.as_ref().ok_or(DeviceError::NoDevice)?;
        Ok(gpus.answer(gpu_nonce, self.faults.read()))
    }
}

impl EventLogSource for SoftwarePlatform {
    fn event_log(&self) -> Result<Vec<u8>, LogError> {
        let altered = self.faults.read() == Some(Fault::AlteredLog);
        let area = match &self.boot_log {
            Some(log) if altered => log.altered_ccel(),
            Some(log) => log.ccel(),
            None => Vec::new(),
        };
        Ok(trim_ccel(&area).map(<[u8]>::to_vec).unwrap_or(area))
    }
}
