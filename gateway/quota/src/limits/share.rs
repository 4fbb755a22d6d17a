//! What one request has taken of the limits that apply to it.

use std::sync::Arc;
use std::time::Duration;

use super::ActiveLimit;
use super::counters::{Full, Parts};
use gateway_base::quota::{LimitRefusal, RateState, RateWindow};
use gateway_base::request::Name;

/// A request's share of its limits. Dropped, it gives its places back, and its tokens if they were not settled.
pub struct Share {
    /// Limits that apply whatever the model is, and from [`Self::reserve`] on those of the model.
    entered: Vec<Entered>,
    /// Limits of models, until the model is known.
    of_models: Vec<Arc<ActiveLimit>>,
    /// The tokens that were taken of each entered limit.
    tokens: u64,
    /// The time of the last change, for what is given back by a drop.
    last: Duration,
    is_settled: bool,
}

struct Entered {
    limit: Arc<ActiveLimit>,
    /// `None` until tokens were taken.
    tokens: Option<Parts>,
}

impl Share {
    /// Takes a request and a place of each limit without a model.
    pub(super) fn enter(
        limits: Vec<Arc<ActiveLimit>>,
        now: Duration,
    ) -> Result<Self, LimitRefusal> {
        let (of_models, limits): (Vec<_>, Vec<_>) = limits
            .into_iter()
            .partition(|limit| limit.limit.model.is_some());
        let mut share = Self {
            entered: Vec::with_capacity(limits.len()),
            of_models,
            tokens: 0,
            last: now,
            is_settled: false,
        };
        share.add(limits, now)?;
        Ok(share)
    }

    /// Takes the tokens of a request for this model, and whatever limits of the model demand.
    pub fn reserve(
        &mut self,
        model: &Name,
        tokens: u64,
        now: Duration,
    ) -> Result<(), LimitRefusal> {
        self.last = now;
        let limits = std::mem::take(&mut self.of_models);
        let applies = |limit: &Arc<ActiveLimit>| limit.limit.model.as_ref() == Some(model);
        self.add(limits.into_iter().filter(applies).collect(), now)?;
        self.tokens = tokens;
        let mut refused = None;
        for entered in &mut self.entered {
            match entered.limit.counters.take_tokens(tokens, now) {
                Ok(parts) => entered.tokens = Some(parts),
                Err(full) => {
                    refused = Some((Arc::clone(&entered.limit), full));
                    break;
                }
            }
        }
        // What was taken is given back when the share is dropped.
        refused.map_or(Ok(()), |(limit, full)| Err(self.refusal(&limit, full, now)))
    }

    /// All of them, or none.
    fn add(&mut self, limits: Vec<Arc<ActiveLimit>>, now: Duration) -> Result<(), LimitRefusal> {
        let mut taken: Vec<Parts> = Vec::with_capacity(limits.len());
        for limit in &limits {
            match limit.counters.enter(now) {
                Ok(parts) => taken.push(parts),
                Err(full) => {
                    for (limit, parts) in limits.iter().zip(taken) {
                        limit.counters.undo_enter(parts, now);
                    }
                    return Err(self.refusal(limit, full, now));
                }
            }
        }
        let entered = limits.into_iter().map(|limit| Entered {
            limit,
            tokens: None,
        });
        self.entered.extend(entered);
        Ok(())
    }

    fn refusal(&self, limit: &ActiveLimit, full: Full, now: Duration) -> LimitRefusal {
        let [requests, tokens] = limit.counters.tightest(now);
        LimitRefusal {
            limit: limit.id.clone(),
            scope: limit.limit.scope.kind(),
            what: full.what,
            retry_after: full.retry_after,
            state: RateState { requests, tokens },
        }
    }

    /// The tightest windows of all limits that apply.
    pub fn state(&self, now: Duration) -> RateState {
        let mut state = RateState::default();
        let tighter = |known: &mut Option<RateWindow>, other: Option<RateWindow>| {
            let Some(other) = other else { return };
            if known.is_none_or(|known| other.remaining < known.remaining) {
                *known = Some(other);
            }
        };
        for entered in &self.entered {
            let [requests, tokens] = entered.limit.counters.tightest(now);
            tighter(&mut state.requests, requests);
            tighter(&mut state.tokens, tokens);
        }
        state
    }

    /// The request has ended and used so many tokens. Later calls do nothing.
    pub fn settle(&mut self, used: u64, now: Duration) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        for entered in &self.entered {
            if let Some(parts) = entered.tokens {
                let counters = &entered.limit.counters;
                counters.settle_tokens(self.tokens, used, parts, now);
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // Not settled: the request was refused before it was forwarded.
        self.settle(0, self.last);
        for entered in &self.entered {
            entered.limit.counters.leave();
        }
    }
}
