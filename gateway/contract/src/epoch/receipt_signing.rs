//! Whether the receipts of an epoch may be signed later.
//!
//! A receipt that is not signed needs the audit log: it must be entered under a head that its own epoch signs. So before
//! the next epoch begins, the active one stops deferring, and the log enters what is queued. From then on the receipts of
//! its last requests are signed at once.

use std::sync::{RwLock, RwLockReadGuard};

use gateway_base::config::ReceiptSigning;
use gateway_base::lock::{read, write};

/// Held by the requests of an epoch while they queue a receipt for the log, and changed by the rotation.
pub(super) struct DeferredSigning {
    by_configuration: bool,
    // Read for each receipt, written twice in an epoch.
    deferring: RwLock<bool>,
}

/// While it exists, the rotation waits: a receipt that is queued for the audit log is entered under this epoch.
pub struct Deferral<'a> {
    _guard: RwLockReadGuard<'a, bool>,
}

impl DeferredSigning {
    pub fn new(signing: ReceiptSigning) -> Self {
        let by_configuration = signing == ReceiptSigning::OnFetch;
        Self {
            by_configuration,
            deferring: RwLock::new(by_configuration),
        }
    }

    pub fn defer(&self) -> Option<Deferral<'_>> {
        if !self.by_configuration {
            return None;
        }
        let guard = read(&self.deferring);
        guard.then_some(Deferral { _guard: guard })
    }

    /// Waits for receipts that are being queued. Returns whether any can have been.
    pub fn stop(&self) -> bool {
        self.set(false);
        self.by_configuration
    }

    /// No other epoch could begin.
    pub fn resume(&self) {
        self.set(self.by_configuration);
    }

    fn set(&self, deferring: bool) {
        *write(&self.deferring) = deferring;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_are_deferred_on_request_until_the_epoch_is_replaced() {
        let eager = DeferredSigning::new(ReceiptSigning::Eager);
        eager.resume();
        assert!(eager.defer().is_none());
        assert!(!eager.stop());
        let on_fetch = DeferredSigning::new(ReceiptSigning::OnFetch);
        assert!(on_fetch.defer().is_some());
        assert!(on_fetch.stop());
        assert!(on_fetch.defer().is_none());
        on_fetch.resume();
        assert!(on_fetch.defer().is_some());
    }
}
