//! Idle connections, most recently used last, and the lease of one of them for one exchange.

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use http::Response;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use super::body::LeasedBody;
use super::connection::{Connection, Unanswered};
use super::request::OutgoingRequest;
use crate::lock::lock;
use crate::task::OwnedTask;

/// What was checked of a peer before its connection may carry a request.
pub trait KnownPeer: Send + Unpin + 'static {}

/// A pool of connections. A connection is either in here or owned by one exchange.
pub struct Pool<P: KnownPeer> {
    capacity: usize,
    idle_timeout: Duration,
    /// Idle connections and the task that closes them, under one lock, so that neither is without the other. Held for
    /// operations on the vector, never across an await: a connection is taken out, and polled outside of it. Closing
    /// one does not wait, so it may happen under the lock.
    state: Mutex<State<P>>,
}

struct State<P> {
    /// The one that was idle longest is first.
    idle: Vec<Idle<P>>,
    /// Closes connections after their idle timeout. Runs only while the pool holds any.
    reaper: Option<OwnedTask>,
}

struct Idle<P> {
    connection: Connection,
    peer: P,
    since: Instant,
}

/// What to do with an idle connection during the search for a usable one.
pub enum Choice<T> {
    Take(T),
    Skip,
    Close,
}

impl<P: KnownPeer> Pool<P> {
    /// A pool that keeps at most `capacity` connections, each for at most `idle_timeout`.
    pub fn new(capacity: usize, idle_timeout: Duration) -> Arc<Self> {
        Arc::new(Pool {
            capacity,
            idle_timeout,
            state: Mutex::new(State {
                idle: Vec::new(),
                reaper: None,
            }),
        })
    }

    /// The most recently used connection for which `choose` returns [`Choice::Take`], and the value in it. Connections
    /// that are closed or past their idle timeout, or for which `choose` returns [`Choice::Close`], are removed on the way.
    pub fn lease<T>(
        self: &Arc<Self>,
        mut choose: impl FnMut(&P) -> Choice<T>,
    ) -> Option<(PooledConnection<P>, T)> {
        loop {
            let (mut idle, chosen) = self.take(&mut choose)?;
            // The peer may have closed it in the meantime.
            if idle.connection.is_usable() {
                let connection = self.hold(idle.connection, idle.peer);
                return Some((connection, chosen));
            }
        }
    }

    /// A connection that is in use now, and that this pool keeps afterwards.
    pub fn hold(self: &Arc<Self>, connection: Connection, peer: P) -> PooledConnection<P> {
        PooledConnection(Some(Leased {
            connection,
            peer,
            pool: Arc::downgrade(self),
        }))
    }

    fn take<T>(&self, choose: &mut impl FnMut(&P) -> Choice<T>) -> Option<(Idle<P>, T)> {
        let now = Instant::now();
        let mut state = self.state();
        // From the back, and by index: entries are removed during the walk.
        let mut index = state.idle.len();
        while let Some(before) = index.checked_sub(1) {
            index = before;
            let idle = state.idle.get(index)?;
            let choice = match now.duration_since(idle.since) < self.idle_timeout {
                true => choose(&idle.peer),
                false => Choice::Close,
            };
            match choice {
                Choice::Skip => {}
                Choice::Close => drop(state.idle.remove(index)),
                Choice::Take(chosen) => return Some((state.idle.remove(index), chosen)),
            }
        }
        None
    }

    /// Adds a connection; if the pool is full, the one that was idle longest is closed.
    fn put(self: &Arc<Self>, connection: Connection, peer: P) {
        // Without a runtime (the value is dropped after that has ended) no task could close the connection in time.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.capacity == 0 {
            return;
        }
        let mut state = self.state();
        if state.idle.len() >= self.capacity {
            // The longest idle one: its peer or a balancer will close it first.
            state.idle.remove(0);
        }
        state.idle.push(Idle {
            connection,
            peer,
            since: Instant::now(),
        });
        // Started under the same lock under which the reaper ends itself, so there is never a pool without one.
        if state.reaper.is_none() {
            let task = reap(Arc::downgrade(self));
            state.reaper = Some(OwnedTask::spawn_on(&runtime, task));
        }
    }

    /// Closes the idle connections to peers for which `ended` is true.
    pub fn close(&self, ended: impl Fn(&P) -> bool) {
        self.state().idle.retain(|idle| !ended(&idle.peer));
    }

    /// Closes the connections whose idle timeout has passed, and returns when the next one's will.
    fn close_expired(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.state();
        let timeout = self.idle_timeout;
        state
            .idle
            .retain(|idle| now.duration_since(idle.since) < timeout);
        let next = state.idle.first().map(|idle| idle.since + timeout);
        if next.is_none() {
            state.reaper = None;
        }
        next
    }

    fn state(&self) -> MutexGuard<'_, State<P>> {
        lock(&self.state)
    }
}

/// Closes connections whose idle timeout has passed, until the pool is empty. Holds the pool weakly, so that a dropped
/// pool ends it.
async fn reap<P: KnownPeer>(pool: Weak<Pool<P>>) {
    loop {
        // The pool is released before the pause.
        let Some(next) = pool.upgrade().and_then(|pool| pool.close_expired()) else {
            return;
        };
        sleep_until(next).await;
    }
}

/// A connection in use.
pub(super) struct Leased<P: KnownPeer> {
    pub(super) connection: Connection,
    peer: P,
    /// Weak: a response that still streams does not keep the pool of an ended epoch, and its idle connections, alive.
    pool: Weak<Pool<P>>,
}

impl<P: KnownPeer> Leased<P> {
    pub(super) fn put_back(mut self) {
        if let Some(pool) = self.pool.upgrade()
            && self.connection.is_usable()
        {
            pool.put(self.connection, self.peer);
        }
    }
}

/// A connection for one exchange. Dropped unused, it returns to its pool; dropped while sending, it is closed.
pub struct PooledConnection<P: KnownPeer>(Option<Leased<P>>);

impl<P: KnownPeer> PooledConnection<P> {
    /// A connection that is used once and then closed.
    pub fn single_use(connection: Connection, peer: P) -> Self {
        PooledConnection(Some(Leased {
            connection,
            peer,
            pool: Weak::new(),
        }))
    }

    /// The connection alone, without its return to the pool.
    pub(crate) fn into_connection(mut self) -> Option<Connection> {
        Some(self.0.take()?.connection)
    }

    /// Sends `request` and waits for the head of the response.
    pub async fn send(
        mut self,
        request: &OutgoingRequest,
    ) -> Result<Response<LeasedBody<P>>, Unanswered> {
        // Taken out: if this future is dropped, the local variable closes the connection.
        let Some(mut leased) = self.0.take() else {
            return Err(Unanswered::NotSent);
        };
        let response = leased.connection.exchange(request).await?;
        Ok(response.map(|()| LeasedBody::new(leased)))
    }
}

impl<P: KnownPeer> Drop for PooledConnection<P> {
    fn drop(&mut self) {
        if let Some(leased) = self.0.take() {
            leased.put_back();
        }
    }
}
