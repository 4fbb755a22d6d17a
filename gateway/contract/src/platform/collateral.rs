//! Collateral for our own evidence, from the vendors' services behind a cache on disk.
//!
//! Each part is fetched separately and within a timeout: a vendor that does not answer costs its part and no other.

use std::io;
use std::path::Path;
use std::time::Duration;

use attest_core::nvidia::UnverifiedDevice;
use attest_core::{Collateral, CpuEvidence, NvidiaCollateral, TeeType};
use attest_fetch::{
    AMD_KDS, AmdKds, Cached, CollateralSource, FetchError, INTEL_PCS, IntelPcs, NVIDIA_OCSP,
    NVIDIA_RIM, Nvidia, NvidiaOcsp, NvidiaRim, RimFolder, Vendors,
};

use super::EvidenceRef;
use attest_channel::Clock;
use attest_channel::SystemClock;
use gateway_base::config::{Gpus, Tee};

/// For one part, retries included.
const FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// The folder of the cache in the state directory.
const CACHE: &str = "collateral";

/// Why collateral cannot be fetched at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourcesError {
    #[error("[tee] {key} cannot be used: {reason}")]
    Service {
        key: &'static str,
        reason: FetchError,
    },
    #[error("cannot store collateral in {directory}: {kind}")]
    Cache {
        directory: String,
        kind: io::ErrorKind,
    },
}

pub(super) struct Sources {
    vendors: Cached<Vendors>,
    /// The operator's manifests, used instead of NVIDIA's service.
    rims: Option<RimFolder>,
}

impl Sources {
    /// The services that this machine's evidence needs; `None` if fetching is off and there are no local manifests.
    pub fn from_settings(
        cpu: TeeType,
        tee: &Tee,
        state_dir: &Path,
    ) -> Result<Option<Self>, SourcesError> {
        let settings = &tee.collateral;
        let vendors = match settings.fetch {
            true => vendors(cpu, tee)?,
            false if settings.rims.is_none() => return Ok(None),
            false => Vendors::default(),
        };
        let directory = state_dir.join(CACHE);
        let shown = directory.display().to_string();
        let vendors = Cached::new(vendors, directory, || SystemClock.now()).map_err(|error| {
            SourcesError::Cache {
                directory: shown,
                kind: error.kind(),
            }
        })?;
        Ok(Some(Self {
            vendors,
            rims: settings.rims.clone(),
        }))
    }

    /// The parts that are available, fetched concurrently.
    pub async fn fetch(&self, evidence: EvidenceRef<'_>) -> Collateral {
        // Separate timeouts: a slow responder of one vendor must not use up the time of the others.
        let (cpu, rims, ocsp) = tokio::join!(
            with_timeout(self.cpu(evidence.cpu)),
            with_timeout(self.manifests(evidence.devices)),
            with_timeout(self.revocation(evidence.devices)),
        );
        let nvidia = match (rims, ocsp) {
            (None, None) => None,
            (rims, ocsp) => Some(NvidiaCollateral {
                rims: rims.unwrap_or_default().rims,
                ocsp: ocsp.unwrap_or_default().ocsp,
            }),
        };
        Collateral {
            nvidia,
            ..cpu.unwrap_or_default()
        }
    }

    async fn cpu(&self, evidence: &CpuEvidence) -> Option<Collateral> {
        match evidence {
            CpuEvidence::Tdx { quote } => self.vendors.tdx(quote).await.map(Collateral::from).ok(),
            CpuEvidence::SevSnp { report, certs } => {
                let fetched = self.vendors.snp(report, certs).await;
                fetched.map(Collateral::from).ok()
            }
        }
    }

    async fn manifests(&self, devices: &[UnverifiedDevice]) -> Option<NvidiaCollateral> {
        if devices.is_empty() {
            return None;
        }
        let Some(folder) = self.rims.clone() else {
            return self.vendors.manifests(devices).await.ok();
        };
        let rims = tokio::task::spawn_blocking(move || folder.read()).await;
        Some(NvidiaCollateral {
            rims: rims.ok()?.ok()?,
            ocsp: Vec::new(),
        })
    }

    async fn revocation(&self, devices: &[UnverifiedDevice]) -> Option<NvidiaCollateral> {
        match devices {
            [] => None,
            devices => self.vendors.revocation(devices).await.ok(),
        }
    }
}

async fn with_timeout<T>(part: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::time::timeout(FETCH_TIMEOUT, part)
        .await
        .ok()
        .flatten()
}

fn vendors(cpu: TeeType, tee: &Tee) -> Result<Vendors, SourcesError> {
    let settings = &tee.collateral;
    let service_error = |key| move |reason| SourcesError::Service { key, reason };
    let url = |url: &'_ Option<String>, default: &str| url.clone().unwrap_or(default.to_owned());
    let mut vendors = Vendors::default();
    match cpu {
        TeeType::Tdx => {
            let intel = IntelPcs::new(&url(&settings.pcs_url, INTEL_PCS));
            vendors.intel = Some(intel.map_err(service_error("pcs_url"))?);
        }
        TeeType::SevSnp => {
            let amd = AmdKds::new(&url(&settings.kds_url, AMD_KDS));
            vendors.amd = Some(amd.map_err(service_error("kds_url"))?);
        }
    }
    if let Gpus::Nvidia { .. } = tee.gpus {
        let rim = NvidiaRim::new(&url(&settings.rim_url, NVIDIA_RIM))
            .map_err(service_error("rim_url"))?;
        let ocsp = NvidiaOcsp::new(&url(&settings.ocsp_url, NVIDIA_OCSP))
            .map_err(service_error("ocsp_url"))?;
        vendors.nvidia = Some(Nvidia::new(rim, ocsp));
    }
    Ok(vendors)
}

#[cfg(test)]
mod tests {
    use attest_core::nvidia::DeviceKind;

    use super::*;
    use gateway_base::config::{CollateralSettings, EventLogChoice, TeeKind};

    /// No service listens there.
    const UNREACHABLE: &str = "http://127.0.0.1:9";

    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("sealgate-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(path.join("rims")).expect("a folder");
            std::fs::write(path.join("rims/driver.xml"), "<driver/>").expect("written");
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn tee(fetch: bool, rims: Option<RimFolder>) -> Tee {
        let unreachable = || Some(UNREACHABLE.to_owned());
        Tee {
            kind: TeeKind::Tdx,
            tsm_path: None,
            gpus: Gpus::Nvidia { count: None },
            event_log: EventLogChoice::None,
            collateral: CollateralSettings {
                fetch,
                pcs_url: unreachable(),
                kds_url: unreachable(),
                rim_url: unreachable(),
                ocsp_url: unreachable(),
                rims,
            },
        }
    }

    #[tokio::test]
    async fn an_unreachable_vendor_costs_its_part_and_no_other() {
        let scratch = Scratch::new("fetch");
        let rims = RimFolder::open(&scratch.0.join("rims")).expect("manifests");
        let devices = [UnverifiedDevice {
            kind: DeviceKind::Gpu,
            evidence: Vec::new(),
            certificate_chain: Vec::new(),
        }];
        let cpu = CpuEvidence::Tdx { quote: Vec::new() };
        let evidence = EvidenceRef {
            cpu: &cpu,
            devices: &devices,
        };
        for fetch in [true, false] {
            let tee = tee(fetch, Some(rims.clone()));
            let sources = Sources::from_settings(TeeType::Tdx, &tee, &scratch.0).expect("a folder");
            let fetched = sources.expect("manifests at least").fetch(evidence).await;
            assert_eq!(fetched.tdx, None);
            let nvidia = fetched.nvidia.expect("manifests");
            assert_eq!(nvidia.rims, [b"<driver/>"]);
            assert!(nvidia.ocsp.is_empty());
        }
    }

    #[test]
    fn contacts_no_service_when_fetching_is_off() {
        let scratch = Scratch::new("no-fetch");
        let sources = Sources::from_settings(TeeType::SevSnp, &tee(false, None), &scratch.0);
        assert!(sources.expect("no error").is_none());
        assert!(!scratch.0.join(CACHE).exists());
    }

    #[test]
    fn reports_an_unusable_cache_directory_at_the_start() {
        let scratch = Scratch::new("cache");
        let file = scratch.0.join("rims/driver.xml");
        let error = Sources::from_settings(TeeType::Tdx, &tee(true, None), &file).err();
        assert!(
            matches!(error, Some(SourcesError::Cache { .. })),
            "{error:?}"
        );
    }
}
