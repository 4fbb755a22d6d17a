//! When collateral expires: the earliest `nextUpdate` of its parts. Read from
//! unverified bytes. Wrong ones can make the cache drop an entry early, no more, since entries are verified at each use.

use serde::Deserialize;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use attest_core::{SnpCollateral, TdxCollateral, UnixTime};

#[derive(Deserialize)]
struct Dated {
    #[serde(rename = "nextUpdate")]
    next_update: String,
}

pub(super) fn of_snp(collateral: &SnpCollateral) -> Option<UnixTime> {
    crl_date(collateral.crl.as_deref()?)
}

pub(super) fn of_tdx(collateral: &TdxCollateral) -> Option<UnixTime> {
    let dates = [
        json_date(&collateral.tcb_info)?,
        json_date(&collateral.qe_identity)?,
        crl_date(&collateral.root_ca_crl)?,
        crl_date(&collateral.pck_crl)?,
    ];
    dates.into_iter().min()
}

fn json_date(json: &str) -> Option<UnixTime> {
    let dated: Dated = serde_json::from_str(json).ok()?;
    UnixTime::parse_rfc3339(&dated.next_update).ok()
}

fn crl_date(der: &[u8]) -> Option<UnixTime> {
    let (_, list) = CertificateRevocationList::from_der(der).ok()?;
    let seconds = list.next_update()?.timestamp();
    u64::try_from(seconds).ok().map(UnixTime::from_secs)
}
