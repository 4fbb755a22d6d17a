#![no_main]

use std::sync::LazyLock;

use fuzz::bundle::Bundles;

static BUNDLES: LazyLock<Bundles> = LazyLock::new(Bundles::default);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let bundle = BUNDLES.make_by(data);
    fuzz_targets::appraise_bundle(&bundle.quote, &bundle.collateral);
});
