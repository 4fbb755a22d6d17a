//! Receipts by id. The id is the one in `X-Receipt-Id`, or the response's own; either is valid only together with the
//! key that made the request (ACI §7.1, §7.6).
//!
//! Where the configuration defers signatures, a receipt that the policy keeps is stored and logged without one. It is
//! signed when it is fetched while this process remembers it, from the bytes in memory: what comes from the database is
//! never signed, since the host may have written it. One that expires before memory forgets it is signed at once.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;

use super::cache::{CACHE_TTL, CachedReceipt, ReceiptCache};
use attest_core::{
    LoggedReceipt, ReceiptBody, Sha256Digest, SigningKey, UnixTime, UnsignedReceipt,
};
use gateway_contract::epoch::{EndedHeads, Epoch};
use gateway_store::StoreError;
use gateway_store::ledger::{Ledger, ReceiptRow};

/// All receipts: in the ledger if the policy keeps them, otherwise in a cache in memory. Available at once.
pub struct ReceiptStore {
    ledger: Arc<Ledger>,
    /// What the policy does not keep. Always signed, since it is not in the audit log.
    cache: ReceiptCache<Bytes>,
    /// What the ledger has without a signature.
    unsigned: ReceiptCache<Arc<Deferred>>,
}

/// A receipt that is signed when it is fetched.
struct Deferred {
    receipt: UnsignedReceipt,
    /// Weak, so that the key is erased when its epoch has ended.
    key: Weak<SigningKey>,
    // Set by the first fetch. Two at once may both sign; Ed25519 gives both the same bytes.
    signed: OnceLock<Bytes>,
}

impl Deferred {
    /// The signed document; `None` if the key is erased.
    fn sign(&self) -> Option<Bytes> {
        if let Some(signed) = self.signed.get() {
            return Some(signed.clone());
        }
        let signed = Bytes::from(self.receipt.sign(&*self.key.upgrade()?)?);
        Some(self.signed.get_or_init(|| signed).clone())
    }
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
            unsigned: ReceiptCache::default(),
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
        let unsigned = deferral.as_ref().map(|_| receipt.unsigned(key));
        let row = |receipt: ReceiptBody, json| ReceiptRow {
            receipt_id: receipt.receipt_id,
            chat_id: receipt.chat_id,
            key_digest,
            json,
            served_at: receipt.served_at,
        };
        match (until, unsigned) {
            (Some(until), Some(unsigned)) => {
                let row = row(receipt, Bytes::copy_from_slice(unsigned.bytes()));
                self.unsigned.put(CachedReceipt {
                    receipt_id: row.receipt_id.clone(),
                    chat_id: row.chat_id.clone(),
                    key_digest,
                    receipt: Arc::new(Deferred {
                        receipt: unsigned,
                        key: Arc::downgrade(key),
                        signed: OnceLock::new(),
                    }),
                });
                self.ledger.receipts().store(&row, until);
            }
            (Some(until), None) => {
                let signed = receipt.sign(key);
                let row = row(signed.body().clone(), Bytes::from(signed.to_json()));
                self.ledger.receipts().store(&row, until);
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
        if let Some(deferred) = self.unsigned.get(id, key_digest) {
            let stored = Bytes::copy_from_slice(deferred.receipt.bytes());
            let signed = deferred.sign();
            return Ok(Some(FoundReceipt { stored, signed }));
        }
        let Some(stored) = self.ledger.receipts().find(id, key_digest).await? else {
            return Ok(None);
        };
        let signed = (!LoggedReceipt::is_unsigned(&stored)).then(|| stored.clone());
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
