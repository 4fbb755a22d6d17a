//! Idle connections of one origin, most recently used last. Not synchronised: the channel owns it under its lock.

use std::time::Duration;

use attest_core::SpkiDigest;
use tokio::time::Instant;

use crate::http1::Http1;

struct Idle {
    http: Http1,
    spki: SpkiDigest,
    since: Instant,
}

pub(crate) struct Pool {
    idle: Vec<Idle>,
    capacity: usize,
    idle_timeout: Duration,
}

/// What to do with an idle connection during the search for a usable one.
pub(crate) enum Choice {
    Take,
    Skip,
    Close,
}

impl Pool {
    pub(crate) fn new(capacity: usize, idle_timeout: Duration) -> Self {
        Pool {
            idle: Vec::new(),
            capacity,
            idle_timeout,
        }
    }

    /// Adds a connection; if the pool is full, the one that was idle longest is closed.
    pub(crate) fn put(&mut self, http: Http1, spki: SpkiDigest) {
        if self.capacity == 0 {
            return;
        }
        if self.idle.len() >= self.capacity {
            // The longest idle one: its peer or a balancer will close it first.
            self.idle.remove(0);
        }
        self.idle.push(Idle {
            http,
            spki,
            since: Instant::now(),
        });
    }

    /// The most recently used open connection for which `choose` returns [`Choice::Take`]. On the way, connections
    /// that are closed, past their idle timeout or refused by `choose` are removed.
    pub(crate) fn take(
        &mut self,
        mut choose: impl FnMut(&SpkiDigest) -> Choice,
    ) -> Option<(Http1, SpkiDigest)> {
        let now = Instant::now();
        // From the back, and by index: entries are removed during the walk.
        let mut index = self.idle.len();
        while let Some(before) = index.checked_sub(1) {
            index = before;
            let idle = self.idle.get(index)?;
            let fresh = now.duration_since(idle.since) < self.idle_timeout;
            let choice = match fresh && idle.http.is_open() {
                true => choose(&idle.spki),
                false => Choice::Close,
            };
            match choice {
                Choice::Skip => {}
                Choice::Close => drop(self.idle.remove(index)),
                Choice::Take => {
                    let idle = self.idle.remove(index);
                    return Some((idle.http, idle.spki));
                }
            }
        }
        None
    }

    /// Closes every idle connection to this key.
    pub(crate) fn close(&mut self, key: SpkiDigest) {
        self.idle.retain(|idle| idle.spki != key);
    }

    /// Removes connections past their idle timeout, or closed by the peer, and returns how many are left.
    pub(crate) fn reap(&mut self) -> usize {
        let now = Instant::now();
        let idle_timeout = self.idle_timeout;
        self.idle
            .retain(|idle| now.duration_since(idle.since) < idle_timeout && idle.http.is_open());
        self.idle.len()
    }
}
