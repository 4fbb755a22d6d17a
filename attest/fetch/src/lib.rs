//! Fetching collateral: what vendors sign about their platforms, from where they publish it.
//!
//! What is fetched proves nothing here and is believed by nobody: verification checks every part
//! of it against a root. So a wrong or hostile server can withhold collateral and no more.
//! This crate refuses what is late, too large or not of the documented shape.

mod error;
mod http;
mod pcs;
mod percent;

use std::future::Future;

use attest_core::TdxCollateral;

pub use error::FetchError;
pub use pcs::{INTEL_PCS, INTEL_ROOT_CRL, IntelPcs};

/// Where collateral comes from.
pub trait CollateralSource: Send + Sync {
    /// What is needed to verify this quote, as published now.
    fn tdx<'a>(
        &'a self,
        quote: &'a [u8],
    ) -> impl Future<Output = Result<TdxCollateral, FetchError>> + Send + 'a;
}
