//! The active API keys and who holds them, in memory.
//!
//! Requests never query the database. A task polls it for commits of other processes and replaces all keys and the
//! directory at once, so a key that `sealgate keys` created or revoked is active, or no longer active, within a second. Changes by the service
//! itself are read at once ([`Keyring::refresh`]). The task writes the generation of the keys to a file, which the command
//! line waits for ([`AppliedGeneration`]).

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use http::HeaderMap;
use subtle::ConstantTimeEq;

use super::Caller;
use super::applied::AppliedGeneration;
use super::credential::{claimed_id, digest, token};
use super::directory::{Directory, Membership};
use super::limit_share::LimitShare;
use attest_core::UnixTime;
use gateway_base::errors::ApiError;
use gateway_base::events::{self, Event, LedgerWork};
use gateway_base::lock;
use gateway_base::quota::Scope;
use gateway_base::request::{BodyBudget, Holder, KeyId, LabelRules, Name, Restrictions};
use gateway_quota::Budgets;
use gateway_quota::limits::{LimitState, Limits};
use gateway_store::ledger::{ChangedKeys, DirectoryRows, KeyRow, Ledger};
use gateway_store::{DatabaseName, StoreError};

const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// One active key, as it was when the keyring was last read.
#[derive(PartialEq)]
pub struct ActiveKey {
    pub(super) caller: Caller,
    /// Whose limits and budgets its requests count in.
    pub(super) scopes: Vec<Scope>,
    /// Of a caller with a token; an API key has none.
    pub(super) roles: Arc<[Name]>,
    pub(super) restrictions: Restrictions,
    /// The labels that its requests may have, and those that they must have.
    pub(super) labels: Arc<LabelRules>,
    expires_at: Option<UnixTime>,
    is_blocked: bool,
    /// The organisation, tenant or user that it belongs to is disabled.
    disabled: Option<Holder>,
    /// The same for all generations of the keyring that contain the key, whatever changes about it.
    pub(super) shared: Arc<SharedState>,
}

/// What requests with a key share.
pub(super) struct SharedState {
    /// Requests in flight.
    pub in_flight: AtomicUsize,
    /// The memory of their bodies.
    pub bodies: BodyBudget,
    /// Set once, when the key leaves the keyring: requests that still hold the key see it.
    revoked: watch::Sender<bool>,
}

impl SharedState {
    pub fn new() -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            bodies: BodyBudget::default(),
            revoked: watch::Sender::new(false),
        }
    }
}

/// The same only if it is the same: keys are compared to find out whether a generation has changed them.
impl PartialEq for SharedState {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl ActiveKey {
    /// A caller with a token, which has no key in the ledger.
    pub(super) fn of_token(
        (key_id, tenant, key_digest): (Arc<str>, Name, [u8; 32]),
        roles: Arc<[Name]>,
        membership: Membership,
        shared: Arc<SharedState>,
    ) -> Self {
        let caller = Caller {
            key_id,
            tenant,
            organisation: membership.organisation,
            user: membership.user,
            key_digest,
        };
        Self {
            scopes: Scope::of_caller(&caller),
            caller,
            roles,
            restrictions: Restrictions::default(),
            labels: membership.labels,
            expires_at: None,
            is_blocked: false,
            disabled: membership.disabled,
            shared,
        }
    }

    pub(crate) fn is_revoked(&self) -> bool {
        *self.shared.revoked.borrow()
    }

    /// Becomes true when the key is revoked.
    pub(crate) fn revocation(&self) -> watch::Receiver<bool> {
        self.shared.revoked.subscribe()
    }

    /// May the key be used now, from this address?
    pub(super) fn check(&self, now: UnixTime, peer: Option<IpAddr>) -> Result<(), ApiError> {
        if self.expires_at.is_some_and(|at| at <= now) {
            return Err(ApiError::KeyExpired);
        }
        if self.is_blocked {
            return Err(ApiError::KeyBlocked);
        }
        if let Some(holder) = self.disabled {
            return Err(ApiError::Disabled(holder));
        }
        if !self.restrictions.allow_peer(peer) {
            return Err(ApiError::KeyNetwork);
        }
        Ok(())
    }
}

/// Everything that is replaced at once.
#[derive(Default)]
struct Ring {
    keys: HashMap<KeyId, Arc<ActiveKey>>,
    directory: Directory,
}

/// A request to read the ledger's keys now; answered when they are applied.
type Refresh = oneshot::Sender<Result<(), StoreError>>;

/// All active keys.
pub struct Keyring {
    /// Replaced as a whole by one task. Readers clone the `Arc` and release the lock at once.
    ring: RwLock<Arc<Ring>>,
    /// Their definitions are read with the keys.
    budgets: Arc<Budgets>,
    /// To that task, which ends when the keyring is dropped.
    refresh: mpsc::Sender<Refresh>,
    /// Replaced by the same task.
    limits: Limits,
    /// Time zero of what the limits count.
    begun: Instant,
}

impl Keyring {
    /// Loads the keys and keeps them current until the keyring is dropped.
    pub async fn open(ledger: &Ledger, state_dir: &Path) -> Result<Arc<Self>, StoreError> {
        let (refresh, mut requests) = mpsc::channel(16);
        let budgets = Budgets::load(
            ledger.budgets().all().await?,
            ledger.budgets().credits().await?,
            &ledger.budgets().spent().await?,
        );
        let ring = Arc::new(Self::new(refresh, budgets));
        let mut watch = ledger.keys().watch().await?;
        let applied = AppliedGeneration::in_directory(state_dir);
        if let Some(changed) = watch.changed_keys().await? {
            ring.apply(changed, &applied);
        }
        // Weak, so that the task does not keep the keyring alive.
        let weak = Arc::downgrade(&ring);
        tokio::spawn(async move {
            let mut failing = false;
            loop {
                // Both branches lead to the same read. A request that arrives during one is answered by the next, which
                // begins after it.
                let request = tokio::select! {
                    request = requests.recv() => request,
                    () = tokio::time::sleep(POLL_INTERVAL) => None,
                };
                // The strong reference is held for one round only. A pending request is dropped with the channel, and
                // its caller gets `Closed`.
                let Some(ring) = weak.upgrade() else { return };
                let read = watch.changed_keys().await.map(|changed| {
                    if let Some(changed) = changed {
                        ring.apply(changed, &applied);
                    }
                });
                if let Err(error) = &read
                    && !failing
                {
                    events::emit(Event::LedgerFailed {
                        what: LedgerWork::Keys,
                        failure: error.failure(),
                    });
                }
                failing = read.is_err();
                if let Some(request) = request {
                    // After `apply`, so that the caller of `refresh` finds requests checked against the new keys. It
                    // may have stopped waiting.
                    let _ = request.send(read);
                }
            }
        });
        Ok(ring)
    }

    fn new(refresh: mpsc::Sender<Refresh>, budgets: Budgets) -> Self {
        Self {
            ring: RwLock::default(),
            budgets: Arc::new(budgets),
            refresh,
            limits: Limits::default(),
            begun: Instant::now(),
        }
    }

    /// Reads the keys from the ledger now. When it returns, requests are checked against them.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let (done, waiting) = oneshot::channel();
        let sent = self.refresh.send(done).await;
        match (sent, waiting.await) {
            (Ok(()), Ok(read)) => read,
            _ => Err(StoreError::Closed {
                database: DatabaseName::Ledger,
            }),
        }
    }

    /// The budgets and credits.
    pub fn budgets(&self) -> &Arc<Budgets> {
        &self.budgets
    }

    fn apply(&self, changed: ChangedKeys, applied: &AppliedGeneration) {
        self.budgets.apply(changed.budgets, changed.credits);
        let limits = changed.limits.into_iter().map(|row| (row.id, row.limit));
        self.limits.replace(limits.collect(), self.begun.elapsed());
        self.replace(changed.keys, changed.directory);
        applied.write(changed.generation);
    }

    /// What every limit counts now.
    pub fn limit_states(&self) -> Vec<LimitState> {
        self.limits.states(self.begun.elapsed())
    }

    /// Takes a request of the limits of these scopes.
    pub(super) fn enter(&self, scopes: &[Scope]) -> Result<Option<LimitShare>, ApiError> {
        let share = self.limits.enter(scopes, self.begun.elapsed());
        let share = share.map_err(|refusal| ApiError::RateLimited(Box::new(refusal)))?;
        Ok(share.map(|share| LimitShare::new(share, self.begun)))
    }

    /// The active key of a request.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<ActiveKey>, ApiError> {
        self.with_token(token(headers)?)
    }

    /// The active key with this token.
    pub(super) fn with_token(&self, token: &str) -> Result<Arc<ActiveKey>, ApiError> {
        let id = claimed_id(token).ok_or(ApiError::InvalidKey)?;
        let ring = self.ring();
        let key = ring.keys.get(&id).ok_or(ApiError::InvalidKey)?;
        if bool::from(key.caller.key_digest.ct_eq(&digest(token))) {
            Ok(key.clone())
        } else {
            Err(ApiError::InvalidKey)
        }
    }

    /// What the directory says about the caller with a token that grants this tenant.
    pub(super) fn membership(&self, tenant: &Name) -> Membership {
        self.ring().directory.of_key(tenant, None)
    }

    fn ring(&self) -> Arc<Ring> {
        lock::read(&self.ring).clone()
    }

    fn replace(&self, rows: Vec<KeyRow>, directory: DirectoryRows) {
        // This task is the only one that replaces the ring, so `old` cannot be outdated. It also keeps the old keys
        // alive until after the lock is released: none is freed under it.
        let old = self.ring();
        let directory = Directory::new(directory);
        let keys: HashMap<_, _> = rows
            .into_iter()
            .filter_map(|row| entry(&old, &directory, row))
            .collect();
        if keys.len() != old.keys.len() || keys.keys().any(|id| !old.keys.contains_key(id)) {
            events::emit(Event::KeysReloaded {
                active: keys.len() as u64,
            });
        }
        // Built before the lock is taken, which is held for one assignment. Readers are requests.
        let ring = Arc::new(Ring { keys, directory });
        *lock::write(&self.ring) = ring.clone();
        // After the replacement: a request that finds the old key from now on is not possible, and those that found it before
        // are notified.
        for (id, key) in old.keys.iter() {
            let kept = ring.keys.get(id);
            if !kept.is_some_and(|kept| kept.shared == key.shared) {
                key.shared.revoked.send_replace(true);
            }
        }
    }
}

/// A key of the new ring: the old value if nothing changed, and with the old counters if only its rights did.
fn entry(old: &Ring, directory: &Directory, row: KeyRow) -> Option<(KeyId, Arc<ActiveKey>)> {
    if row.revoked_at.is_some() {
        return None;
    }
    let id = KeyId::parse(&row.id)?;
    let membership = directory.of_key(&row.tenant, row.user.as_ref());
    let caller = Caller {
        key_id: row.id.into(),
        tenant: row.tenant,
        organisation: membership.organisation,
        user: membership.user,
        key_digest: row.digest,
    };
    let known = old.keys.get(&id);
    // The same key, even if it belongs to another user or organisation now.
    let known = known.filter(|known| {
        known.caller.key_digest == caller.key_digest && known.caller.tenant == caller.tenant
    });
    let shared = known.map(|known| known.shared.clone());
    let key = ActiveKey {
        scopes: Scope::of_caller(&caller),
        caller,
        roles: Arc::default(),
        restrictions: row.restrictions,
        labels: membership.labels,
        expires_at: row.expires_at,
        is_blocked: row.blocked_at.is_some(),
        disabled: membership.disabled,
        shared: shared.unwrap_or_else(|| Arc::new(SharedState::new())),
    };
    match known {
        Some(known) if **known == key => Some((id, known.clone())),
        _ => Some((id, Arc::new(key))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::ApiToken;
    use gateway_base::request::WrittenRestrictions;
    use http::HeaderValue;
    use http::header::AUTHORIZATION;

    fn row(id: KeyId, digest: [u8; 32]) -> KeyRow {
        KeyRow {
            id: id.to_string(),
            tenant: Name::from_operator("acme").expect("a name"),
            user: None,
            name: None,
            digest,
            created_at: UnixTime::from_secs(1),
            expires_at: None,
            blocked_at: None,
            revoked_at: None,
            replaces: None,
            restrictions: Restrictions::default(),
        }
    }

    fn headers(token: &str) -> HeaderMap {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header");
        HeaderMap::from_iter([(AUTHORIZATION, value)])
    }

    /// A keyring without a directory.
    struct TestRing(Keyring);

    impl std::ops::Deref for TestRing {
        type Target = Keyring;

        fn deref(&self) -> &Keyring {
            &self.0
        }
    }

    impl TestRing {
        fn replace(&self, rows: Vec<KeyRow>) {
            self.0.replace(rows, DirectoryRows::default());
        }
    }

    fn ring() -> TestRing {
        TestRing(Keyring::new(mpsc::channel(1).0, Budgets::default()))
    }

    fn active(ring: &Keyring, token: &ApiToken) -> Arc<ActiveKey> {
        match ring.authenticate(&headers(token.expose())) {
            Ok(key) => key,
            Err(error) => panic!("{error:?}"),
        }
    }

    #[test]
    fn accepts_a_key_until_it_is_revoked() {
        let (id, token) = ApiToken::generate().expect("a key");
        let ring = ring();
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
    fn a_request_in_progress_sees_the_revocation_of_its_key() {
        let (id, token) = ApiToken::generate().expect("a key");
        let ring = ring();
        ring.replace(vec![row(id, token.digest())]);
        let key = active(&ring, &token);
        ring.replace(vec![row(id, token.digest())]);
        assert!(!key.is_revoked());
        ring.replace(Vec::new());
        assert!(key.is_revoked() && *key.revocation().borrow());
    }

    #[test]
    fn rejects_an_id_with_another_secret() {
        let (id, token) = ApiToken::generate().expect("a key");
        let (_, other) = ApiToken::generate().expect("a key");
        let ring = ring();
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
    fn a_change_of_a_keys_rights_keeps_its_counters_and_cuts_no_request() {
        let (id, token) = ApiToken::generate().expect("a key");
        let ring = ring();
        ring.replace(vec![row(id, token.digest())]);
        let before = active(&ring, &token);
        ring.replace(vec![KeyRow {
            blocked_at: Some(UnixTime::from_secs(2)),
            ..row(id, token.digest())
        }]);
        let after = active(&ring, &token);
        let now = UnixTime::from_secs(3);
        assert_eq!(before.check(now, None), Ok(()));
        assert_eq!(after.check(now, None), Err(ApiError::KeyBlocked));
        assert!(before.shared == after.shared && !before.is_revoked());
    }

    #[test]
    fn a_key_is_usable_before_it_expires_and_from_its_networks() {
        let (id, token) = ApiToken::generate().expect("a key");
        let ring = ring();
        let written = serde_json::json!({ "networks": ["192.0.2.0/24"] });
        let mut restrictions = Restrictions::default();
        serde_json::from_value::<WrittenRestrictions>(written)
            .expect("restrictions")
            .read()
            .expect("a network")
            .apply(&mut restrictions);
        ring.replace(vec![KeyRow {
            expires_at: Some(UnixTime::from_secs(10)),
            restrictions,
            ..row(id, token.digest())
        }]);
        let key = active(&ring, &token);
        let inside = Some(IpAddr::from([192, 0, 2, 9]));
        let outside = Some(IpAddr::from([192, 0, 3, 9]));
        let before = UnixTime::from_secs(9);
        assert_eq!(key.check(before, inside), Ok(()));
        assert_eq!(key.check(before, outside), Err(ApiError::KeyNetwork));
        assert_eq!(key.check(before, None), Err(ApiError::KeyNetwork));
        let end = UnixTime::from_secs(10);
        assert_eq!(key.check(end, inside), Err(ApiError::KeyExpired));
    }

    #[test]
    fn counters_of_a_key_survive_a_reload() {
        let (id, token) = ApiToken::generate().expect("a key");
        let ring = ring();
        ring.replace(vec![row(id, token.digest())]);
        let before = active(&ring, &token);
        ring.replace(vec![row(id, token.digest())]);
        let after = active(&ring, &token);
        assert!(Arc::ptr_eq(&before, &after));
    }
}
