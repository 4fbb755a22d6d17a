//! Receipts by id. The id is the one in `X-Receipt-Id`, or the response's own; either is valid only together with the
//! key that made the request (ACI §7.1, §7.6).

use attest_core::{Receipt, UnixTime};
use bytes::Bytes;
use std::sync::Arc;

use super::cache::ReceiptCache;
use gateway_store::StoreError;
use gateway_store::ledger::{Ledger, ReceiptRow};

/// All receipts: in the ledger if the policy keeps them, otherwise in a cache in memory. Available at once.
pub struct ReceiptStore {
    ledger: Arc<Ledger>,
    cache: ReceiptCache,
}

impl ReceiptStore {
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Self {
            ledger,
            cache: ReceiptCache::default(),
        }
    }

    /// Stores a receipt for the holder of the key with this digest: in the ledger until `until`, or in the cache.
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
            Some(until) => self.ledger.receipts().store(row, until),
            None => self.cache.put(row),
        }
    }

    /// The receipt document for this id and this key. A wrong key is the same as a wrong id.
    pub async fn get(&self, id: &str, key_digest: &[u8; 32]) -> Result<Option<Bytes>, StoreError> {
        if let Some(cached) = self.cache.get(id, key_digest) {
            return Ok(Some(cached));
        }
        self.ledger.receipts().find(id, key_digest).await
    }

    /// Removes expired receipts from the cache.
    pub fn sweep(&self) {
        self.cache.sweep();
    }
}
