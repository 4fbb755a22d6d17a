//! Usage, added up.

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

/// By tenant and model, from `since` on and before `until`.
pub(super) async fn sums(
    pool: &SqlitePool,
    since: UnixTime,
    until: UnixTime,
) -> Result<Vec<UsageSum>, LedgerError> {
    let rows = sqlx::query(
        "SELECT tenant, model, COUNT(*) AS requests, SUM(outcome <> 'completed') AS failed, \
         COALESCE(SUM(prompt_tokens), 0) AS prompt_tokens, COALESCE(SUM(completion_tokens), 0) AS completion_tokens, \
         COALESCE(SUM(bytes_in), 0) AS bytes_in, COALESCE(SUM(bytes_out), 0) AS bytes_out \
         FROM usage WHERE at >= ? AND at < ? GROUP BY tenant, model ORDER BY tenant, model",
    )
    .bind(i64::try_from(since.secs()).unwrap_or(i64::MAX))
    .bind(i64::try_from(until.secs()).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    rows.iter().map(read).collect()
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
