//! A request's share of the limits that apply to it, until its end.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use gateway_base::errors::ApiError;
use gateway_base::lock::lock;
use gateway_base::metering::Usage;
use gateway_base::quota::RateState;
use gateway_base::request::Name;
use gateway_quota::Estimate;
use gateway_quota::limits::Share;

/// One share, held by the request's context and its receipt. The last one that is dropped gives its places back.
#[derive(Clone)]
pub struct LimitShare(Arc<Inner>);

struct Inner {
    // Written by admission, and once more at the request's end.
    taken: Mutex<Taken>,
    /// Time zero of the limits.
    begun: Instant,
}

struct Taken {
    share: Share,
    /// Nothing until the body was read.
    estimate: Estimate,
}

impl LimitShare {
    pub(super) fn new(share: Share, begun: Instant) -> Self {
        let estimate = Estimate::default();
        let taken = Mutex::new(Taken { share, estimate });
        Self(Arc::new(Inner { taken, begun }))
    }

    /// Takes the tokens that a request may use.
    pub(super) fn reserve(&self, model: &Name, estimate: Estimate) -> Result<(), ApiError> {
        let mut taken = lock(&self.0.taken);
        taken.estimate = estimate;
        let reserved = taken
            .share
            .reserve(model, estimate.total(), self.0.begun.elapsed());
        reserved.map_err(|refusal| ApiError::RateLimited(Box::new(refusal)))
    }

    /// What is left after this request.
    pub(crate) fn state(&self) -> RateState {
        lock(&self.0.taken).share.state(self.0.begun.elapsed())
    }

    /// The request has ended. `status` is that of the response, 0 if there was none; a request that was not forwarded used
    /// nothing.
    pub(crate) fn settle(&self, usage: &Usage, status: u16, was_forwarded: bool) {
        let mut taken = lock(&self.0.taken);
        let used = used(taken.estimate, usage, status, was_forwarded);
        taken.share.settle(used, self.0.begun.elapsed());
    }
}

/// The tokens that count in the end: what is known, and else the estimate of what may have been used.
fn used(estimate: Estimate, usage: &Usage, status: u16, was_forwarded: bool) -> u64 {
    let prompt = usage.prompt_tokens.unwrap_or(estimate.prompt_tokens);
    match (usage.completion_tokens, status) {
        _ if !was_forwarded => 0,
        (Some(output), _) => prompt.saturating_add(output),
        (None, 200) => prompt.saturating_add(estimate.output_tokens),
        // Cut before its response began.
        (None, 0) => prompt,
        (None, _) => usage.prompt_tokens.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_counts_and_else_the_estimate() {
        let estimate = Estimate {
            prompt_tokens: 10,
            output_tokens: 100,
        };
        let usage = |prompt_tokens, completion_tokens| Usage {
            prompt_tokens,
            completion_tokens,
            ..Usage::default()
        };
        for (known, status, was_forwarded, counts) in [
            (usage(Some(7), Some(20)), 200, true, 27),
            (usage(None, Some(3)), 200, true, 13),
            (usage(None, None), 200, true, 110),
            (usage(Some(7), None), 200, true, 107),
            (usage(None, None), 0, true, 10),
            (usage(None, None), 400, true, 0),
            (usage(None, None), 503, false, 0),
        ] {
            assert_eq!(
                used(estimate, &known, status, was_forwarded),
                counts,
                "{known:?} {status}"
            );
        }
    }
}
