//! When collateral is valid: the window in which every one of its parts is.
//!
//! Asked of what was read before anything is verified, so that "expired" and "not yet valid" are not
//! reported as forged, with the part's name.

use super::error::TdxError;
use super::facts::CollateralFacts;
use crate::time::UnixTime;
use crate::x509::RevocationList;

/// What Intel renews monthly.
const RENEWED: [&str; 3] = ["TCB info", "QE identity", "PCK revocation list"];

/// One dated part of some collateral.
#[derive(Clone, Debug)]
pub(super) struct Part {
    name: &'static str,
    not_before: UnixTime,
    not_after: UnixTime,
}

/// The dates and figures of collateral.
#[derive(Clone, Debug)]
pub(super) struct Dated {
    pub(super) parts: Vec<Part>,
    pub(super) facts: CollateralFacts,
}

impl Dated {
    /// Whether every part is valid at `now`, bounds included.
    pub(super) fn at(&self, now: UnixTime) -> Result<(), TdxError> {
        for part in &self.parts {
            if now < part.not_before {
                return Err(TdxError::CollateralNotYetValid {
                    part: part.name,
                    not_before: part.not_before,
                });
            }
            if now > part.not_after {
                return Err(TdxError::CollateralExpired {
                    part: part.name,
                    not_after: part.not_after,
                });
            }
        }
        Ok(())
    }
}

impl Part {
    pub(super) const fn new(name: &'static str, not_before: UnixTime, not_after: UnixTime) -> Self {
        Self {
            name,
            not_before,
            not_after,
        }
    }

    /// A list is replaced at its nextUpdate; it is not valid in that second any more.
    pub(super) fn from_list(name: &'static str, list: &RevocationList<'_>) -> Self {
        let last = list.next_update.secs().saturating_sub(1);
        Self::new(name, list.this_update, UnixTime::from_secs(last))
    }

    /// Facts about the time in which all parts are valid, and nothing else.
    pub(super) fn window(parts: &[Self]) -> CollateralFacts {
        let renewed = parts.iter().filter(|part| RENEWED.contains(&part.name));
        let begins = parts.iter().map(|part| part.not_before).max();
        let ends = parts.iter().map(|part| part.not_after).min();
        let issued = renewed.map(|part| part.not_before).min();
        CollateralFacts {
            not_before: begins.unwrap_or(UnixTime::from_secs(u64::MAX)),
            not_after: ends.unwrap_or(UnixTime::from_secs(0)),
            issued: issued.unwrap_or(UnixTime::from_secs(0)),
            tcb_evaluation_data_number: 0,
            qe_evaluation_data_number: 0,
            fmspc: String::new(),
            pce_id: String::new(),
            unknown_members: Vec::new(),
        }
    }
}
