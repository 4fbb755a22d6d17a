//! ACI/1's documents: the report, receipts, sessions.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::{HeaderMap, Response, Uri};

use super::PublicState;
use super::public::json;
use super::state::Connection;
use crate::receipt::FoundReceipt;
use attest_core::{Session, SessionId};
use gateway_base::errors::{ApiError, Invalid};
use gateway_contract::attestation::{ReportRequest, Requester};

/// No id is longer, neither ours nor those that are taken from upstreams.
const MAX_ID: usize = 256;

/// `GET /v1/aci/attestation` (ACI/1 §4).
pub(super) async fn attestation(
    state: State<Arc<PublicState>>,
    connection: Connection,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let request = ReportRequest::parse(uri.query())?;
    let requester = Requester {
        address: connection.peer,
        key: state
            .admission
            .key_id(&connection.epoch, &headers, connection.peer),
    };
    let report = state
        .report_queue
        .report(&connection.epoch, request, requester);
    Ok(json(report.await?))
}

/// `GET /v1/aci/receipts/{id}` (ACI/1 §7.1, §7.6). The credential is compared with the one that made the request, not
/// with the active keys: a revoked key can still read the receipts of requests made with it. A receipt that is not signed
/// and can no longer be has the proof that it is in the audit log.
pub(super) async fn receipt(
    state: State<Arc<PublicState>>,
    id: Path<String>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let found = own_receipt(&state, &id, &headers).await?;
    if let Some(signed) = found.signed {
        return Ok(json(signed));
    }
    let current = state.rotation.current();
    let receipts = &state.services.receipts;
    match receipts.with_log_proof(&found, &current).await {
        Ok(Some(document)) => Ok(json(document)),
        Ok(None) => Err(ApiError::ReceiptNotLogged),
        Err(_) => Err(ApiError::Internal),
    }
}

/// The receipt with this id, if the credential is the one that made the request.
pub(super) async fn own_receipt(
    state: &PublicState,
    id: &str,
    headers: &HeaderMap,
) -> Result<FoundReceipt, ApiError> {
    let epoch = state.rotation.current();
    let caller = state.admission.digest(&epoch, headers);
    let caller = caller.map_err(|error| match error {
        ApiError::MissingKey => ApiError::ReceiptUnauthorized,
        ApiError::Token(fault) => ApiError::Token(fault),
        _ => ApiError::ReceiptNotFound,
    })?;
    if id.is_empty() || id.len() > MAX_ID {
        return Err(ApiError::ReceiptNotFound);
    }
    match state.services.receipts.get(id, &caller).await {
        Ok(Some(receipt)) => Ok(receipt),
        Ok(None) => Err(ApiError::ReceiptNotFound),
        Err(_) => Err(ApiError::Internal),
    }
}

/// `GET /v1/aci/sessions/{id}` (ACI/1 §8.1).
pub(super) async fn session(
    state: State<Arc<PublicState>>,
    id: Path<String>,
) -> Result<Response<Body>, ApiError> {
    let id = SessionId::parse(&id).map_err(|_| ApiError::SessionNotFound)?;
    match state.ledger.sessions().find(&id).await {
        Ok(Some(session)) => Ok(json(session)),
        Ok(None) => Err(ApiError::SessionNotFound),
        Err(_) => Err(ApiError::Internal),
    }
}

/// `GET /v1/aci/sessions?upstream_name=&model=`: the current sessions, abbreviated.
pub(super) async fn sessions(connection: Connection, uri: Uri) -> Result<Response<Body>, ApiError> {
    let filter = Filter::parse(uri.query())?;
    let sessions = connection
        .epoch
        .routes
        .sessions(filter.upstream_name.as_deref(), filter.model.as_deref());
    let abbreviated: Vec<_> = sessions
        .iter()
        .map(|session: &Arc<Session>| session.abbreviated_json())
        .collect();
    Ok(json(
        serde_json::json!({ "api_version": "aci/1", "sessions": abbreviated }).to_string(),
    ))
}

#[derive(Debug, Default, PartialEq)]
struct Filter {
    upstream_name: Option<String>,
    model: Option<String>,
}

impl Filter {
    fn parse(query: Option<&str>) -> Result<Self, Invalid> {
        let mut filter = Self::default();
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let slot = match name {
                "upstream_name" => &mut filter.upstream_name,
                "model" => &mut filter.model,
                _ => continue,
            };
            if slot.replace(percent_decoded(value)?).is_some() {
                return Err(Invalid::Query);
            }
        }
        Ok(filter)
    }
}

fn percent_decoded(text: &str) -> Result<String, Invalid> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2).ok_or(Invalid::Query)?;
                let digits = std::str::from_utf8(digits).map_err(|_| Invalid::Query)?;
                if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(Invalid::Query);
                }
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| Invalid::Query)?);
                rest = after;
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).map_err(|_| Invalid::Query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_filters_are_percent_decoded_and_rejected_when_repeated() {
        let filter = |upstream_name: Option<&str>, model: Option<&str>| Filter {
            upstream_name: upstream_name.map(str::to_owned),
            model: model.map(str::to_owned),
        };
        assert_eq!(Filter::parse(None), Ok(filter(None, None)));
        assert_eq!(
            Filter::parse(Some("model=meta%2Fllama&x=1")),
            Ok(filter(None, Some("meta/llama")))
        );
        assert_eq!(
            Filter::parse(Some("upstream_name=a&model=b")),
            Ok(filter(Some("a"), Some("b")))
        );
        for bad in [
            "model=a&model=a",
            "model=%2",
            "model=%zz",
            "model=%+1",
            "model=%ff",
        ] {
            assert_eq!(Filter::parse(Some(bad)), Err(Invalid::Query), "{bad}");
        }
    }
}
