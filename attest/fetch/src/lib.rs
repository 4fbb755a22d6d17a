//! Fetches collateral, which vendors sign about their platforms, from the services that publish it.
//!
//! Fetched collateral proves nothing by itself: verification checks every part
//! of it against a root. So a wrong or hostile server can withhold collateral and no more.
//! This crate refuses answers that are late, too large or not of the documented shape. After status
//! 429 it retries a few times, after the stated `Retry-After` if that is short; after a failed
//! connection, an interrupted answer or a server error (500, 502, 503, 504) it retries after
//! fixed pauses.
//!
//! Each service is tested against local ones that replay answers. The vendors' services could not
//! be reached where this was written, so their behaviour beyond their documentation is untested:
//! content types, how KDS states its limits, and how NVIDIA's responder treats a nonce.

#![warn(unreachable_pub)]

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
pub use pcs::{INTEL_PCS, IntelPcs};
pub use vendors::Vendors;

/// A source of collateral. A vendor's service has it for that vendor's evidence and returns
/// [`FetchError::NotServed`] for the others'.
pub trait CollateralSource: Send + Sync {
    /// The collateral to verify this quote with, as published now.
    fn tdx<'a>(
        &'a self,
        _quote: &'a [u8],
    ) -> impl Future<Output = Result<TdxCollateral, FetchError>> + Send + 'a {
        async { Err(FetchError::NotServed("Intel TDX")) }
    }

    /// The collateral to verify this SEV-SNP report with, beside the certificate table that came with
    /// it, which may be empty.
    fn snp<'a>(
        &'a self,
        _report: &'a [u8],
        _certs: &'a [u8],
    ) -> impl Future<Output = Result<SnpCollateral, FetchError>> + Send + 'a {
        async { Err(FetchError::NotServed("AMD SEV-SNP")) }
    }

    /// Only the manifests for what the devices of one machine claim to run.
    fn manifests<'a>(
        &'a self,
        _devices: &'a [UnverifiedDevice],
    ) -> impl Future<Output = Result<NvidiaCollateral, FetchError>> + Send + 'a {
        async { Err(FetchError::NotServed("NVIDIA devices")) }
    }

    /// Only the OCSP responses about the devices of one machine.
    fn revocation<'a>(
        &'a self,
        _devices: &'a [UnverifiedDevice],
    ) -> impl Future<Output = Result<NvidiaCollateral, FetchError>> + Send + 'a {
        async { Err(FetchError::NotServed("NVIDIA devices")) }
    }

    /// The collateral to verify the devices of one machine with: all of it or an error.
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
