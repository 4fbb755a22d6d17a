//! When collateral is due to be replaced: the earliest `nextUpdate` of its parts. Read from
//! unverified bytes, which can make the cache forget early and, being judged again, no more.

use attest_core::{SnpCollateral, TdxCollateral, UnixTime};
use serde::Deserialize;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

#[derive(Deserialize)]
struct Dated {
    #[serde(rename = "nextUpdate")]
    next_update: String,
}

pub(super) fn of_snp(collateral: &SnpCollateral) -> Option<UnixTime> {
    list(collateral.crl.as_deref()?)
}

pub(super) fn of_tdx(collateral: &TdxCollateral) -> Option<UnixTime> {
    let dues = [
        text(&collateral.tcb_info)?,
        text(&collateral.qe_identity)?,
        list(&collateral.root_ca_crl)?,
        list(&collateral.pck_crl)?,
    ];
    dues.into_iter().min()
}

fn text(json: &str) -> Option<UnixTime> {
    let dated: Dated = serde_json::from_str(json).ok()?;
    UnixTime::parse_rfc3339(&dated.next_update).ok()
}

fn list(der: &[u8]) -> Option<UnixTime> {
    let (_, list) = CertificateRevocationList::from_der(der).ok()?;
    let seconds = list.next_update()?.timestamp();
    u64::try_from(seconds).ok().map(UnixTime::from_secs)
}
