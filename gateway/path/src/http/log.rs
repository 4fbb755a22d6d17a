//! The audit log, public: heads, tiles and entries in the C2SP `tlog-tiles` layout below `/v1/aci/log/`, and proofs for
//! holders of a receipt.
//!
//! Entries contain no names but those of upstreams, which sessions contain as well; administrators and receipts are in
//! them as digests.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, Uri};

use attest_core::log::tile::Tile;

use super::PublicState;
use super::aci::own_receipt;
use super::public::json;
use gateway_base::errors::{ApiError, Invalid};

/// `GET /v1/aci/log/checkpoint`: the newest head.
pub(super) async fn checkpoint(state: State<Arc<PublicState>>) -> Response<Body> {
    let head = state.rotation.current().log.head();
    text(head.note().to_owned())
}

/// `GET /v1/aci/log/tile/…`: a tile or a bundle of entries that the newest head counts. Never changes.
pub(super) async fn tile(
    state: State<Arc<PublicState>>,
    path: Path<String>,
) -> Result<Response<Body>, ApiError> {
    let tile = Tile::parse(&format!("tile/{}", path.0)).map_err(|_| ApiError::LogFileNotFound)?;
    let size = state.rotation.current().log.head().claimed().size;
    match state.ledger.audit().tile(&tile, size).await {
        Ok(Some(bytes)) => {
            let mut response = Response::new(Body::from(bytes));
            let headers = response.headers_mut();
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            );
            headers.insert(
                CACHE_CONTROL,
                HeaderValue::from_static("public, max-age=31536000, immutable"),
            );
            Ok(response)
        }
        Ok(None) => Err(ApiError::LogFileNotFound),
        Err(_) => Err(ApiError::Internal),
    }
}

/// `GET /v1/aci/log/consistency?old=N&new=M`: the hashes that show the tree of N entries to be the beginning of that
/// of M (RFC 6962 §2.1.2), for clients that do not want to compute them from tiles.
pub(super) async fn consistency(
    state: State<Arc<PublicState>>,
    uri: Uri,
) -> Result<Response<Body>, ApiError> {
    let (old, new) = sizes(uri.query()).ok_or(Invalid::Query)?;
    if new > state.rotation.current().log.head().claimed().size {
        return Err(ApiError::LogFileNotFound);
    }
    match state.ledger.audit().consistency(old, new).await {
        Ok(Some(proof)) => {
            let proof: Vec<_> = proof.iter().map(ToString::to_string).collect();
            let document = serde_json::json!({ "old": old, "new": new, "proof": proof });
            Ok(json(document.to_string()))
        }
        Ok(None) => Err(Invalid::Query.into()),
        Err(_) => Err(ApiError::Internal),
    }
}

/// `GET /v1/aci/receipts/{id}/proof`: that the receipt is in the log (C2SP `tlog-proof`), for the key that may read
/// the receipt.
pub(super) async fn receipt_proof(
    state: State<Arc<PublicState>>,
    id: Path<String>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let receipt = own_receipt(&state, &id, &headers).await?;
    let epoch = state.rotation.current();
    let digest = receipt.logged_digest();
    match state
        .ledger
        .audit()
        .receipt_proof(&digest, &epoch.log)
        .await
    {
        Ok(Some(proof)) => Ok(text(proof.to_text())),
        Ok(None) => Err(ApiError::ReceiptNotLogged),
        Err(_) => Err(ApiError::Internal),
    }
}

fn text(words: String) -> Response<Body> {
    let mut response = Response::new(Body::from(words));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `old` and `new`, each given once.
fn sizes(query: Option<&str>) -> Option<(u64, u64)> {
    let (mut old, mut new) = (None, None);
    for pair in query?.split('&') {
        let (name, value) = pair.split_once('=')?;
        let slot = match name {
            "old" => &mut old,
            "new" => &mut new,
            _ => return None,
        };
        let size: u64 = value.parse().ok()?;
        if size.to_string() != value || slot.replace(size).is_some() {
            return None;
        }
    }
    Some((old?, new?))
}

#[cfg(test)]
mod tests {
    use super::sizes;

    #[test]
    fn sizes_are_plain_numbers_given_once() {
        assert_eq!(sizes(Some("old=3&new=12")), Some((3, 12)));
        assert_eq!(sizes(Some("new=12&old=3")), Some((3, 12)));
        for bad in [
            "old=3",
            "old=3&new=12&new=12",
            "old=03&new=4",
            "old=-1&new=4",
            "old=3&new=",
            "x=1",
        ] {
            assert_eq!(sizes(Some(bad)), None, "{bad}");
        }
        assert_eq!(sizes(None), None);
    }
}
