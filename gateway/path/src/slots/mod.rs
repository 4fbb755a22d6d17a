//! Slots for connections: which connections have one, and which are evicted.
//!
//! A connection starts without an authenticated request. The number of such connections is limited. At the limit a new
//! one evicts another: of the peer with most of them, the one in the earliest stage (silent, in the handshake, without a
//! key), and among these the oldest. So peers get equal shares while slots are short, and any number while they are not.
//! A connection has a grace period in each stage, in which a client that works normally gets to the next one.
//!
//! A connection that authenticates a request moves to a second group of slots, which is limited, too, and from which
//! nothing is evicted. If that group is full, the request is refused; the connection stays open.

mod peer;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use gateway_base::descriptors::ConnectionLimits;
use gateway_base::lock::lock;
pub(crate) use peer::Peer;

/// The stage of a connection that has not authenticated a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// No byte has arrived.
    Silent,
    Handshake,
    /// The TLS handshake is done.
    Open,
}

impl Stage {
    /// How long a connection in this stage cannot be evicted.
    const fn grace_period(self) -> Duration {
        match self {
            Self::Silent => Duration::from_millis(100),
            Self::Handshake | Self::Open => Duration::from_secs(1),
        }
    }
}

/// All connections of a listener, and whether they are to finish.
#[derive(Clone)]
pub struct Connections(Arc<Shared>);

struct Shared {
    /// Never held across an await. Where both are needed, a slot's own lock is taken first.
    table: Mutex<SlotTable>,
    /// Notified when a connection ends or moves to the other group.
    changed: Notify,
    stop: watch::Sender<bool>,
}

struct SlotTable {
    limits: ConnectionLimits,
    next: u64,
    /// Connections whose tasks have not ended, including evicted ones.
    open: u64,
    authenticated: usize,
    /// The number of entries in `peers`.
    unauthenticated: usize,
    /// Unauthenticated connections by peer, in the order in which they are evicted.
    peers: HashMap<Peer, BTreeMap<(Stage, u64), Evictable>>,
}

/// A connection that can be evicted.
struct Evictable {
    /// When its stage began.
    since: Instant,
    /// Wakes the connection's task, which then ends.
    evicted: Arc<Notify>,
}

/// The slot of one connection, returned when dropped. Owned by the connection's task and its requests.
pub struct ConnectionSlot {
    shared: Arc<Shared>,
    id: u64,
    peer: Peer,
    /// Follows the table: changed only together with it, or when the connection was found to be evicted.
    state: Mutex<SlotState>,
    evicted: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotState {
    Unauthenticated(Stage),
    Authenticated,
    /// Evicted: it is counted in neither group.
    Evicted,
}

/// All slots for authenticated connections are in use.
#[derive(Debug, PartialEq, Eq)]
pub struct NoSlot;

impl Connections {
    pub fn new(limits: ConnectionLimits) -> Self {
        Self(Arc::new(Shared {
            table: Mutex::new(SlotTable {
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

    /// Waits until there is room for one more connection, evicting one if necessary. Returns whether one was evicted.
    pub(crate) async fn wait_for_room(&self) -> bool {
        loop {
            // Created before the check, so that a change after the check is not missed.
            let changed = self.0.changed.notified();
            {
                let mut table = self.0.table();
                if table.unauthenticated < table.limits.unauthenticated {
                    return false;
                }
                if table.evict(Instant::now(), Stage::grace_period) {
                    return true;
                }
            }
            // A grace period ends without a notification.
            let _ = tokio::time::timeout(Duration::from_millis(20), changed).await;
        }
    }

    /// Evicts the first connection in the order, also in its grace period: the system has no file descriptor left.
    pub(crate) fn evict_one(&self) -> bool {
        self.0.table().evict(Instant::now(), |_| Duration::ZERO)
    }

    /// A slot for an accepted connection.
    pub(crate) fn enter(&self, peer: Peer) -> ConnectionSlot {
        let evicted = Arc::new(Notify::new());
        let mut table = self.0.table();
        table.next += 1;
        table.open += 1;
        let id = table.next;
        table.insert(peer, id, Stage::Silent, evicted.clone());
        drop(table);
        ConnectionSlot {
            shared: self.0.clone(),
            id,
            peer,
            state: Mutex::new(SlotState::Unauthenticated(Stage::Silent)),
            evicted,
        }
    }

    /// Becomes true when connections are to finish.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stop.subscribe()
    }

    /// Tells all connections to finish and waits until they have, for `timeout` at most. Returns how many have not.
    pub async fn drain(&self, timeout: Duration) -> u64 {
        // `send_replace`, not `send`: the value has to be set also while no connection listens, for one that was
        // accepted and subscribes just now.
        self.0.stop.send_replace(true);
        let all = async {
            loop {
                // Created before the count is read, as in `wait_for_room`: the last connection may end between the two.
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
    fn table(&self) -> MutexGuard<'_, SlotTable> {
        lock(&self.table)
    }
}

impl SlotTable {
    fn insert(&mut self, peer: Peer, id: u64, stage: Stage, evicted: Arc<Notify>) {
        let since = Instant::now();
        let waiting = Evictable { since, evicted };
        self.peers
            .entry(peer)
            .or_default()
            .insert((stage, id), waiting);
        self.unauthenticated += 1;
    }

    /// Returns whether the connection was still in the table.
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

    /// Evicts the first connection in the order if its grace period is over, and returns whether it was. Otherwise none is
    /// evicted: one in a later stage must not pay for it.
    fn evict(&mut self, now: Instant, grace_period: impl Fn(Stage) -> Duration) -> bool {
        let most = self.peers.iter().max_by_key(|(_, all)| all.len());
        let Some((peer, (stage, id), connection)) = most.and_then(|(peer, connections)| {
            let (key, connection) = connections.first_key_value()?;
            Some((*peer, *key, connection))
        }) else {
            return false;
        };
        if now.duration_since(connection.since) < grace_period(stage) {
            return false;
        }
        // `notify_one` keeps its permit: the task is ended even if it does not wait for the notification yet. The entry
        // leaves the table here and not when the task ends, so that its slot is free at once and no second eviction
        // chooses it.
        connection.evicted.notify_one();
        self.remove(peer, id, stage)
    }
}

impl ConnectionSlot {
    /// Ready when the connection was evicted.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Records the connection's stage.
    pub(crate) fn set_stage(&self, stage: Stage) {
        // The slot's lock, then the table's. The table alone decides whether the connection still has a slot: an
        // eviction changes only the table, and the slot notices when it finds no entry.
        let mut state = self.state();
        let mut table = self.shared.table();
        if let SlotState::Unauthenticated(before) = *state
            && table.remove(self.peer, self.id, before)
        {
            table.insert(self.peer, self.id, stage, self.evicted.clone());
            *state = SlotState::Unauthenticated(stage);
        }
    }

    /// A request on the connection was authenticated: the connection moves to a slot from which it is not evicted, if there
    /// is one.
    pub fn authenticated(&self) -> Result<(), NoSlot> {
        let mut state = self.state();
        let SlotState::Unauthenticated(stage) = *state else {
            return Ok(());
        };
        let mut table = self.shared.table();
        if table.authenticated >= table.limits.authenticated {
            return Err(NoSlot);
        }
        // Not in the table any more: evicted meanwhile. Its task is about to end; the request fails with it.
        if table.remove(self.peer, self.id, stage) {
            table.authenticated += 1;
            *state = SlotState::Authenticated;
            drop(table);
            self.shared.changed.notify_waiters();
        } else {
            *state = SlotState::Evicted;
        }
        Ok(())
    }

    /// A request on the connection had a credential that is not valid, or not any longer.
    pub fn not_authenticated(&self) {
        let mut state = self.state();
        if *state == SlotState::Authenticated {
            let mut table = self.shared.table();
            // A connection whose key was revoked loses its protection at once. No room is checked in the other group:
            // one too many is evicted when the next connection comes.
            table.authenticated -= 1;
            table.insert(self.peer, self.id, Stage::Open, self.evicted.clone());
            *state = SlotState::Unauthenticated(Stage::Open);
        }
    }

    fn state(&self) -> MutexGuard<'_, SlotState> {
        lock(&self.state)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        // Copied, so that the two locks are never held together here. No other holder of the slot is left that could
        // change it.
        let state = *self.state();
        let mut table = self.shared.table();
        table.open -= 1;
        // An evicted connection left its group when it was evicted.
        match state {
            SlotState::Unauthenticated(stage) => {
                table.remove(self.peer, self.id, stage);
            }
            SlotState::Authenticated => table.authenticated -= 1,
            SlotState::Evicted => {}
        }
        drop(table);
        self.shared.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
