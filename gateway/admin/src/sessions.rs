//! Attested sessions: which verified upstreams requests went to, now and earlier.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::{Response, Uri};
use serde_json::{Value, json};

use super::{Admin, By, Viewing};
use attest_core::{Session, SessionId};
use gateway_base::errors::{ApiError, Invalid};
use gateway_path::http::{Connection, json as document};

/// The most sessions in one answer.
const MAX_COUNT: u32 = 200;

/// `GET /admin/v1/sessions?count=N`: the newest sessions that receipts may cite, abbreviated as in the public list; by
/// default the last 50.
pub(super) async fn list(
    admin: State<Arc<Admin>>,
    _by: By<Viewing>,
    connection: Connection,
    uri: Uri,
) -> Result<Response<Body>, ApiError> {
    let count = count(uri.query())?;
    let active: BTreeSet<[u8; 32]> = connection
        .epoch
        .routes
        .sessions(None, None)
        .iter()
        .map(|session| *session.id().as_bytes())
        .collect();
    let stored = admin.ledger.sessions().newest(count).await;
    let rows: Vec<Value> = stored
        .map_err(|_| ApiError::Internal)?
        .iter()
        .filter_map(|json| Session::parse(json).ok())
        .map(|session| {
            let mut row = session.abbreviated_json();
            row["in_force"] = active.contains(session.id().as_bytes()).into();
            row
        })
        .collect();
    Ok(document(json!({ "sessions": rows }).to_string()))
}

/// `GET /admin/v1/sessions/{id}`: the whole document, whose SHA-256 is its id.
pub(super) async fn session(
    admin: State<Arc<Admin>>,
    _by: By<Viewing>,
    id: Path<String>,
) -> Result<Response<Body>, ApiError> {
    let id = SessionId::parse(&id).map_err(|_| ApiError::SessionNotFound)?;
    let found = admin.ledger.sessions().find(&id).await;
    let found = found.map_err(|_| ApiError::Internal)?;
    found.map(document).ok_or(ApiError::SessionNotFound)
}

fn count(query: Option<&str>) -> Result<u32, Invalid> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(50);
    };
    let digits = query.strip_prefix("count=").ok_or(Invalid::Query)?;
    let plain = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let count = digits.parse().ok().filter(|count| *count <= MAX_COUNT);
    count.filter(|_| plain).ok_or(Invalid::Query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_counts_within_bounds() {
        assert_eq!(count(None), Ok(50));
        assert_eq!(count(Some("count=0")), Ok(0));
        assert_eq!(count(Some("count=200")), Ok(200));
        for bad in [
            "count",
            "count=",
            "count=201",
            "count=+1",
            "n=1",
            "count=1&count=2",
        ] {
            assert_eq!(count(Some(bad)), Err(Invalid::Query), "{bad}");
        }
    }
}
