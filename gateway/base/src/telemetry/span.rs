//! The span of a request.

use std::sync::Arc;
use std::time::SystemTime;

use attest_core::Sha256Digest;

use crate::events::Record;
use crate::metering::{RowRetention, UsageRow};

/// Domain separation from other digests of a receipt's id.
const TRACE: &[u8] = b"sealgate/trace/v1\0";

/// One request, from admission to the last byte.
pub(super) struct Span {
    /// Derived from the receipt's id, so that the holder of a receipt can find its trace.
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    /// `POST` and the endpoint's path.
    pub name: String,
    pub began: SystemTime,
    pub ended: SystemTime,
    /// Whether the service, or an upstream of it, failed.
    pub failed: bool,
    usage: Arc<UsageRow>,
    retention: RowRetention,
}

impl Span {
    /// The span of a request that ended at `ended`.
    pub(super) fn from_usage(
        usage: Arc<UsageRow>,
        retention: RowRetention,
        ended: SystemTime,
    ) -> Self {
        let digest = Sha256Digest::hash(&[TRACE, usage.receipt_id.as_bytes()].concat());
        let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
        trace_id.copy_from_slice(&digest.as_bytes()[..16]);
        span_id.copy_from_slice(&digest.as_bytes()[16..24]);
        Self {
            trace_id,
            span_id,
            name: format!("POST {}", usage.endpoint.path()),
            began: ended.checked_sub(usage.latency).unwrap_or(ended),
            ended,
            failed: usage.status >= 500,
            usage,
            retention,
        }
    }

    /// The fields of its log line.
    pub(super) fn record(&self) -> Record<'_> {
        Record::from_request(&self.usage, &self.retention)
    }
}
