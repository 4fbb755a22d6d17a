//! The usage API of the program as it is shipped, over many rows.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::place::Place;
use testkit::client::TlsClient;
use testkit::service::free_address;

/// All in one minute, which is asked for in part: these are added up row by row.
const ROWS: i64 = 60_000;
const MINUTE: i64 = 1_800_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn usage_over_many_rows_is_answered_under_all_hardening() -> Result<()> {
    let address = free_address()?;
    let place = Place::new("many-rows", &format!("[admin]\nlisten = \"{address}\"\n")).await?;
    let made = place
        .service
        .cli(&["admin", "create", "--role", "read-only"])
        .await?;
    let said = String::from_utf8(made.stdout)?;
    let key = said.split_whitespace().find(|word| word.starts_with("sk-"));
    let key = key.with_context(|| said.clone())?.to_owned();
    sqlx::query(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ? - 1) \
         INSERT INTO usage (receipt_id, at, key_id, tenant, model, upstream, endpoint, stream, status, outcome, \
         prompt_tokens, completion_tokens, latency_us, first_byte_us, bytes_in, bytes_out, expires_at) SELECT 'rcpt-' || i, ? + i % 60, 'key', 'tenant-' || (i % 50), 'model-' || (i % 7), 'u', \
         'chat', 0, 200, 'completed', 2, 3, 1, 1, 5, 7, ? FROM n",
    )
    .bind(ROWS)
    .bind(MINUTE)
    .bind(i64::MAX)
    .execute(&mut place.database("ledger.sqlite").await?)
    .await?;
    for (since, until, seconds) in [(MINUTE + 1, MINUTE + 60, 59), (MINUTE, MINUTE + 3600, 60)] {
        let path = format!("/admin/v1/usage?since={since}&until={until}");
        let mut connection = TlsClient::observing().connect(address).await?;
        let answer = connection.get_as(&key, &path).await?;
        assert_eq!(answer.status, 200, "{}", place.service.log());
        let answer: Value = answer.json().await?;
        let rows = answer["usage"].as_array().context("sums")?;
        let sum = |member: &str| {
            rows.iter()
                .filter_map(|row| row[member].as_i64())
                .sum::<i64>()
        };
        let requests = ROWS * seconds / 60;
        let sums = ["requests", "prompt_tokens", "bytes_out"].map(sum);
        assert_eq!(sums, [requests, 2 * requests, 7 * requests]);
    }
    Ok(())
}
