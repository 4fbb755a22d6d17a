//! Receipts by id. The id is the one in `X-Receipt-Id`, or the response's own; either is good only together with the
//! key that made the request (ACI §7.1, §7.6).

use attest_core::Receipt;
use bytes::Bytes;
use std::sync::Arc;

use crate::ledger::{Ledger, LedgerError, ReceiptRow};

/// Where receipts are kept: durable, and findable at once.
pub struct Store {
    ledger: Arc<Ledger>,
}

impl Store {
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Self { ledger }
    }

    /// Keeps a receipt for the holder of the key with this digest.
    pub fn put(&self, receipt: &Receipt, key_digest: [u8; 32]) {
        let body = receipt.body();
        self.ledger.store_receipt(ReceiptRow {
            receipt_id: body.receipt_id.clone(),
            chat_id: body.chat_id.clone(),
            key_digest,
            json: Bytes::from(receipt.to_json()),
            served_at: body.served_at,
        });
    }

    /// The receipt document, if there is one for this id and this key. A wrong key is like a wrong id.
    pub async fn get(&self, id: &str, key_digest: &[u8; 32]) -> Result<Option<Bytes>, LedgerError> {
        self.ledger.receipt(id, key_digest).await
    }
}
