//! Queries of the tables `usage` and `usage_sums`: sums by tenant and model.

use std::ops::Range;

use attest_core::UnixTime;
use sqlx::{AssertSqlSafe, Row, SqlitePool, sqlite::SqliteRow};

use super::LedgerError;
use gateway_base::request::Name;

/// What one tenant used of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageSum {
    pub tenant: Name,
    /// None where requests named a model that is not configured.
    pub model: Option<Name>,
    pub requests: u64,
    /// Those of them that were not answered completely.
    pub failed: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// A time span, split at the bounds of the periods whose sums are stored: rows, then sums of minutes, hours and minutes,
/// then rows again. Each part is in its unit; any may be empty.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    rows: [Range<u64>; 2],
    minutes: [Range<u64>; 2],
    hours: Range<u64>,
}

impl Parts {
    fn split(since: u64, until: u64) -> Self {
        let (rows_before, minutes, rows_after) = cut(since..until, MINUTE);
        let (minutes_before, hours, minutes_after) = cut(minutes, HOUR / MINUTE);
        Self {
            rows: [rows_before, rows_after],
            minutes: [minutes_before, minutes_after],
            hours,
        }
    }
}

/// The part before the first whole unit, the whole units, and the part after the last one.
fn cut(span: Range<u64>, unit: u64) -> (Range<u64>, Range<u64>, Range<u64>) {
    let (first, end) = (span.start.div_ceil(unit), span.end / unit);
    if first < end {
        let (before, after) = (span.start..first * unit, end * unit..span.end);
        (before, first..end, after)
    } else {
        (span, 0..0, 0..0)
    }
}

/// By tenant and model, from `since` on and before `until`.
pub(super) async fn sums(
    pool: &SqlitePool,
    since: UnixTime,
    until: UnixTime,
) -> Result<Vec<UsageSum>, LedgerError> {
    const COLUMNS: &str =
        "tenant, model, requests, failed, prompt_tokens, completion_tokens, bytes_in, bytes_out";
    let periods = |width: u64| {
        format!(
            "SELECT {COLUMNS} FROM usage_sums WHERE width = {width} AND period >= ? AND period < ?"
        )
    };
    let rows =
        "SELECT tenant, model, 1, failed, prompt_tokens, completion_tokens, bytes_in, bytes_out \
                FROM usage_counted WHERE at >= ? AND at < ?"
            .to_owned();
    let parts = Parts::split(since.secs(), until.secs());
    let sources = [
        periods(HOUR),
        periods(MINUTE),
        periods(MINUTE),
        rows.clone(),
        rows,
    ];
    let ranges = [
        vec![parts.hours],
        parts.minutes.to_vec(),
        parts.rows.to_vec(),
    ]
    .concat();
    let query = format!(
        "SELECT tenant, nullif(model, '') AS model, SUM(requests) AS requests, SUM(failed) AS failed, \
         SUM(prompt_tokens) AS prompt_tokens, SUM(completion_tokens) AS completion_tokens, \
         SUM(bytes_in) AS bytes_in, SUM(bytes_out) AS bytes_out \
         FROM ({}) GROUP BY tenant, model ORDER BY tenant, model",
        sources.join(" UNION ALL ")
    );
    let mut query = sqlx::query(AssertSqlSafe(query));
    for range in ranges {
        query = query.bind(signed(range.start)).bind(signed(range.end));
    }
    let rows = query.fetch_all(pool).await?;
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
    fn splits_a_span_into_hours_minutes_and_rows_without_gaps() {
        let spans = [
            (0, 0),
            (0, 59),
            (59, 121),
            (60, 600),
            (3599, 7201),
            (61, 90_001),
            (7, 700_000),
        ];
        for (since, until) in spans {
            let parts = Parts::split(since, until);
            let length = |range: &Range<u64>| range.end - range.start;
            let [before, after] = &parts.rows;
            let [minutes, later] = &parts.minutes;
            let covered = length(before)
                + MINUTE * (length(minutes) + length(later))
                + HOUR * length(&parts.hours)
                + length(after);
            assert_eq!(covered, until - since, "{parts:?}");
            assert!(length(before) < 120 && length(after) < 60, "{parts:?}");
            assert!(length(minutes) < 120 && length(later) < 60, "{parts:?}");
        }
        let parts = Parts::split(3541, 7321);
        assert_eq!(
            (parts.rows, parts.minutes),
            ([3541..3600, 7320..7321], [60..60, 120..122])
        );
        assert_eq!(parts.hours, 1..2);
    }
}
