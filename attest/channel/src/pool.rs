//! Unused connections of one origin, most recently used last.

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
    patience: Duration,
}

/// What to do with an unused connection on the way to a usable one.
pub(crate) enum Choice {
    Take,
    Skip,
    Close,
}

impl Pool {
    pub(crate) fn new(capacity: usize, patience: Duration) -> Self {
        Pool {
            idle: Vec::new(),
            capacity,
            patience,
        }
    }

    /// Keeps a connection for later, at the price of the oldest one where there are too many.
    pub(crate) fn put(&mut self, http: Http1, spki: SpkiDigest) {
        if self.capacity == 0 {
            return;
        }
        if self.idle.len() >= self.capacity {
            self.idle.remove(0);
        }
        self.idle.push(Idle {
            http,
            spki,
            since: Instant::now(),
        });
    }

    /// The most recently used open connection that `choose` takes. Closed, overdue and unwanted
    /// ones met on the way are closed.
    pub(crate) fn take(
        &mut self,
        mut choose: impl FnMut(&SpkiDigest) -> Choice,
    ) -> Option<(Http1, SpkiDigest)> {
        let now = Instant::now();
        let mut index = self.idle.len();
        while let Some(before) = index.checked_sub(1) {
            index = before;
            let idle = self.idle.get(index)?;
            let fresh = now.duration_since(idle.since) < self.patience;
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

    /// Closes what is overdue or closed already, and says how much is left.
    pub(crate) fn reap(&mut self) -> usize {
        let now = Instant::now();
        let patience = self.patience;
        self.idle
            .retain(|idle| now.duration_since(idle.since) < patience && idle.http.is_open());
        self.idle.len()
    }
}
