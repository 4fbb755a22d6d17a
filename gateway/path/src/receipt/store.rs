//! Receipts by id. The id is the one in `X-Receipt-Id`, or the response's own; either is valid only together with the
//! key that made the request (ACI §7.1, §7.6).
//!
//! Where the configuration defers signatures, a receipt that the policy keeps is stored and logged without one. It is
//! signed when it is fetched while this process remembers its digest: what comes from the database may have been written
//! by the host, and is signed only if it is what this process wrote. One that expires before it is forgotten is signed at
//! once.

use std::sync::Arc;

use bytes::Bytes;

use super::cache::{CACHE_TTL, CachedReceipt, ReceiptCache};
use super::deferred::DeferredSignatures;
use attest_core::{LoggedReceipt, ReceiptBody, Sha256Digest, UnixTime};
use gateway_contract::epoch::{EndedHeads, Epoch};
use gateway_store::StoreError;
use gateway_store::ledger::{Ledger, ReceiptRow};

/// All receipts: in the ledger if the policy keeps them, otherwise in a cache in memory. Available at once.
pub struct ReceiptStore {
    ledger: Arc<Ledger>,
    /// What the policy does not keep. Always signed, since it is not in the audit log.
    cache: ReceiptCache,
    /// What the ledger has without a signature.
    unsigned: DeferredSignatures,
}

/// A receipt that was found.
#[derive(Debug, PartialEq)]
pub struct FoundReceipt {
    /// As it was stored. Its SHA-256 is what the audit log has.
    pub stored: Bytes,
    /// With its signature; `None` if it has none and can get none.
    pub signed: Option<Bytes>,
}

impl FoundReceipt {
    /// The digest by which the audit log names it.
    pub fn logged_digest(&self) -> Sha256Digest {
        Sha256Digest::hash(&self.stored)
    }
}

impl ReceiptStore {
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Self {
            ledger,
            cache: ReceiptCache::default(),
            unsigned: DeferredSignatures::default(),
        }
    }

    /// Stores a receipt for the holder of the key with this digest: in the ledger until `until`, or in the cache.
    pub fn put(
        &self,
        receipt: ReceiptBody,
        epoch: &Epoch,
        key_digest: [u8; 32],
        until: Option<UnixTime>,
    ) {
        let key = &epoch.signing_key;
        // Held while the receipt is queued for the audit log.
        let deferral = until
            .filter(|until| *until >= self.ledger.clock().now().plus(CACHE_TTL))
            .and_then(|_| epoch.defer_signing());
        let row = |receipt: ReceiptBody, json| ReceiptRow {
            receipt_id: receipt.receipt_id,
            chat_id: receipt.chat_id,
            key_digest,
            json,
            served_at: receipt.served_at,
        };
        match (until, deferral) {
            (Some(until), Some(_deferral)) => {
                let unsigned = receipt.unsigned(key);
                let deferred = unsigned.deferred();
                // Before it can be found.
                self.unsigned.put(deferred, key);
                let row = row(receipt, Bytes::from(unsigned.into_bytes()));
                let receipts = self.ledger.receipts();
                receipts.store_with_digest(&row, deferred.digest(), until);
            }
            (Some(until), None) => {
                let signed = receipt.sign(key);
                let json = Bytes::from(signed.to_json());
                self.ledger
                    .receipts()
                    .store(&row(signed.into_body(), json), until);
            }
            (None, _) => {
                let signed = receipt.sign(key);
                let body = signed.body();
                self.cache.put(CachedReceipt {
                    receipt_id: body.receipt_id.clone(),
                    chat_id: body.chat_id.clone(),
                    key_digest,
                    receipt: Bytes::from(signed.to_json()),
                });
            }
        }
    }

    /// The receipt for this id and this key. A wrong key is the same as a wrong id.
    pub async fn get(
        &self,
        id: &str,
        key_digest: &[u8; 32],
    ) -> Result<Option<FoundReceipt>, StoreError> {
        if let Some(signed) = self.cache.get(id, key_digest) {
            let stored = signed.clone();
            let signed = Some(signed);
            return Ok(Some(FoundReceipt { stored, signed }));
        }
        let Some(stored) = self.ledger.receipts().find(id, key_digest).await? else {
            return Ok(None);
        };
        let signed = match LoggedReceipt::is_unsigned(&stored) {
            false => Some(stored.clone()),
            true => self.unsigned.sign(&stored).map(Bytes::from),
        };
        Ok(Some(FoundReceipt { stored, signed }))
    }

    /// The document of a receipt that has no signature: with the proof that the audit log contains it, under a head of
    /// the epoch that entered it. `None` if the log does not contain it.
    pub async fn with_log_proof(
        &self,
        receipt: &FoundReceipt,
        current: &Epoch,
    ) -> Result<Option<Bytes>, StoreError> {
        let audit = self.ledger.audit();
        let digest = receipt.logged_digest();
        let Some(mut proof) = audit.receipt_proof(&digest, &current.log).await? else {
            return Ok(None);
        };
        let (index, state_dir) = (proof.index(), current.config.server.state_dir.clone());
        let ended = tokio::task::spawn_blocking(move || {
            EndedHeads::in_directory(&state_dir).covering(index)
        });
        if let Ok(Some(head)) = ended.await {
            match audit.receipt_proof_under(&digest, head).await? {
                Some(earlier) => proof = earlier,
                None => return Ok(None),
            }
        }
        let document = LoggedReceipt::new(&receipt.stored, &proof);
        Ok(document
            .ok()
            .map(|document| Bytes::from(document.to_json())))
    }

    /// Removes expired receipts from memory.
    pub fn sweep(&self) {
        self.cache.sweep();
        self.unsigned.sweep();
    }
}
