//! Fuzz targets for TDX quotes and Intel's collateral.

use attest_core::tdx;

/// A quote of any version, taken apart.
pub fn tdx_quote(data: &[u8]) {
    if let Ok(Some(facts)) = tdx::decode(data) {
        let body = &facts.body;
        let _ = (
            body.debug_flags(),
            body.sept_ve_disable(),
            body.migratable(),
        );
        let _ = (body.reserved_attributes(), body.service_td());
        // A quote that was cut is not one that ended.
        let cut = data.len() - facts.trailing.count - 1;
        assert!(tdx::decode(&data[..cut]).is_err(), "cut at {cut}");
    }
}
