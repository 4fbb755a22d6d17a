//! Rate limits and limits of concurrent requests.
//!
//! [`Limits`] holds every limit with its counters. A request takes its share of each limit that applies to it, first
//! requests and places ([`Limits::enter`]), then, when its model is known, tokens and the limits of that model
//! ([`Share::reserve`]). All of them have to admit it; what was taken of the others is given back otherwise. The
//! [`Share`] belongs to the request until its end, where [`Share::settle`] corrects the estimate.
//!
//! Windows slide: in no period of a minute (hour, day) is more admitted than the limit says. Counters are in memory: they
//! begin at zero when the process does, and a change of a limit keeps them.

mod counters;
mod share;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use counters::Counters;
pub use share::Share;

use gateway_base::lock;
use gateway_base::quota::{Limit, LimitRefusal, Scope};
use gateway_base::request::Name;

/// A limit and its counters.
struct ActiveLimit {
    id: Name,
    limit: Limit,
    /// The same for all definitions of one id.
    counters: Arc<Counters>,
}

/// Every limit.
#[derive(Default)]
struct Table {
    by_id: HashMap<Name, Arc<ActiveLimit>>,
    of_scope: HashMap<Scope, Vec<Arc<ActiveLimit>>>,
}

/// All active limits.
#[derive(Default)]
pub struct Limits {
    // Replaced as a whole when an operator changes a limit; readers clone the `Arc` and release the lock at once.
    table: RwLock<Arc<Table>>,
}

/// What one limit counts at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitState {
    pub id: Name,
    pub limit: Limit,
    /// In the current windows, in the order of `WindowCounts::PERIODS`; `None` where it is not limited.
    pub requests: [Option<u64>; 3],
    pub tokens: [Option<u64>; 3],
    pub concurrent: u64,
    /// Since the process began.
    pub refused: u64,
}

impl Limits {
    /// Replaces every limit. Counters of ids that stay are kept. `now` is the time since any fixed moment.
    pub fn replace(&self, limits: Vec<(Name, Limit)>, now: Duration) {
        let old = self.table();
        let mut table = Table::default();
        for (id, limit) in limits {
            let known = old.by_id.get(&id);
            let counters = known.map(|known| Arc::clone(&known.counters));
            let counters = counters.unwrap_or_default();
            counters.set(&limit, now);
            table.add(Arc::new(ActiveLimit {
                id,
                limit,
                counters,
            }));
        }
        // Built before the lock is taken, which is held for one assignment.
        let table = Arc::new(table);
        *lock::write(&self.table) = table;
    }

    fn table(&self) -> Arc<Table> {
        lock::read(&self.table).clone()
    }

    /// Takes a request and a place of every limit of these scopes that applies whatever the model is. `None` if none of
    /// them has a limit.
    pub fn enter(&self, scopes: &[Scope], now: Duration) -> Result<Option<Share>, LimitRefusal> {
        let table = self.table();
        if table.by_id.is_empty() {
            return Ok(None);
        }
        let limits = scopes.iter().filter_map(|scope| table.of_scope.get(scope));
        let applying: Vec<_> = limits.flatten().cloned().collect();
        if applying.is_empty() {
            return Ok(None);
        }
        Share::enter(applying, now).map(Some)
    }

    /// What every limit counts now, sorted by id.
    pub fn states(&self, now: Duration) -> Vec<LimitState> {
        let table = self.table();
        let mut states: Vec<_> = table.by_id.values().map(|limit| limit.state(now)).collect();
        states.sort_by(|a, b| a.id.cmp(&b.id));
        states
    }
}

impl Table {
    fn add(&mut self, limit: Arc<ActiveLimit>) {
        self.by_id.insert(limit.id.clone(), Arc::clone(&limit));
        let scope = limit.limit.scope.clone();
        self.of_scope.entry(scope).or_default().push(limit);
    }
}

impl ActiveLimit {
    fn state(&self, now: Duration) -> LimitState {
        let counted = self.counters.counted(now);
        LimitState {
            id: self.id.clone(),
            limit: self.limit.clone(),
            requests: counted.requests,
            tokens: counted.tokens,
            concurrent: counted.concurrent,
            refused: counted.refused,
        }
    }
}

#[cfg(test)]
mod tests;
