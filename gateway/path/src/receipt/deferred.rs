//! Receipts that are stored without a signature and can get one when they are fetched, for a limited time.
//!
//! Only their digests are remembered. The documents are in the ledger; one that is not what this process wrote has
//! another digest and is not signed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use super::cache::{CACHE_TTL, MAX_RECEIPTS};
use attest_core::{DeferredSignature, Sha256Digest, SigningKey};
use gateway_base::lock::lock;

/// The signatures that may be asked for.
#[derive(Default)]
pub struct DeferredSignatures(
    // Held for single operations. Every request adds to it, fetches read.
    Mutex<Entries>,
);

#[derive(Default)]
struct Entries {
    /// In order of their insertion, each with its time.
    order: VecDeque<(Instant, Sha256Digest)>,
    /// With their keys. Weak, so that a key is erased when its epoch has ended.
    signatures: HashMap<Sha256Digest, (DeferredSignature, Weak<SigningKey>)>,
}

impl DeferredSignatures {
    /// Remembers a receipt that this key is to sign. Beyond [`MAX_RECEIPTS`] the oldest is forgotten.
    pub fn put(&self, signature: DeferredSignature, key: &Arc<SigningKey>) {
        let now = Instant::now();
        let digest = signature.digest();
        let mut entries = lock(&self.0);
        entries.remove_expired(now);
        if entries.order.len() >= MAX_RECEIPTS {
            entries.remove_oldest();
        }
        entries.order.push_back((now, digest));
        let value = (signature, Arc::downgrade(key));
        entries.signatures.insert(digest, value);
    }

    /// The signed document; `None` if this process did not write it without a signature, or no longer remembers that, or
    /// if the key is erased.
    pub fn sign(&self, document: &[u8]) -> Option<String> {
        let digest = Sha256Digest::hash(document);
        let (signature, key) = {
            let mut entries = lock(&self.0);
            entries.remove_expired(Instant::now());
            entries.signatures.get(&digest)?.clone()
        };
        signature.sign(document, &*key.upgrade()?)
    }

    /// Forgets expired receipts.
    pub fn sweep(&self) {
        lock(&self.0).remove_expired(Instant::now());
    }
}

impl Entries {
    fn remove_expired(&mut self, now: Instant) {
        while self
            .order
            .front()
            .is_some_and(|(since, _)| now.saturating_duration_since(*since) >= CACHE_TTL)
        {
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        if let Some((_, digest)) = self.order.pop_front() {
            self.signatures.remove(&digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attest_core::{Event, ReceiptBody, UnixTime, UnsignedReceipt};

    fn key() -> Arc<SigningKey> {
        Arc::new(SigningKey::from_seed("r", &[7; 32]).expect("a key"))
    }

    fn unsigned(id: &str, key: &SigningKey) -> UnsignedReceipt {
        let body_hash = Sha256Digest::hash(b"body");
        let body = ReceiptBody {
            receipt_id: id.to_owned(),
            chat_id: None,
            model: None,
            keyset_digest: Sha256Digest::hash(b"keyset"),
            endpoint: "/v1/chat/completions".to_owned(),
            method: "POST".to_owned(),
            served_at: UnixTime::from_secs(1_800_000_000),
            events: vec![
                Event::RequestReceived { body_hash },
                Event::ResponseReturned { body_hash },
            ],
        };
        body.unsigned(key)
    }

    #[test]
    fn signs_what_it_remembers_and_nothing_else() {
        let (key, deferred) = (key(), DeferredSignatures::default());
        let (one, two) = (unsigned("one", &key), unsigned("two", &key));
        deferred.put(one.deferred(), &key);
        assert_eq!(deferred.sign(one.bytes()), one.sign(&key));
        assert_eq!(deferred.sign(two.bytes()), None);
        assert_eq!(deferred.sign(b""), None);
    }

    #[test]
    fn signs_nothing_once_the_key_is_erased() {
        let (key, deferred) = (key(), DeferredSignatures::default());
        let one = unsigned("one", &key);
        deferred.put(one.deferred(), &key);
        drop(key);
        assert_eq!(deferred.sign(one.bytes()), None);
    }

    #[test]
    fn forgets_what_has_expired_and_the_oldest_of_too_many() {
        let (key, deferred) = (key(), DeferredSignatures::default());
        let first = unsigned("first", &key);
        deferred.put(first.deferred(), &key);
        for number in 1..MAX_RECEIPTS {
            deferred.put(unsigned(&number.to_string(), &key).deferred(), &key);
        }
        assert!(deferred.sign(first.bytes()).is_some());
        let last = unsigned("last", &key);
        deferred.put(last.deferred(), &key);
        assert_eq!(deferred.sign(first.bytes()), None);
        assert!(deferred.sign(last.bytes()).is_some());
        lock(&deferred.0).remove_expired(Instant::now() + CACHE_TTL);
        assert_eq!(deferred.sign(last.bytes()), None);
        let entries = lock(&deferred.0);
        assert!(entries.order.is_empty() && entries.signatures.is_empty());
    }
}
