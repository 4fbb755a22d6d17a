//! The current keys of one issuer, fetched in the background.
//!
//! Requests never wait for an issuer: they are checked with the keys that are here. A token with an unknown key id causes
//! a fetch, at most one in [`MIN_INTERVAL`]; until it ends, such tokens get an answer that may be retried. If no fetch
//! succeeds, the last set is used until it is older than the issuer's `max_stale`.

use std::sync::{Arc, RwLock, Weak};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::fetch::{Fetched, Source};
use attest_channel::Clock;
use gateway_base::config::identity::Issuer;
use gateway_base::errors::TokenFault;
use gateway_base::events::{Event, IdentityFailure};
use gateway_base::lock;
use gateway_base::metrics::Metrics;
use gateway_base::request::Name;
use jwt::{KeySet, TokenError};

/// From one fetch that unknown keys cause to the next.
const MIN_INTERVAL: Duration = Duration::from_secs(10);
/// The pause after the first failure; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// A key set, and the number of the change that brought it.
#[derive(Clone)]
pub(crate) struct CurrentKeys {
    pub(crate) set: Arc<KeySet>,
    /// Another set has another number. What was verified with an earlier set is verified again.
    pub(crate) generation: u64,
    /// When a fetch last brought it, by the machine's uptime: setting the clock does not make it younger or older.
    fetched: Duration,
}

#[derive(Default)]
struct State {
    current: Option<CurrentKeys>,
    /// When the last attempt began.
    attempted: Option<Duration>,
    /// The last attempt has not ended, or has failed.
    unsettled: bool,
}

/// The keys of one issuer.
pub(crate) struct KeyCache {
    name: Name,
    max_stale: Duration,
    /// Written by the task that fetches; read by requests, which hold it for a copy of two pointers.
    state: RwLock<State>,
    /// To that task, which ends when the cache is dropped.
    wanted: mpsc::Sender<()>,
}

impl KeyCache {
    /// Begins to fetch. Must be called within a runtime.
    pub(crate) fn start(
        issuer: &Issuer,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let (cache, wanted) = Self::new(issuer);
        let cache = Arc::new(cache);
        // Weak, so that the task does not keep the cache alive.
        let task = Fetching {
            cache: Arc::downgrade(&cache),
            source: Source::new(issuer),
            clock,
            metrics,
            failures: 0,
        };
        tokio::spawn(task.run(wanted));
        cache
    }

    fn new(issuer: &Issuer) -> (Self, mpsc::Receiver<()>) {
        let (wanted, requests) = mpsc::channel(1);
        let cache = Self {
            name: issuer.name.clone(),
            max_stale: issuer.max_stale,
            state: RwLock::new(State {
                unsettled: true,
                ..State::default()
            }),
            wanted,
        };
        (cache, requests)
    }

    /// The keys, unless there are none or they are too old.
    pub(crate) fn current(&self, uptime: Duration) -> Result<CurrentKeys, TokenFault> {
        let state = lock::read(&self.state);
        let current = state.current.as_ref().ok_or(TokenFault::Unavailable)?;
        if uptime.saturating_sub(current.fetched) > self.max_stale {
            return Err(TokenFault::Unavailable);
        }
        Ok(current.clone())
    }

    /// The answer for a token whose key is not in the set: it may be a new key, unless the set was fetched just now.
    pub(crate) fn unknown_key(&self, uptime: Duration) -> TokenFault {
        let state = lock::read(&self.state);
        let settled_at = state.attempted.filter(|_| !state.unsettled);
        if settled_at.is_some_and(|at| uptime.saturating_sub(at) < MIN_INTERVAL) {
            return TokenError::KeyUnknown.into();
        }
        // Full if a fetch is requested already.
        let _ = self.wanted.try_send(());
        TokenFault::Unavailable
    }

    fn begin(&self, uptime: Duration) {
        let mut state = lock::write(&self.state);
        state.attempted = Some(uptime);
        state.unsettled = true;
    }

    /// Stores a set. Returns whether it is another one.
    fn store(&self, set: KeySet, uptime: Duration) -> bool {
        let mut state = lock::write(&self.state);
        state.unsettled = false;
        match &mut state.current {
            Some(current) if *current.set == set => {
                current.fetched = uptime;
                false
            }
            current => {
                let generation = current.as_ref().map_or(0, |earlier| earlier.generation) + 1;
                *current = Some(CurrentKeys {
                    set: Arc::new(set),
                    generation,
                    fetched: uptime,
                });
                true
            }
        }
    }
}

/// The task that keeps one issuer's keys current.
struct Fetching {
    cache: Weak<KeyCache>,
    source: Source,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// How many attempts have failed since the last success.
    failures: u32,
}

impl Fetching {
    async fn run(mut self, mut wanted: mpsc::Receiver<()>) {
        loop {
            match self.cache.upgrade() {
                Some(cache) => cache.begin(self.clock.uptime()),
                None => return,
            }
            // Without a strong reference: a configuration that is replaced ends its fetches.
            let fetched = self.source.fetch().await;
            let Some(cache) = self.cache.upgrade() else {
                return;
            };
            let pause = self.note(&cache, fetched);
            drop(cache);
            // A request that arrived during the fetch is answered by it.
            let _ = wanted.try_recv();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Requests keep the interval themselves; `None` when the cache is dropped.
                request = wanted.recv(), if self.failures == 0 => if request.is_none() { return },
            }
        }
    }

    /// Stores the outcome of a fetch. Returns the pause until the next.
    fn note(&mut self, cache: &KeyCache, fetched: Result<Fetched, IdentityFailure>) -> Duration {
        let issuer = cache.name.clone();
        self.metrics
            .identity_fetched(&issuer, fetched.as_ref().map(|_| ()).map_err(|e| *e));
        match fetched {
            Ok(Fetched { keys, lifetime }) => {
                let (usable, ignored) = keys.counts();
                let changed = cache.store(keys, self.clock.uptime());
                if changed || self.failures > 0 {
                    gateway_base::events::emit(Event::IdentityKeysLoaded {
                        issuer,
                        keys: usable as u64,
                        ignored: ignored as u64,
                    });
                }
                self.failures = 0;
                // Twice within the time for which the set may be used.
                lifetime.min(cache.max_stale / 2)
            }
            Err(failure) => {
                if self.failures == 0 {
                    gateway_base::events::emit(Event::IdentityKeysFailed { issuer, failure });
                }
                let pause = FIRST_RETRY * 2_u32.saturating_pow(self.failures.min(6));
                self.failures += 1;
                pause.min(LAST_RETRY)
            }
        }
    }
}
