//! After a response: fetch its receipt over the attested channel and let the core check it.
//!
//! A receipt that *contradicts* the exchange (bad signature, other keyset, other bytes) is told
//! apart from one that could not be had: the first is evidence against the service, the second is
//! the absence of evidence.

use std::sync::Arc;

use attest_channel::AttestedChannel;
use attest_core::{Receipt, Sha256Digest, TrustedPeer};
use bytes::Bytes;
use http::Method;
use http::header::HeaderValue;
use thiserror::Error;

use super::fetch::{self, patiently};
use super::keep::ReceiptId;
use super::upstreams::Upstreams;
use crate::receipt_check::{self, Behind, Observed, ObservedExchange};

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

/// Fetches and checks.
pub async fn settle(
    channel: &Arc<AttestedChannel>,
    exchange: &Exchange,
    upstreams: Upstreams,
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
    let receipt = Receipt::parse(&bytes).map_err(|e| ReceiptProblem::Contradicts(e.to_string()))?;
    Ok(Verified {
        behind: check(&receipt, exchange, upstreams)?,
        bytes,
    })
}

/// The same judgement as the command `receipt` makes, of everything that the proxy observed.
fn check(
    receipt: &Receipt,
    exchange: &Exchange,
    upstreams: Upstreams,
) -> Result<Behind, ReceiptProblem> {
    let checked = receipt_check::check(
        receipt,
        &Observed {
            keyset: exchange.peer.keyset(),
            serving: Some(exchange.peer.serving()),
            request: Some(exchange.request),
            response: exchange.response,
            exchange: Some(ObservedExchange {
                receipt_id: exchange.receipt_id.as_str(),
                method: exchange.method.as_str(),
                path: &exchange.path,
            }),
        },
    );
    let refused = match upstreams {
        Upstreams::VerifiedOnly => checked.refused_for(),
        Upstreams::AnyAllowed => checked.refused_for_ignoring_upstream(),
    };
    match (refused, checked.behind) {
        (None, Some(behind)) => Ok(behind),
        (Some(finding), _) => Err(ReceiptProblem::Contradicts(finding.to_string())),
        (None, None) => Err(ReceiptProblem::Contradicts("it is not verified".to_owned())),
    }
}
