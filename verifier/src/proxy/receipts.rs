//! After a response: fetches its receipt over the attested channel and has the core check it.
//!
//! A receipt that *contradicts* the exchange (bad signature, other keyset, other bytes) is a different error
//! from one that could not be fetched: the first is evidence against the service, the second is
//! the absence of evidence.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::header::HeaderValue;
use thiserror::Error;

use super::fetch::{self, fetch_with_retries};
use super::upstream_models::Upstreams;
use crate::receipt_check::{self, Observed, ObservedExchange, UpstreamOutcome};
use attest_channel::AttestedChannel;
use attest_core::{ReceiptDocument, Sha256Digest, TrustedPeer, signs_receipts_on_fetch};

/// A receipt's id that is safe as a path segment of a URL and as a file name. Other ids are not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptId(String);

impl ReceiptId {
    const LONGEST: usize = 128;

    pub fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_safe = !text.is_empty()
            && text.len() <= Self::LONGEST
            && !text.starts_with('.')
            && text.chars().all(plain);
        is_safe.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One request and response, as far as a receipt covers them.
pub struct Exchange {
    pub receipt_id: ReceiptId,
    pub method: Method,
    pub path: String,
    /// The caller's: the service returns a receipt only to the credential that made the request.
    pub authorization: Option<HeaderValue>,
    pub peer: Arc<TrustedPeer>,
    pub request: Sha256Digest,
    /// `None` if the response was not passed on completely.
    pub response: Option<Sha256Digest>,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReceiptProblem {
    #[error("no receipt was served ({0})")]
    Absent(String),
    #[error("the receipt contradicts the exchange: {0}")]
    Contradicts(String),
}

/// A receipt that was verified against its exchange.
pub struct VerifiedReceipt {
    pub upstream: UpstreamOutcome,
    /// As it was received.
    pub bytes: Bytes,
}

/// Fetches the receipt of an exchange and checks it.
pub async fn fetch_and_check(
    channel: &Arc<AttestedChannel>,
    exchange: &Exchange,
    upstreams: Upstreams,
) -> Result<VerifiedReceipt, ReceiptProblem> {
    let path = format!("/v1/aci/receipts/{}", exchange.receipt_id.as_str());
    let bytes = fetch_with_retries(
        channel,
        &path,
        exchange.authorization.as_ref(),
        fetch::MAX_RECEIPT,
    )
    .await
    .map_err(|error| ReceiptProblem::Absent(error.reason))?;
    let receipt =
        ReceiptDocument::parse(&bytes).map_err(|e| ReceiptProblem::Contradicts(e.to_string()))?;
    Ok(VerifiedReceipt {
        upstream: check(&receipt, exchange, upstreams)?,
        bytes,
    })
}

/// The same checks as the command `receipt` makes, with everything that the proxy observed.
fn check(
    receipt: &ReceiptDocument,
    exchange: &Exchange,
    upstreams: Upstreams,
) -> Result<UpstreamOutcome, ReceiptProblem> {
    let checked = receipt_check::check(
        receipt,
        &Observed {
            keyset: exchange.peer.keyset(),
            serving: Some(exchange.peer.serving()),
            signs_on_fetch: signs_receipts_on_fetch(
                exchange.peer.keyset(),
                exchange.peer.documents(),
            ),
            request: Some(exchange.request),
            response: exchange.response,
            exchange: Some(ObservedExchange {
                receipt_id: exchange.receipt_id.as_str(),
                method: exchange.method.as_str(),
                path: &exchange.path,
            }),
        },
    );
    let obstacle = match upstreams {
        Upstreams::VerifiedOnly => checked.obstacle(),
        Upstreams::AnyAllowed => checked.obstacle_ignoring_upstream(),
    };
    match (obstacle, checked.upstream) {
        (None, Some(upstream)) => Ok(upstream),
        (Some(finding), _) => Err(ReceiptProblem::Contradicts(finding.to_string())),
        (None, None) => Err(ReceiptProblem::Contradicts("it is not verified".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_an_id_that_leaves_the_directory_or_the_path() {
        assert!(ReceiptId::parse("rcpt_01-ab.c").is_some());
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a?b",
            "a b",
            "a%2fb",
            "é",
            &"a".repeat(129),
        ] {
            assert_eq!(ReceiptId::parse(bad), None, "{bad}");
        }
    }
}
