//! Usage, added up.

use std::ops::Range;

use attest_core::UnixTime;
use sqlx::{Row, SqlitePool, sqlite::SqliteRow};

use super::LedgerError;
use crate::config::Name;

/// What one tenant used of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageSum {
    pub tenant: Name,
    /// None where requests named a model that is not configured.
    pub model: Option<Name>,
    pub requests: u64,
    /// Those of them that were not answered to their end.
    pub failed: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// Seconds that have one row of sums for a tenant and model.
const MINUTE: u64 = 60;

/// A span of time: whole minutes, whose sums are kept, and what is left before and after them.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    before: Range<u64>,
    minutes: Range<u64>,
    after: Range<u64>,
}

impl Parts {
    fn of(since: u64, until: u64) -> Self {
        let (first, end) = (since.div_ceil(MINUTE), until / MINUTE);
        if first < end {
            Self {
                before: since..first * MINUTE,
                minutes: first..end,
                after: end * MINUTE..until,
            }
        } else {
            Self {
                before: since..until,
                minutes: 0..0,
                after: 0..0,
            }
        }
    }
}

/// By tenant and model, from `since` on and before `until`.
pub(super) async fn sums(
    pool: &SqlitePool,
    since: UnixTime,
    until: UnixTime,
) -> Result<Vec<UsageSum>, LedgerError> {
    let parts = Parts::of(since.secs(), until.secs());
    let rows = sqlx::query(
        "SELECT tenant, nullif(model, '') AS model, SUM(requests) AS requests, SUM(failed) AS failed, \
         SUM(prompt_tokens) AS prompt_tokens, SUM(completion_tokens) AS completion_tokens, \
         SUM(bytes_in) AS bytes_in, SUM(bytes_out) AS bytes_out \
         FROM (SELECT tenant, model, requests, failed, prompt_tokens, completion_tokens, bytes_in, bytes_out \
               FROM usage_sums WHERE minute >= ?1 AND minute < ?2 \
               UNION ALL \
               SELECT tenant, model, 1, failed, prompt_tokens, completion_tokens, bytes_in, bytes_out \
               FROM usage_counted WHERE at >= ?3 AND at < ?4 \
               UNION ALL \
               SELECT tenant, model, 1, failed, prompt_tokens, completion_tokens, bytes_in, bytes_out \
               FROM usage_counted WHERE at >= ?5 AND at < ?6) \
         GROUP BY tenant, model ORDER BY tenant, model",
    )
    .bind(signed(parts.minutes.start))
    .bind(signed(parts.minutes.end))
    .bind(signed(parts.before.start))
    .bind(signed(parts.before.end))
    .bind(signed(parts.after.start))
    .bind(signed(parts.after.end))
    .fetch_all(pool)
    .await?;
    rows.iter().map(read).collect()
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn read(row: &SqliteRow) -> Result<UsageSum, LedgerError> {
    let corrupt = |_| LedgerError::Corrupt { what: "usage name" };
    let model: Option<&str> = row.try_get("model")?;
    let count = |column: &str| -> Result<u64, LedgerError> {
        u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| LedgerError::Corrupt {
            what: "usage count",
        })
    };
    Ok(UsageSum {
        tenant: Name::from_operator(row.try_get("tenant")?).map_err(corrupt)?,
        model: model
            .map(Name::from_operator)
            .transpose()
            .map_err(corrupt)?,
        requests: count("requests")?,
        failed: count("failed")?,
        prompt_tokens: count("prompt_tokens")?,
        completion_tokens: count("completion_tokens")?,
        bytes_in: count("bytes_in")?,
        bytes_out: count("bytes_out")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_cut_into_whole_minutes_and_what_is_left_on_either_side() {
        for (since, until) in [
            (0, 0),
            (0, 59),
            (0, 60),
            (1, 60),
            (59, 61),
            (59, 121),
            (60, 600),
        ] {
            let parts = Parts::of(since, until);
            let seconds = |range: &Range<u64>| range.end - range.start;
            let covered =
                seconds(&parts.before) + MINUTE * seconds(&parts.minutes) + seconds(&parts.after);
            assert_eq!(covered, until - since, "{parts:?}");
            assert!(
                seconds(&parts.before) < 120 && seconds(&parts.after) < 60,
                "{parts:?}"
            );
        }
        let parts = Parts::of(59, 121);
        assert_eq!(
            (parts.before, parts.minutes, parts.after),
            (59..60, 1..2, 120..121)
        );
    }
}
