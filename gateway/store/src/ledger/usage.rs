//! Usage, in the tables `usage` and `usage_sums`: rows of requests, and sums by tenant and model.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::query_builder::Separated;
use sqlx::{
    AssertSqlSafe, QueryBuilder, Row, Sqlite, SqliteExecutor, SqlitePool, sqlite::SqliteRow,
};

use super::batch::UsageValues;
use super::columns::{corrupt, signed};
use super::in_ledger;
use super::row_queue::{RowQueue, count_loss};
use crate::audit::AuditLog;
use crate::error::StoreError;
use attest_core::UnixTime;
use gateway_base::metering::{Outcome, RowRetention, UnfinishedId, UsageRow};
use gateway_base::quota::{Money, Spent};
use gateway_base::request::Name;
use gateway_base::store_failure::StoreFailure;

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
    /// What those of them cost that have a cost; `None` if none has.
    pub cost: Option<Money>,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// The usage of tenants and models.
pub struct Usage<'a> {
    pub(super) pool: &'a SqlitePool,
    pub(super) queue: &'a RowQueue,
    pub(super) audit: &'a AuditLog,
    // The ledger's counter, from which every request with such a row takes its own id.
    pub(super) unfinished: &'a AtomicI64,
}

impl Usage<'_> {
    /// A new id for the row of a request that needs one before it is forwarded.
    pub fn next_unfinished(&self) -> UnfinishedId {
        UnfinishedId(self.unfinished.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes the row of a request durable before the request is forwarded, under the id `retention.replaces`. The usage row
    /// with the same `retention` replaces it. If the process ends before, the next start counts this row as usage.
    pub async fn begin(
        &self,
        row: &UsageRow,
        retention: &RowRetention,
    ) -> Result<(), StoreFailure> {
        match retention.replaces {
            Some(id) => self.queue.push_unfinished(id, row, retention).await,
            None => Ok(()),
        }
    }

    /// Queues a usage row. Never waits.
    pub fn record(&self, row: &UsageRow, retention: &RowRetention) {
        count_loss(self.queue.push_usage(row, retention), &self.audit.losses());
    }

    /// Queues the usage row of a request, if it is kept, and what the request has spent of budgets and credits. Never waits.
    pub fn record_ended(&self, row: Option<(&UsageRow, &RowRetention)>, spent: &[Spent]) {
        if row.is_some() || !spent.is_empty() {
            count_loss(self.queue.push_ended(row, spent), &self.audit.losses());
        }
    }

    /// Usage from `since` until before `until`, by tenant and model. Rows that cannot be written are not in it.
    pub async fn sums(
        &self,
        since: UnixTime,
        until: UnixTime,
    ) -> Result<Vec<UsageSum>, StoreError> {
        let _ = self.queue.in_tables().await;
        sums(self.pool, since, until).await.map_err(in_ledger)
    }
}

const MINUTE: u64 = 60;
pub(super) const HOUR: u64 = 3600;

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
pub(super) fn cut(span: Range<u64>, unit: u64) -> (Range<u64>, Range<u64>, Range<u64>) {
    let (first, end) = (span.start.div_ceil(unit), span.end / unit);
    if first < end {
        let (before, after) = (span.start..first * unit, end * unit..span.end);
        (before, first..end, after)
    } else {
        (span, 0..0, 0..0)
    }
}

/// By tenant and model, from `since` on and before `until`.
async fn sums(
    on: impl SqliteExecutor<'_>,
    since: UnixTime,
    until: UnixTime,
) -> Result<Vec<UsageSum>, sqlx::Error> {
    const COLUMNS: &str = "tenant, model, requests, failed, prompt_tokens, completion_tokens, bytes_in, bytes_out, cost_nanos, priced";
    let periods = |width: u64| {
        format!(
            "SELECT {COLUMNS} FROM usage_sums WHERE width = {width} AND period >= ? AND period < ?"
        )
    };
    let rows =
        "SELECT tenant, model, 1, failed, prompt_tokens, completion_tokens, bytes_in, bytes_out, cost_nanos, priced \
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
         SUM(bytes_in) AS bytes_in, SUM(bytes_out) AS bytes_out, \
         SUM(cost_nanos) AS cost_nanos, SUM(priced) AS priced \
         FROM ({}) GROUP BY tenant, model ORDER BY tenant, model",
        sources.join(" UNION ALL ")
    );
    let mut query = sqlx::query(AssertSqlSafe(query));
    for range in ranges {
        query = query.bind(signed(range.start)).bind(signed(range.end));
    }
    let rows = query.fetch_all(on).await?;
    rows.iter().map(read).collect()
}

fn read(row: &SqliteRow) -> Result<UsageSum, sqlx::Error> {
    let name = |name| Name::from_operator(name).map_err(|_| corrupt("usage name"));
    let model: Option<&str> = row.try_get("model")?;
    let count = |column: &str| {
        let count: i64 = row.try_get(column)?;
        u64::try_from(count).map_err(|_| corrupt("usage count"))
    };
    Ok(UsageSum {
        tenant: name(row.try_get("tenant")?)?,
        model: model.map(name).transpose()?,
        requests: count("requests")?,
        failed: count("failed")?,
        prompt_tokens: count("prompt_tokens")?,
        completion_tokens: count("completion_tokens")?,
        cost: (count("priced")? > 0)
            .then(|| row.try_get("cost_nanos").map(Money::from_nanos))
            .transpose()?,
        bytes_in: count("bytes_in")?,
        bytes_out: count("bytes_out")?,
    })
}

/// The columns that [`push_usage`] binds, in its order.
pub(super) const USAGE_COLUMNS: &str = "receipt_id, at, key_id, tenant, model, upstream, endpoint, stream, status, \
     outcome, prompt_tokens, completion_tokens, latency_us, first_byte_us, bytes_in, bytes_out, expires_at, cause, \
     token_source, cost_nanos, cached_tokens, reasoning_tokens, organisation, user_name, scenario, owner";

/// Inserts rows that [`add_to_sums`] counts, not a trigger.
pub(super) async fn insert(
    on: impl SqliteExecutor<'_>,
    rows: &[UsageValues<'_>],
) -> Result<(), sqlx::Error> {
    let mut insert =
        QueryBuilder::<Sqlite>::new(format!("INSERT INTO usage ({USAGE_COLUMNS}, summed) "));
    insert.push_values(rows, |mut values, row| {
        push_usage(&mut values, row);
        values.push("1");
    });
    insert.build().execute(on).await?;
    Ok(())
}

/// Binds the columns of a row.
pub(super) fn push_usage(values: &mut Separated<'_, Sqlite, &'static str>, row: &UsageValues<'_>) {
    values
        .push_bind(row.receipt_id)
        .push_bind(row.at)
        .push_bind(row.key_id)
        .push_bind(row.tenant)
        .push_bind(row.model)
        .push_bind(row.upstream)
        .push_bind(row.endpoint)
        .push_bind(row.stream)
        .push_bind(row.status)
        .push_bind(row.outcome)
        .push_bind(row.prompt_tokens)
        .push_bind(row.completion_tokens)
        .push_bind(row.latency_us)
        .push_bind(row.first_byte_us)
        .push_bind(row.bytes_in)
        .push_bind(row.bytes_out)
        .push_bind(row.expires_at)
        .push_bind(row.cause)
        .push_bind(row.token_source)
        .push_bind(row.cost_nanos)
        .push_bind(row.cached_tokens)
        .push_bind(row.reasoning_tokens)
        .push_bind(row.organisation)
        .push_bind(row.user_name)
        .push_bind(row.scenario)
        .push_bind(row.owner);
}

/// A period of `usage_sums`: its width in seconds, its number, tenant and model.
type Period<'a> = (i64, i64, &'a str, &'a str);

/// Requests, failed ones, tokens, bytes, cost, and requests that have one.
pub(super) type Sums = [i64; 8];

/// What a row counts for.
pub(super) fn counted(row: &UsageValues<'_>) -> Sums {
    let counted = |value: Option<i64>| value.unwrap_or(0).min(1_000_000_000_000);
    [
        1,
        (row.outcome != Outcome::Completed.as_str()).into(),
        counted(row.prompt_tokens),
        counted(row.completion_tokens),
        counted(row.bytes_in),
        counted(row.bytes_out),
        row.cost_nanos.unwrap_or(0).min(100_000_000_000_000),
        row.cost_nanos.is_some().into(),
    ]
}

pub(super) fn add_sums(to: &mut Sums, adds: Sums) {
    to.iter_mut().zip(adds).for_each(|(sum, add)| *sum += add);
}

/// What rows add to `usage_sums`.
#[derive(Default)]
pub(super) struct SumsOfRows<'a>(BTreeMap<Period<'a>, Sums>);

impl<'a> SumsOfRows<'a> {
    /// As the trigger `usage_added` counts a row.
    pub fn add(&mut self, row: &UsageValues<'a>) {
        for width in [MINUTE, HOUR].map(signed) {
            let period = (
                width,
                row.at / width,
                row.tenant,
                row.model.unwrap_or_default(),
            );
            add_sums(self.0.entry(period).or_default(), counted(row));
        }
    }

    pub fn into_rows(self) -> Vec<(Period<'a>, Sums)> {
        self.0.into_iter().collect()
    }
}

pub(super) async fn add_to_sums(
    on: impl SqliteExecutor<'_>,
    rows: &[(Period<'_>, Sums)],
) -> Result<(), sqlx::Error> {
    let mut insert = QueryBuilder::<Sqlite>::new(
        "INSERT INTO usage_sums (width, period, tenant, model, requests, failed, prompt_tokens, completion_tokens, \
         bytes_in, bytes_out, cost_nanos, priced) ",
    );
    insert.push_values(
        rows,
        |mut values, ((width, period, tenant, model), sums)| {
            values
                .push_bind(*width)
                .push_bind(*period)
                .push_bind(*tenant)
                .push_bind(*model);
            for sum in sums {
                values.push_bind(*sum);
            }
        },
    );
    insert.push(
        " ON CONFLICT (width, period, tenant, model) DO UPDATE SET requests = requests + excluded.requests, \
         failed = failed + excluded.failed, prompt_tokens = prompt_tokens + excluded.prompt_tokens, \
         completion_tokens = completion_tokens + excluded.completion_tokens, bytes_in = bytes_in + excluded.bytes_in, \
         bytes_out = bytes_out + excluded.bytes_out, cost_nanos = cost_nanos + excluded.cost_nanos, \
         priced = priced + excluded.priced",
    );
    insert.build().execute(on).await?;
    Ok(())
}

/// Deletes expired rows. Takes the time and the most rows to delete.
pub(super) const DELETE_EXPIRED: &str =
    "DELETE FROM usage WHERE rowid IN (SELECT rowid FROM usage WHERE expires_at <= ? LIMIT ?)";

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
