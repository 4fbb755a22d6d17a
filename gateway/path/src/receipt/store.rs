//! Receipts by id. The id is the one in `X-Receipt-Id`, or the response's own; either is good only together with the
//! key that made the request (ACI §7.1, §7.6).

use attest_core::{Receipt, UnixTime};
use bytes::Bytes;
use std::sync::Arc;

use super::shelf::Shelf;
use gateway_store::ledger::{Ledger, LedgerError, ReceiptRow};

/// Where receipts are: in the ledger where the policy keeps them, else on a shelf in memory. Findable at once.
pub struct Store {
    ledger: Arc<Ledger>,
    shelf: Shelf,
}

impl Store {
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Self {
            ledger,
            shelf: Shelf::default(),
        }
    }

    /// Keeps a receipt for the holder of the key with this digest: durably until then, or on the shelf.
    pub fn put(&self, receipt: &Receipt, key_digest: [u8; 32], until: Option<UnixTime>) {
        let body = receipt.body();
        let row = ReceiptRow {
            receipt_id: body.receipt_id.clone(),
            chat_id: body.chat_id.clone(),
            key_digest,
            json: Bytes::from(receipt.to_json()),
            served_at: body.served_at,
        };
        match until {
            Some(until) => self.ledger.store_receipt(row, until),
            None => self.shelf.put(row),
        }
    }

    /// The receipt document, if there is one for this id and this key. A wrong key is like a wrong id.
    pub async fn get(&self, id: &str, key_digest: &[u8; 32]) -> Result<Option<Bytes>, LedgerError> {
        if let Some(shelved) = self.shelf.get(id, key_digest) {
            return Ok(Some(shelved));
        }
        self.ledger.receipt(id, key_digest).await
    }

    /// Clears out what was on the shelf long enough.
    pub fn sweep(&self) {
        self.shelf.sweep();
    }
}
