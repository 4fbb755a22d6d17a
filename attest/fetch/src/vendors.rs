//! The three vendors' services as one source.

use attest_core::nvidia::UnverifiedDevice;
use attest_core::{NvidiaCollateral, SnpCollateral, TdxCollateral};

use crate::{AmdKds, CollateralSource, FetchError, IntelPcs, Nvidia};

/// Each vendor's service, if it is configured; without it that vendor's evidence is
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

/// Returns [`FetchError::NotServed`] for everything, by the trait's default methods.
struct NoSource;

impl CollateralSource for NoSource {}

impl CollateralSource for Vendors {
    async fn tdx(&self, quote: &[u8]) -> Result<TdxCollateral, FetchError> {
        match &self.intel {
            Some(intel) => intel.tdx(quote).await,
            None => NoSource.tdx(quote).await,
        }
    }

    async fn snp(&self, report: &[u8], certs: &[u8]) -> Result<SnpCollateral, FetchError> {
        match &self.amd {
            Some(amd) => amd.snp(report, certs).await,
            None => NoSource.snp(report, certs).await,
        }
    }

    async fn manifests(
        &self,
        devices: &[UnverifiedDevice],
    ) -> Result<NvidiaCollateral, FetchError> {
        match &self.nvidia {
            Some(nvidia) => nvidia.manifests(devices).await,
            None => NoSource.manifests(devices).await,
        }
    }

    async fn revocation(
        &self,
        devices: &[UnverifiedDevice],
    ) -> Result<NvidiaCollateral, FetchError> {
        match &self.nvidia {
            Some(nvidia) => nvidia.revocation(devices).await,
            None => NoSource.revocation(devices).await,
        }
    }
}
