//! How values are written to columns and read back.

use attest_core::UnixTime;

use crate::error::CorruptValue;

pub(super) fn corrupt(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(CorruptValue { what }))
}

/// A column has no unsigned type. Larger values are written as the largest signed one.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn secs(time: UnixTime) -> i64 {
    signed(time.secs())
}

pub(super) fn time(secs: i64) -> Result<UnixTime, sqlx::Error> {
    u64::try_from(secs)
        .map(UnixTime::from_secs)
        .map_err(|_| corrupt("time"))
}
