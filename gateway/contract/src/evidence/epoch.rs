//! Evidence that is collected once in an epoch.

use std::sync::Arc;

use attest_core::Collateral;
use bytes::Bytes;
use tokio::sync::{Mutex, OnceCell};

use super::Collected;

/// What is known of an epoch's evidence without asking the hardware again.
#[derive(Default)]
pub struct EpochEvidence {
    /// What hardware showed for the unchallenged statement.
    pub(crate) unchallenged: OnceCell<Collected>,
    /// The report around it, and with which head of the audit log.
    pub(crate) report: Mutex<Option<(Arc<str>, Bytes)>>,
    /// The same with collateral, and with which.
    pub(crate) with_collateral: Mutex<Option<WithCollateral>>,
}

/// A report, the collateral in it, and the audit log's head in it.
pub(crate) type WithCollateral = (Arc<Collateral>, Arc<str>, Bytes);
