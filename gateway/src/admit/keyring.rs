//! The active API keys, in memory.
//!
//! Requests never ask the database. A task watches it for commits of other processes and swaps the whole ring, so a
//! key that `sealgate keys` made or revoked counts, or no longer counts, within a second.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use http::HeaderMap;
use subtle::ConstantTimeEq;

use super::Caller;
use super::credential::{KeyId, bearer, claimed_id, digest};
use crate::errors::ApiError;
use crate::events::{self, Event, LedgerWork};
use crate::ledger::{KeyRow, Ledger, LedgerError};

const POLL: Duration = Duration::from_millis(250);

/// One active key.
pub struct ActiveKey {
    pub(super) caller: Caller,
    /// Requests in flight. Survives a reload of the ring.
    pub(super) in_flight: AtomicUsize,
}

type Ring = HashMap<KeyId, Arc<ActiveKey>>;

#[derive(Default)]
pub struct Keyring(RwLock<Arc<Ring>>);

impl Keyring {
    /// Loads the keys and keeps them current for as long as the ring is held.
    pub async fn open(ledger: &Ledger) -> Result<Arc<Self>, LedgerError> {
        let ring = Arc::new(Self::default());
        let mut watch = ledger.change_watch().await?;
        if let Some(rows) = watch.changed_keys().await? {
            ring.replace(rows);
        }
        let weak = Arc::downgrade(&ring);
        tokio::spawn(async move {
            let mut failing = false;
            loop {
                tokio::time::sleep(POLL).await;
                let Some(ring) = weak.upgrade() else { return };
                match watch.changed_keys().await {
                    Ok(None) => failing = false,
                    Ok(Some(rows)) => {
                        failing = false;
                        ring.replace(rows);
                    }
                    Err(_) if failing => {}
                    Err(error) => {
                        failing = true;
                        events::emit(Event::LedgerFailed {
                            what: LedgerWork::Keys,
                            failure: error.failure(),
                        });
                    }
                }
            }
        });
        Ok(ring)
    }

    /// Whose request this is.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<ActiveKey>, ApiError> {
        self.with_token(bearer(headers)?)
    }

    /// Whose token this is.
    pub(super) fn with_token(&self, token: &str) -> Result<Arc<ActiveKey>, ApiError> {
        let id = claimed_id(token).ok_or(ApiError::InvalidKey)?;
        let ring = self.ring();
        let key = ring.get(&id).ok_or(ApiError::InvalidKey)?;
        if bool::from(key.caller.key_digest.ct_eq(&digest(token))) {
            Ok(key.clone())
        } else {
            Err(ApiError::InvalidKey)
        }
    }

    fn ring(&self) -> Arc<Ring> {
        self.0
            .read()
            .expect("no holder of this lock panics")
            .clone()
    }

    fn replace(&self, rows: Vec<KeyRow>) {
        let old = self.ring();
        let ring: Ring = rows
            .into_iter()
            .filter_map(|row| entry(&old, row))
            .collect();
        if ring.len() != old.len() || ring.keys().any(|id| !old.contains_key(id)) {
            events::emit(Event::KeysReloaded {
                active: ring.len() as u64,
            });
        }
        *self.0.write().expect("no holder of this lock panics") = Arc::new(ring);
    }
}

/// A key of the new ring: the old one where nothing changed, so that what it counts goes on.
fn entry(old: &Ring, row: KeyRow) -> Option<(KeyId, Arc<ActiveKey>)> {
    if row.revoked_at.is_some() {
        return None;
    }
    let id = KeyId::parse(&row.id)?;
    let caller = Caller {
        key_id: row.id.into(),
        tenant: row.tenant,
        key_digest: row.digest,
    };
    match old.get(&id) {
        Some(key) if key.caller == caller => Some((id, key.clone())),
        _ => Some((
            id,
            Arc::new(ActiveKey {
                caller,
                in_flight: AtomicUsize::new(0),
            }),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::ApiToken;
    use crate::config::Name;
    use attest_core::UnixTime;
    use http::HeaderValue;
    use http::header::AUTHORIZATION;

    fn row(id: KeyId, digest: [u8; 32]) -> KeyRow {
        KeyRow {
            id: id.to_string(),
            tenant: Name::from_operator("acme").expect("a name"),
            name: None,
            digest,
            created_at: UnixTime::from_secs(1),
            revoked_at: None,
        }
    }

    fn headers(token: &str) -> HeaderMap {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header");
        HeaderMap::from_iter([(AUTHORIZATION, value)])
    }

    fn active(ring: &Keyring, token: &ApiToken) -> Arc<ActiveKey> {
        match ring.authenticate(&headers(token.expose())) {
            Ok(key) => key,
            Err(error) => panic!("{error:?}"),
        }
    }

    #[test]
    fn a_key_counts_while_it_is_in_the_ring() {
        let (id, token) = ApiToken::generate().expect("a key");
        let ring = Keyring::default();
        assert_eq!(
            ring.authenticate(&headers(token.expose())).err(),
            Some(ApiError::InvalidKey)
        );
        ring.replace(vec![row(id, token.digest())]);
        let key = active(&ring, &token);
        assert_eq!(
            (&*key.caller.key_id, &*key.caller.tenant),
            (id.to_string().as_str(), "acme")
        );
        ring.replace(vec![KeyRow {
            revoked_at: Some(UnixTime::from_secs(2)),
            ..row(id, token.digest())
        }]);
        assert_eq!(
            ring.authenticate(&headers(token.expose())).err(),
            Some(ApiError::InvalidKey)
        );
    }

    #[test]
    fn the_right_id_with_another_secret_is_refused() {
        let (id, token) = ApiToken::generate().expect("a key");
        let (_, other) = ApiToken::generate().expect("a key");
        let ring = Keyring::default();
        ring.replace(vec![row(id, token.digest())]);
        let secret = other.expose().get(25..).expect("a secret");
        let forged = format!("sk-sealgate-{id}-{secret}");
        assert_eq!(forged.len(), token.expose().len());
        assert_eq!(
            ring.authenticate(&headers(&forged)).err(),
            Some(ApiError::InvalidKey)
        );
    }

    #[test]
    fn what_a_key_counts_survives_a_reload() {
        let (id, token) = ApiToken::generate().expect("a key");
        let ring = Keyring::default();
        ring.replace(vec![row(id, token.digest())]);
        let before = active(&ring, &token);
        ring.replace(vec![row(id, token.digest())]);
        let after = active(&ring, &token);
        assert!(Arc::ptr_eq(&before, &after));
    }
}
