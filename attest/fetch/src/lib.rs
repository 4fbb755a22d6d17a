//! Fetching collateral: what vendors sign about their platforms, from where they publish it.
//!
//! What is fetched proves nothing here and is believed by nobody: verification checks every part
//! of it against a root. So a wrong or hostile server can withhold collateral and no more.
//! This crate refuses what is late, too large or not of the documented shape. A service that asks
//! for patience (429) is asked again a few times, after the time it states if that is short; one
//! that cannot be reached, breaks off or says that the fault is its own (500, 502, 503, 504), after
//! pauses of our own.
//!
//! Every service here is tested against local ones that replay answers. The vendors' own could not
//! be reached where this was written, so what they answer beyond their documentation is untried:
//! content types, how KDS spells its limits, and what NVIDIA's responder makes of a nonce.

mod cache;
mod der;
mod error;
mod http;
mod kds;
mod names;
mod nvidia;
mod pcs;
mod percent;
mod vendors;

use std::future::Future;

use attest_core::nvidia::UnverifiedDevice;
use attest_core::{NvidiaCollateral, SnpCollateral, TdxCollateral};

pub use cache::Cached;
pub use error::{CertificateProblem, FetchError};
pub use kds::{AMD_KDS, AmdKds};
pub use names::NameResolver;
pub use nvidia::{
    NVIDIA_OCSP, NVIDIA_RIM, Nvidia, NvidiaOcsp, NvidiaRim, RimFolder, RimFolderError, ocsp_request,
};
pub use pcs::{INTEL_PCS, INTEL_ROOT_CRL, IntelPcs};
pub use vendors::Vendors;

/// Where collateral comes from. A vendor's service has it for that vendor's evidence and answers
/// [`FetchError::NotServed`] for the others'.
pub trait CollateralSource: Send + Sync {
    /// What is needed to verify this quote, as published now.
    fn tdx<'a>(
        &'a self,
        _quote: &'a [u8],
    ) -> impl Future<Output = Result<TdxCollateral, FetchError>> + Send + 'a {
        async { Err(FetchError::NotServed("Intel TDX")) }
    }

    /// What is needed to verify this SEV-SNP report, beside the certificate table that came with
    /// it, which may be empty.
    fn snp<'a>(
        &'a self,
        _report: &'a [u8],
        _certs: &'a [u8],
    ) -> impl Future<Output = Result<SnpCollateral, FetchError>> + Send + 'a {
        async { Err(FetchError::NotServed("AMD SEV-SNP")) }
    }

    /// Manifests for what the devices of one machine say they run, and nothing else.
    fn manifests<'a>(
        &'a self,
        _devices: &'a [UnverifiedDevice],
    ) -> impl Future<Output = Result<NvidiaCollateral, FetchError>> + Send + 'a {
        async { Err(FetchError::NotServed("NVIDIA devices")) }
    }

    /// Revocation answers about the devices of one machine, and nothing else.
    fn revocation<'a>(
        &'a self,
        _devices: &'a [UnverifiedDevice],
    ) -> impl Future<Output = Result<NvidiaCollateral, FetchError>> + Send + 'a {
        async { Err(FetchError::NotServed("NVIDIA devices")) }
    }

    /// What is needed to verify the devices of one machine: all of it or an error.
    fn nvidia<'a>(
        &'a self,
        devices: &'a [UnverifiedDevice],
    ) -> impl Future<Output = Result<NvidiaCollateral, FetchError>> + Send + 'a {
        async move {
            Ok(NvidiaCollateral {
                rims: self.manifests(devices).await?.rims,
                ocsp: self.revocation(devices).await?.ocsp,
            })
        }
    }
}
