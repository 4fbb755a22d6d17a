//! Collateral from the vendors' services, for every kind of evidence.

use std::time::Duration;

use clap::Args;

use crate::evidence_input::EvidenceInput;
use crate::failure::Failure;
use attest_core::{Collateral, CpuEvidence, RootKind, Roots};
use attest_fetch::{
    AMD_KDS, AmdKds, CollateralSource, FetchError, INTEL_PCS, IntelPcs, NVIDIA_OCSP, NVIDIA_RIM,
    Nvidia, NvidiaOcsp, NvidiaRim,
};

/// The addresses of the vendors' services.
#[derive(Debug, Args, Clone)]
pub struct ServiceArgs {
    /// AMD's key distribution service, or a cache of it
    #[arg(long, value_name = "BASEURL", default_value = AMD_KDS, hide_default_value = true)]
    pub kds: String,
    /// NVIDIA's service of reference integrity manifests, or a cache of it
    #[arg(long, value_name = "BASEURL", default_value = NVIDIA_RIM, hide_default_value = true)]
    pub rim_service: String,
    /// NVIDIA's OCSP responder, or a replacement for it
    #[arg(long, value_name = "URL", default_value = NVIDIA_OCSP, hide_default_value = true)]
    pub ocsp_responder: String,
    /// Timeout of one answer
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub fetch_timeout: u64,
}

/// Fetching collateral before verification.
#[derive(Debug, Args, Clone)]
pub struct FetchArgs {
    /// Fetch collateral from the vendors' services; Intel's from a PCCS at BASEURL, if one is named
    #[arg(long, value_name = "BASEURL", num_args = 0..=1, require_equals = true,
          default_missing_value = INTEL_PCS, conflicts_with = "collateral")]
    pub fetch_collateral: Option<String>,
    #[command(flatten)]
    pub services: ServiceArgs,
}

impl FetchArgs {
    /// The services, if collateral is to be fetched.
    pub fn services(&self) -> Option<Services<'_>> {
        let pcs = self.fetch_collateral.as_deref()?;
        Some(Services {
            pcs,
            others: &self.services,
        })
    }
}

/// Every vendor's service.
#[derive(Clone, Copy)]
pub struct Services<'a> {
    /// Intel's, or a PCCS.
    pub pcs: &'a str,
    pub others: &'a ServiceArgs,
}

/// A service that returned no collateral, and the error.
pub struct ServiceError {
    service: String,
    why: FetchError,
}

impl ServiceError {
    /// Whether the evidence is the reason, since no request can be made for it; otherwise the service is.
    fn is_about_evidence(&self) -> bool {
        matches!(
            self.why,
            FetchError::Quote(_)
                | FetchError::Platform
                | FetchError::Report(_)
                | FetchError::Hcl(_)
                | FetchError::CertTable(_)
                | FetchError::Processor
                | FetchError::ChipIdMasked
                | FetchError::NoVlek
                | FetchError::Device(_)
                | FetchError::DeviceChain
                | FetchError::Unnamed(_)
        )
    }
}

impl From<ServiceError> for Failure {
    fn from(problem: ServiceError) -> Self {
        let ServiceError { service, why } = &problem;
        match why {
            FetchError::BaseUrl => Self::Usage(format!("{service}: {why}")),
            _ if problem.is_about_evidence() => Self::malformed("the evidence", why),
            _ => Self::Unreachable(format!("cannot fetch collateral from {service}: {why}")),
        }
    }
}

impl Services<'_> {
    /// All collateral that verifies the evidence.
    pub async fn fetch_all(&self, presented: &EvidenceInput) -> Result<Collateral, Failure> {
        let mut collateral = Collateral::default();
        if let Some(cpu) = &presented.cpu {
            self.cpu(cpu, &mut collateral).await?;
        }
        if !presented.devices.is_empty() {
            self.devices(presented, &mut collateral).await?;
        }
        Ok(collateral)
    }

    /// The same for the parts of the evidence that can be read; the verdict reports the others.
    pub async fn fetch_available(&self, presented: &EvidenceInput) -> Result<Collateral, Failure> {
        let mut collateral = Collateral::default();
        if let Some(cpu) = &presented.cpu {
            ignoring_evidence_errors(self.cpu(cpu, &mut collateral).await)?;
        }
        if !presented.devices.is_empty() {
            ignoring_evidence_errors(self.devices(presented, &mut collateral).await)?;
        }
        Ok(collateral)
    }

    async fn cpu(&self, cpu: &CpuEvidence, into: &mut Collateral) -> Result<(), ServiceError> {
        match cpu {
            CpuEvidence::Tdx { quote } => {
                let fetch = async {
                    let source = IntelPcs::new(self.pcs)?.with_timeout(self.timeout())?;
                    source.tdx(quote).await
                };
                into.tdx = Some(fetch.await.map_err(at(self.pcs))?);
            }
            CpuEvidence::SevSnp { report, certs } => {
                let kds = &self.others.kds;
                let fetch = async {
                    let source = AmdKds::new(kds)?.with_timeout(self.timeout())?;
                    source.fetch_available(report, certs).await
                };
                let (collateral, missing) = fetch.await.map_err(at(kds))?;
                if let Some(why) = missing {
                    eprintln!("sealgate-verify: no revocation list of AMD's from {kds}: {why}");
                }
                into.snp = Some(collateral);
            }
        }
        Ok(())
    }

    async fn devices(
        &self,
        presented: &EvidenceInput,
        into: &mut Collateral,
    ) -> Result<(), ServiceError> {
        let (rim, ocsp) = (&self.others.rim_service, &self.others.ocsp_responder);
        let rims = NvidiaRim::new(rim).and_then(|it| it.with_timeout(self.timeout()));
        let answers = NvidiaOcsp::new(ocsp).and_then(|it| it.with_timeout(self.timeout()));
        let source = Nvidia::new(rims.map_err(at(rim))?, answers.map_err(at(ocsp))?);
        let vendors = Roots::vendor();
        let source = match vendors.der(RootKind::NvidiaRim) {
            Some(root) => source.with_manifest_signers(root),
            None => source,
        };
        let fetched = source.nvidia(&presented.devices).await;
        into.nvidia = Some(fetched.map_err(at(&format!("{rim} and {ocsp}")))?);
        Ok(())
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.others.fetch_timeout.max(1))
    }
}

fn at(service: &str) -> impl FnOnce(FetchError) -> ServiceError {
    let service = service.to_owned();
    move |why| ServiceError { service, why }
}

fn ignoring_evidence_errors(fetched: Result<(), ServiceError>) -> Result<(), Failure> {
    match fetched {
        Err(problem) if problem.is_about_evidence() => Ok(()),
        other => Ok(other?),
    }
}
