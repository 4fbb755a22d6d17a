//! The evidence of an epoch without a nonce: collected once, and cached with the reports around it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, OnceCell};

use super::HardwareEvidence;
use attest_core::Collateral;

/// An epoch's evidence without a nonce, and the reports around it, cached. Made on first use; dropped with the epoch.
#[derive(Default)]
pub struct EpochEvidence {
    /// What the hardware signed for the statement without a nonce.
    // Set by the first caller, for whom the others wait; a failed collection leaves it empty for the next.
    pub(crate) without_nonce: OnceCell<HardwareEvidence>,
    /// The report without collateral, and the head of the audit log in it. Async locks: a report is rendered and signed
    /// under them, once for all callers that wait.
    pub(crate) report: Mutex<Option<(Arc<str>, Bytes)>>,
    /// The report with collateral.
    pub(crate) with_collateral: Mutex<Option<WithCollateral>>,
}

/// A report, the collateral in it, and the audit log's head in it.
pub(crate) type WithCollateral = (Arc<Collateral>, Arc<str>, Bytes);
