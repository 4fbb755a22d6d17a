//! After a response: fetch its receipt over the attested channel and let the core check it.
//!
//! A receipt that *contradicts* the exchange (bad signature, other keyset, other bytes) is told
//! apart from one that could not be had: the first is evidence against the service, the second is
//! the absence of evidence.

use std::sync::Arc;

use attest_channel::AttestedChannel;
use attest_core::{Receipt, SessionId, Sha256Digest, TrustedPeer, Upstream};
use bytes::Bytes;
use http::Method;
use http::header::HeaderValue;
use thiserror::Error;

use super::fetch::{self, patiently};
use super::keep::ReceiptId;
/// One request and response, as far as a receipt speaks about them.
pub struct Exchange {
    pub receipt_id: ReceiptId,
    pub method: Method,
    pub path: String,
    /// The caller's: a receipt is shown only to the credential that made the request.
    pub authorization: Option<HeaderValue>,
    pub peer: Arc<TrustedPeer>,
    pub request: Sha256Digest,
    /// `None` if the response did not pass completely.
    pub response: Option<Sha256Digest>,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReceiptProblem {
    #[error("no receipt was served ({0})")]
    Absent(String),
    #[error("the receipt contradicts the exchange: {0}")]
    Contradicts(String),
}

/// A receipt that holds, as it was received.
pub struct Verified {
    pub behind: Behind,
    pub bytes: Bytes,
}

/// What a verified receipt says about the hop behind the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behind {
    Nothing,
    Verified(SessionId),
    NotVerified,
}

/// Fetches and checks.
pub async fn settle(
    channel: &Arc<AttestedChannel>,
    exchange: &Exchange,
) -> Result<Verified, ReceiptProblem> {
    let path = format!("/v1/aci/receipts/{}", exchange.receipt_id.as_str());
    let bytes = patiently(
        channel,
        &path,
        exchange.authorization.as_ref(),
        fetch::MAX_RECEIPT,
    )
    .await
    .map_err(|error| ReceiptProblem::Absent(error.why))?;
    let receipt = Receipt::parse(&bytes).map_err(contradiction)?;
    Ok(Verified {
        behind: check(&receipt, exchange)?,
        bytes,
    })
}

fn contradiction(cause: impl std::fmt::Display) -> ReceiptProblem {
    ReceiptProblem::Contradicts(cause.to_string())
}

fn check(receipt: &Receipt, exchange: &Exchange) -> Result<Behind, ReceiptProblem> {
    let verified = receipt
        .verify(exchange.peer.keyset())
        .map_err(contradiction)?;
    let body = verified.body();
    if body.receipt_id != exchange.receipt_id.as_str() {
        return Err(contradiction("it has another id"));
    }
    if body.endpoint != exchange.path || body.method != exchange.method.as_str() {
        return Err(contradiction("it is about another endpoint"));
    }
    verified
        .matches_request(exchange.request)
        .map_err(contradiction)?;
    if let Some(response) = exchange.response {
        verified.matches_response(response).map_err(contradiction)?;
    }
    Ok(match verified.upstream() {
        Upstream::NotMentioned => Behind::Nothing,
        Upstream::Verified { session_id, .. } => Behind::Verified(session_id),
        Upstream::Failed { .. } => Behind::NotVerified,
    })
}
