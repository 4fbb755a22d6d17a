//! Whole appraisals, as the gateway and the verifier make them.

use attest_core::nvidia::{DeviceKind, UnverifiedDevice};
use attest_core::{
    Channel, Collateral, Decision, EndorsementCache, Freshness, Nonce, NvidiaCollateral,
    SpkiDigest, TdxCollateral, Verdict,
};

use crate::grounds::{NONCE, SPKI, appraiser};
use crate::parts::split;

/// What holds for every verdict.
fn consistent(verdict: &Verdict) {
    let _ = verdict.to_json().to_string();
    let accepted = verdict.decision() == Decision::Accepted;
    assert_eq!(verdict.exit_code() == 0, accepted);
    assert!(
        !accepted || verdict.obstacles().next().is_none(),
        "accepted on a check that is not green"
    );
    assert!(
        !accepted || !verdict.checks().is_empty(),
        "accepted on nothing"
    );
}

/// A quote with Intel's collateral.
pub fn appraise_quote(data: &[u8]) {
    let [collateral, quote] = split(data);
    let collateral = TdxCollateral::parse(collateral).ok().map(Collateral::from);
    consistent(&appraiser(collateral.as_ref()).quote(quote));
}

/// A quote with Intel's collateral, taken apart. Known endorsements change nothing. Tells whether it is
/// accepted.
pub fn appraise_bundle(quote: &[u8], collateral: &TdxCollateral) -> bool {
    let collateral = Collateral::from(collateral.clone());
    let appraiser = appraiser(Some(&collateral));
    let mut known = EndorsementCache::default();
    let cold = appraiser.quote_with_cache(quote, &mut known);
    consistent(&cold);
    let warm = appraiser.quote_with_cache(quote, &mut known);
    assert_eq!(cold.to_json(), warm.to_json());
    cold.decision() == Decision::Accepted
}

/// An SNP report, bare or wrapped, with its certificate table.
pub fn appraise_snp(data: &[u8]) {
    let [table, report] = split(data);
    consistent(&appraiser(None).snp_report(report, table));
}

/// A device with a manifest and a revocation answer.
pub fn appraise_devices(data: &[u8]) {
    let [chain, rim, ocsp, evidence] = split(data);
    let collateral = Collateral::from(NvidiaCollateral {
        rims: vec![rim.to_vec()],
        ocsp: vec![ocsp.to_vec()],
    });
    for kind in [DeviceKind::Gpu, DeviceKind::Switch] {
        let device = UnverifiedDevice {
            kind,
            evidence: evidence.to_vec(),
            certificate_chain: chain.to_vec(),
        };
        let appraiser = appraiser(Some(&collateral));
        consistent(&appraiser.devices(std::slice::from_ref(&device), Some(&NONCE)));
    }
}

/// A report with everything in it.
pub fn appraise_report(data: &[u8]) {
    let channel = Channel::Tls {
        spki: SpkiDigest::from_bytes(SPKI),
        host: "localhost",
    };
    let freshness = Freshness::Challenged(Nonce::from_bytes(NONCE));
    let appraisal = appraiser(None).report(data, freshness, channel);
    consistent(appraisal.verdict());
    let accepted = appraisal.verdict().decision() == Decision::Accepted;
    assert_eq!(appraisal.trusted().is_ok(), accepted);
}
