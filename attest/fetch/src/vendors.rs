//! The three vendors' services as one source.

use attest_core::nvidia::UnverifiedDevice;
use attest_core::{NvidiaCollateral, SnpCollateral, TdxCollateral};

use crate::{AmdKds, CollateralSource, FetchError, IntelPcs, Nvidia};

/// Each vendor's service where there is one to be asked; the others' evidence is
/// [`FetchError::NotServed`].
#[derive(Clone, Debug, Default)]
pub struct Vendors {
    /// For TDX quotes.
    pub intel: Option<IntelPcs>,
    /// For SEV-SNP reports.
    pub amd: Option<AmdKds>,
    /// For GPUs and switches.
    pub nvidia: Option<Nvidia>,
}

/// Answers nothing.
struct Nobody;

impl CollateralSource for Nobody {}

impl CollateralSource for Vendors {
    async fn tdx(&self, quote: &[u8]) -> Result<TdxCollateral, FetchError> {
        match &self.intel {
            Some(intel) => intel.tdx(quote).await,
            None => Nobody.tdx(quote).await,
        }
    }

    async fn snp(&self, report: &[u8], certs: &[u8]) -> Result<SnpCollateral, FetchError> {
        match &self.amd {
            Some(amd) => amd.snp(report, certs).await,
            None => Nobody.snp(report, certs).await,
        }
    }

    async fn manifests(
        &self,
        devices: &[UnverifiedDevice],
    ) -> Result<NvidiaCollateral, FetchError> {
        match &self.nvidia {
            Some(nvidia) => nvidia.manifests(devices).await,
            None => Nobody.manifests(devices).await,
        }
    }

    async fn revocation(
        &self,
        devices: &[UnverifiedDevice],
    ) -> Result<NvidiaCollateral, FetchError> {
        match &self.nvidia {
            Some(nvidia) => nvidia.revocation(devices).await,
            None => Nobody.revocation(devices).await,
        }
    }
}
