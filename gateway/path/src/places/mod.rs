//! Places for connections: who has one, and who loses it to whom.
//!
//! A connection begins as one that has not authenticated a request. Of those there is a limited number, and when it
//! is reached the next one takes the place of another: of the peer that has most of them, and of its connections the
//! one that got least far (silent, in the handshake, without a key) and among these the oldest. So a peer gets an
//! equal share of the places when they are short, and all it wants when they are not. Connections that have just come
//! are spared for a moment, in which a client that means to speak does.
//!
//! A connection that authenticates a request moves to places of its own, which are limited, too, and which no other
//! connection takes away. Where there are none left the request is refused; the connection is not.

mod peer;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use gateway_base::descriptors::ConnectionLimits;
pub use peer::Peer;

/// How far a connection got that has not authenticated a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Not a byte has come.
    Silent,
    Handshake,
    /// The TLS handshake is done.
    Open,
}

impl Stage {
    /// How long a connection stays in this stage before its place can go to another.
    const fn spared(self) -> Duration {
        match self {
            Self::Silent => Duration::from_millis(100),
            Self::Handshake | Self::Open => Duration::from_secs(1),
        }
    }
}

/// All connections of a listener, and whether they are to end.
#[derive(Clone)]
pub struct Connections(Arc<Shared>);

struct Shared {
    table: Mutex<Table>,
    /// A connection ended, or moved.
    changed: Notify,
    stop: watch::Sender<bool>,
}

struct Table {
    limits: ConnectionLimits,
    next: u64,
    /// Connections whose tasks have not ended, wherever they are counted below.
    open: u64,
    authenticated: usize,
    unauthenticated: usize,
    peers: HashMap<Peer, BTreeMap<(Stage, u64), Waiting>>,
}

/// A connection that may lose its place.
struct Waiting {
    /// When it came into its stage.
    since: Instant,
    evicted: Arc<Notify>,
}

/// The place of one connection, given back when dropped.
pub struct Place {
    shared: Arc<Shared>,
    id: u64,
    peer: Peer,
    at: Mutex<At>,
    evicted: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Unauthenticated(Stage),
    Authenticated,
    /// Another connection has its place.
    Evicted,
}

/// All places for authenticated connections are taken.
#[derive(Debug, PartialEq, Eq)]
pub struct NoPlace;

impl Connections {
    pub fn new(limits: ConnectionLimits) -> Self {
        Self(Arc::new(Shared {
            table: Mutex::new(Table {
                limits,
                next: 0,
                open: 0,
                authenticated: 0,
                unauthenticated: 0,
                peers: HashMap::new(),
            }),
            changed: Notify::new(),
            stop: watch::Sender::new(false),
        }))
    }

    pub(crate) fn set_limits(&self, limits: ConnectionLimits) {
        self.0.table().limits = limits;
        self.0.changed.notify_waiters();
    }

    /// Waits until there is room for one more connection, taking it from another if there is none. Returns whether
    /// another lost its place.
    pub(crate) async fn room(&self) -> bool {
        loop {
            // Before the look, so that a change after it is not missed.
            let changed = self.0.changed.notified();
            {
                let mut table = self.0.table();
                if table.unauthenticated < table.limits.unauthenticated {
                    return false;
                }
                if table.evict(Instant::now(), Stage::spared) {
                    return true;
                }
            }
            // The youngest are spared for a moment only.
            let _ = tokio::time::timeout(Duration::from_millis(20), changed).await;
        }
    }

    /// Takes the place of the connection that is first in line, however young it is: the system has no descriptor left.
    pub(crate) fn evict_one(&self) -> bool {
        self.0.table().evict(Instant::now(), |_| Duration::ZERO)
    }

    /// A place for a connection that has been accepted.
    pub(crate) fn enter(&self, peer: Peer) -> Place {
        let evicted = Arc::new(Notify::new());
        let mut table = self.0.table();
        table.next += 1;
        table.open += 1;
        let id = table.next;
        table.insert(peer, id, Stage::Silent, evicted.clone());
        drop(table);
        Place {
            shared: self.0.clone(),
            id,
            peer,
            at: Mutex::new(At::Unauthenticated(Stage::Silent)),
            evicted,
        }
    }

    /// Turns true when connections are to finish.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stop.subscribe()
    }

    /// Asks all connections to finish and waits until they have, for `timeout` at most. Returns how many had not.
    pub async fn drain(&self, timeout: Duration) -> u64 {
        self.0.stop.send_replace(true);
        let all = async {
            loop {
                let changed = self.0.changed.notified();
                if self.0.table().open == 0 {
                    return;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(timeout, all).await {
            Ok(()) => 0,
            Err(_) => self.0.table().open,
        }
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn insert(&mut self, peer: Peer, id: u64, stage: Stage, evicted: Arc<Notify>) {
        let since = Instant::now();
        let waiting = Waiting { since, evicted };
        self.peers
            .entry(peer)
            .or_default()
            .insert((stage, id), waiting);
        self.unauthenticated += 1;
    }

    /// Whether the connection was still there.
    fn remove(&mut self, peer: Peer, id: u64, stage: Stage) -> bool {
        let Some(connections) = self.peers.get_mut(&peer) else {
            return false;
        };
        let removed = connections.remove(&(stage, id)).is_some();
        if connections.is_empty() {
            self.peers.remove(&peer);
        }
        self.unauthenticated -= usize::from(removed);
        removed
    }

    /// Takes the place of the connection that is first in line, if it has been in its stage long enough. Returns
    /// whether it has: otherwise it is waited for, and none that got farther pays in its stead.
    fn evict(&mut self, now: Instant, spared: impl Fn(Stage) -> Duration) -> bool {
        let most = self.peers.iter().max_by_key(|(_, all)| all.len());
        let Some((peer, (stage, id), waiting)) = most.and_then(|(peer, connections)| {
            let (place, waiting) = connections.first_key_value()?;
            Some((*peer, *place, waiting))
        }) else {
            return false;
        };
        if now.duration_since(waiting.since) < spared(stage) {
            return false;
        }
        waiting.evicted.notify_one();
        self.remove(peer, id, stage)
    }
}

impl Place {
    /// Ready when the place went to another connection.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Notes how far the connection got.
    pub(crate) fn reached(&self, stage: Stage) {
        let mut at = self.at();
        let mut table = self.shared.table();
        if let At::Unauthenticated(before) = *at
            && table.remove(self.peer, self.id, before)
        {
            table.insert(self.peer, self.id, stage, self.evicted.clone());
            *at = At::Unauthenticated(stage);
        }
    }

    /// A request on the connection was authenticated: it gets a place that is not taken away, if there is one.
    pub fn authenticated(&self) -> Result<(), NoPlace> {
        let mut at = self.at();
        let At::Unauthenticated(stage) = *at else {
            return Ok(());
        };
        let mut table = self.shared.table();
        if table.authenticated >= table.limits.authenticated {
            return Err(NoPlace);
        }
        if table.remove(self.peer, self.id, stage) {
            table.authenticated += 1;
            *at = At::Authenticated;
            drop(table);
            self.shared.changed.notify_waiters();
        } else {
            *at = At::Evicted;
        }
        Ok(())
    }

    /// A request on the connection had a credential that is not valid (any more).
    pub fn not_authenticated(&self) {
        let mut at = self.at();
        if *at == At::Authenticated {
            let mut table = self.shared.table();
            table.authenticated -= 1;
            table.insert(self.peer, self.id, Stage::Open, self.evicted.clone());
            *at = At::Unauthenticated(Stage::Open);
        }
    }

    fn at(&self) -> MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let at = *self.at();
        let mut table = self.shared.table();
        table.open -= 1;
        match at {
            At::Unauthenticated(stage) => {
                table.remove(self.peer, self.id, stage);
            }
            At::Authenticated => table.authenticated -= 1,
            At::Evicted => {}
        }
        drop(table);
        self.shared.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
