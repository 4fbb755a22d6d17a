//! When collateral is valid: the window in which every one of its parts is.
//!
//! Read by us, not by the verification library, so that "expired" and "not yet valid" are told
//! apart from forged, with the part's name. The library enforces most of these dates again.

use serde::Deserialize;
use x509_parser::prelude::{ASN1Time, CertificateRevocationList, FromDer};

use super::facts::CollateralFacts;
use crate::collateral::TdxCollateral;
use crate::time::UnixTime;
use crate::verdict::Cause;
use crate::x509::{Certificate, pem};

/// What Intel renews monthly.
const RENEWED: [&str; 3] = ["TCB info", "QE identity", "PCK revocation list"];

/// One dated part of some collateral.
struct Part {
    name: &'static str,
    not_before: UnixTime,
    not_after: UnixTime,
}

/// The dates and figures of collateral that could be read.
pub(crate) struct Dated {
    parts: Vec<Part>,
    pub(crate) facts: CollateralFacts,
}

impl Dated {
    /// Whether every part is valid at `now`, bounds included.
    pub(crate) fn at(&self, now: UnixTime) -> Result<(), Cause> {
        for part in &self.parts {
            if now < part.not_before {
                return Err(Cause::CollateralNotYetValid {
                    part: part.name,
                    not_before: part.not_before,
                });
            }
            if now > part.not_after {
                return Err(Cause::CollateralExpired {
                    part: part.name,
                    not_after: part.not_after,
                });
            }
        }
        Ok(())
    }
}

pub(crate) fn read(collateral: &TdxCollateral) -> Result<Dated, Cause> {
    let tcb_info: Signed = signed(&collateral.tcb_info, "TCB info")?;
    let qe_identity: Signed = signed(&collateral.qe_identity, "QE identity")?;
    let mut parts = vec![
        tcb_info.part("TCB info")?,
        qe_identity.part("QE identity")?,
        crl(&collateral.root_ca_crl, "root revocation list")?,
        crl(&collateral.pck_crl, "PCK revocation list")?,
    ];
    chain(
        &collateral.tcb_info_issuer_chain,
        "TCB info signer's certificate",
        &mut parts,
    )?;
    if collateral.qe_identity_issuer_chain != collateral.tcb_info_issuer_chain {
        chain(
            &collateral.qe_identity_issuer_chain,
            "QE identity signer's certificate",
            &mut parts,
        )?;
    }
    chain(
        &collateral.pck_crl_issuer_chain,
        "PCK authority's certificate",
        &mut parts,
    )?;

    let issued = parts.iter().filter(|part| RENEWED.contains(&part.name));
    let issued = issued.map(|part| part.not_before).min();
    let bound = |pick: fn(&Part) -> UnixTime| parts.iter().map(pick);
    let facts = CollateralFacts {
        not_before: bound(|part| part.not_before)
            .max()
            .unwrap_or(UnixTime::from_secs(u64::MAX)),
        not_after: bound(|part| part.not_after)
            .min()
            .unwrap_or(UnixTime::from_secs(0)),
        issued: issued.unwrap_or(UnixTime::from_secs(0)),
        tcb_evaluation_data_number: tcb_info.tcb_evaluation_data_number,
        qe_evaluation_data_number: qe_identity.tcb_evaluation_data_number,
        fmspc: tcb_info
            .fmspc
            .ok_or(Cause::CollateralMalformed("TCB info"))?
            .to_ascii_lowercase(),
        pce_id: tcb_info
            .pce_id
            .ok_or(Cause::CollateralMalformed("TCB info"))?
            .to_ascii_lowercase(),
    };
    Ok(Dated { parts, facts })
}

/// The members of TCB info and QE identity that we read ourselves.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signed {
    issue_date: String,
    next_update: String,
    tcb_evaluation_data_number: u32,
    #[serde(default)]
    fmspc: Option<String>,
    #[serde(default)]
    pce_id: Option<String>,
}

impl Signed {
    fn part(&self, name: &'static str) -> Result<Part, Cause> {
        let read = |text: &str| {
            UnixTime::parse_rfc3339(text).map_err(|_| Cause::CollateralMalformed(name))
        };
        Ok(Part {
            name,
            not_before: read(&self.issue_date)?,
            not_after: read(&self.next_update)?,
        })
    }
}

fn signed(text: &str, name: &'static str) -> Result<Signed, Cause> {
    serde_json::from_str(text).map_err(|_| Cause::CollateralMalformed(name))
}

fn crl(der: &[u8], name: &'static str) -> Result<Part, Cause> {
    let malformed = || Cause::CollateralMalformed(name);
    let (rest, list) = CertificateRevocationList::from_der(der).map_err(|_| malformed())?;
    if !rest.is_empty() {
        return Err(malformed());
    }
    let next_update = list.next_update().ok_or_else(malformed)?;
    Ok(Part {
        name,
        not_before: unix(list.last_update()).ok_or_else(malformed)?,
        // A list is replaced at its nextUpdate; it is not valid in that second any more.
        not_after: UnixTime::from_secs(
            unix(next_update)
                .ok_or_else(malformed)?
                .secs()
                .saturating_sub(1),
        ),
    })
}

fn chain(text: &str, name: &'static str, parts: &mut Vec<Part>) -> Result<(), Cause> {
    let malformed = || Cause::CollateralMalformed(name);
    let certificates = pem::certificates(text.as_bytes()).map_err(|_| malformed())?;
    for der in &certificates {
        let certificate = Certificate::parse(der).map_err(|_| malformed())?;
        let (not_before, not_after) = certificate.validity();
        parts.push(Part {
            name,
            not_before,
            not_after,
        });
    }
    Ok(())
}

fn unix(time: ASN1Time) -> Option<UnixTime> {
    u64::try_from(time.timestamp())
        .ok()
        .map(UnixTime::from_secs)
}
