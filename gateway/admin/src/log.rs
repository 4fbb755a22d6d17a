//! The audit log with what the public log hides: the subjects of entries and the receipts of a batch.
//!
//! These answers prove nothing to an auditor who does not trust this service; heads and proofs do, and
//! `sealgate-verify log` checks them. They are for display, and for exporting the data that proofs are about.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::{Response, Uri};
use serde_json::{Value, json};

use super::{Admin, Auditing, By};
use attest_core::Sha256Digest;
use gateway_base::errors::{ApiError, Invalid};
use gateway_path::http::{Connection, json as document};

/// The most entries in one answer.
const MAX_COUNT: u64 = 500;

/// `GET /admin/v1/log?from=INDEX&count=N`: the newest head and the entries that it counts, by default
/// the last 50.
pub(super) async fn entries(
    admin: State<Arc<Admin>>,
    _by: By<Auditing>,
    connection: Connection,
    uri: Uri,
) -> Result<Response<Body>, ApiError> {
    let head = connection.epoch.log.head();
    let claimed = head.claimed();
    let range = range(uri.query(), claimed.size)?;
    let log = admin.ledger.audit();
    let entries = log.entries(range.clone()).await;
    let entries = entries.map_err(|_| ApiError::Internal)?;
    let subjects = log.subjects(range.clone()).await;
    let subjects = subjects.map_err(|_| ApiError::Internal)?;
    let rows: Vec<Value> = range
        .zip(&entries)
        .map(|(index, entry)| row(index, entry, &subjects))
        .collect();
    let answer = json!({
        "origin": claimed.origin.to_string(),
        "size": claimed.size,
        "checkpoint": head.note(),
        "entries": rows,
    });
    Ok(document(answer.to_string()))
}

fn row(index: u64, entry: &[u8], subjects: &BTreeMap<u64, String>) -> Value {
    // The bytes that were hashed. They parse: otherwise the service would have refused to open its log.
    let entry: Value = serde_json::from_slice(entry).unwrap_or(Value::Null);
    json!({ "index": index, "entry": entry, "subject": subjects.get(&index) })
}

/// `GET /admin/v1/log/receipts/{index}`: the digests of the receipts in the batch at this index, in order.
pub(super) async fn receipts(
    admin: State<Arc<Admin>>,
    _by: By<Auditing>,
    index: Path<String>,
) -> Result<Response<Body>, ApiError> {
    let index = number(&index).ok_or(ApiError::LogFileNotFound)?;
    let digests = admin.ledger.audit().batch(index).await;
    let digests = digests.map_err(|_| ApiError::Internal)?;
    if digests.is_empty() {
        return Err(ApiError::LogFileNotFound);
    }
    let digests: Vec<String> = digests.iter().map(Sha256Digest::to_string).collect();
    Ok(document(
        json!({ "index": index, "receipts": digests }).to_string(),
    ))
}

fn range(query: Option<&str>, size: u64) -> Result<std::ops::Range<u64>, Invalid> {
    let (mut from, mut count) = (None, None);
    for pair in query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (name, value) = pair.split_once('=').ok_or(Invalid::Query)?;
        let place = match name {
            "from" => &mut from,
            "count" => &mut count,
            _ => return Err(Invalid::Query),
        };
        if place
            .replace(number(value).ok_or(Invalid::Query)?)
            .is_some()
        {
            return Err(Invalid::Query);
        }
    }
    let count = count.unwrap_or(50);
    if count > MAX_COUNT {
        return Err(Invalid::Query);
    }
    let from = from.unwrap_or_else(|| size.saturating_sub(count)).min(size);
    Ok(from..from.saturating_add(count).min(size))
}

fn number(text: &str) -> Option<u64> {
    let digits = (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_limited_to_the_size_of_the_head() {
        assert_eq!(range(None, 7), Ok(0..7));
        assert_eq!(range(None, 120), Ok(70..120));
        assert_eq!(range(Some("from=5"), 7), Ok(5..7));
        assert_eq!(range(Some("from=5&count=1"), 7), Ok(5..6));
        assert_eq!(range(Some("from=900"), 7), Ok(7..7));
        assert_eq!(range(Some("count=3"), 7), Ok(4..7));
        assert_eq!(range(Some("count=0"), 7), Ok(7..7));
    }

    #[test]
    fn rejects_a_malformed_range() {
        for bad in [
            "from",
            "from=-1",
            "from=",
            "count=501",
            "from=1&from=1",
            "to=3",
            "from=1e2",
        ] {
            assert_eq!(range(Some(bad), 7), Err(Invalid::Query), "{bad}");
        }
    }
}
