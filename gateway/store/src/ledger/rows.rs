//! Receipt and session rows. [`UsageRow`](gateway_base::metering::UsageRow) is in `gateway-base`.

use attest_core::{SessionId, UnixTime};
use bytes::Bytes;

/// A signed receipt and what is needed to find it.
#[derive(Clone, PartialEq)]
pub struct ReceiptRow {
    pub receipt_id: String,
    /// The response's own id, when it had one.
    pub chat_id: Option<String>,
    /// Digest of the API key that it belongs to.
    pub key_digest: [u8; 32],
    /// The signed document.
    pub json: Bytes,
    pub served_at: UnixTime,
}

/// An attested session.
#[derive(Clone, PartialEq)]
pub struct SessionRow {
    pub id: SessionId,
    /// The JCS document, whose SHA-256 is `id`.
    pub json: Bytes,
    pub expires_at: UnixTime,
}
