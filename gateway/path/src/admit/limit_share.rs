//! A request's share of the limits that apply to it, until its end.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use gateway_base::errors::{ApiError, Invalid};
use gateway_base::lock::lock;
use gateway_base::metering::Usage;
use gateway_base::quota::RateState;
use gateway_base::request::Name;
use gateway_quota::limits::Share;
use gateway_quota::{DEFAULT_OUTPUT, Estimate, OutputLimit};

use super::{Endpoint, Fields};

/// One share, held by the request's context and its receipt. The last one that is dropped gives its places back.
#[derive(Clone)]
pub struct LimitShare(Arc<Inner>);

struct Inner {
    // Written by admission, and once more at the request's end.
    share: Mutex<Share>,
    /// Time zero of the limits.
    begun: Instant,
    // Written by admission when the body was read; read at the end.
    estimate: Mutex<Estimate>,
}

impl LimitShare {
    pub(super) fn new(share: Share, begun: Instant) -> Self {
        Self(Arc::new(Inner {
            share: Mutex::new(share),
            begun,
            estimate: Mutex::new(Estimate::default()),
        }))
    }

    /// Takes the tokens that a request may use.
    pub(super) fn reserve(
        &self,
        model: &Name,
        endpoint: Endpoint,
        fields: &Fields,
        body: u64,
    ) -> Result<(), ApiError> {
        let estimate = estimate(endpoint, fields, body)?;
        *lock(&self.0.estimate) = estimate;
        let mut share = lock(&self.0.share);
        share
            .reserve(model, estimate.total(), self.0.begun.elapsed())
            .map_err(|refusal| ApiError::RateLimited(Box::new(refusal)))
    }

    /// What is left after this request.
    pub(crate) fn state(&self) -> RateState {
        lock(&self.0.share).state(self.0.begun.elapsed())
    }

    /// The request has ended. `status` is that of the response, 0 if there was none; a request that was not forwarded used
    /// nothing.
    pub(crate) fn settle(&self, usage: &Usage, status: u16, was_forwarded: bool) {
        let estimate = *lock(&self.0.estimate);
        let used = used(estimate, usage, status, was_forwarded);
        lock(&self.0.share).settle(used, self.0.begun.elapsed());
    }
}

fn estimate(endpoint: Endpoint, fields: &Fields, body: u64) -> Result<Estimate, ApiError> {
    let output = match fields.output_limit {
        _ if endpoint == Endpoint::Embeddings => 0,
        OutputLimit::Tokens(tokens) => tokens,
        OutputLimit::None => DEFAULT_OUTPUT,
        // An engine may take it for any number.
        OutputLimit::Unreadable => return Err(ApiError::Invalid(Invalid::OutputLimit)),
    };
    Ok(Estimate::of_body(body, output, fields.answers))
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

    fn fields(body: &str) -> Fields {
        Fields::read(body.as_bytes(), Endpoint::Chat).expect("a body")
    }

    #[test]
    fn a_request_without_a_limit_of_its_output_counts_with_the_default() {
        let body = r#"{"model":"m","n":2}"#;
        let estimated = estimate(Endpoint::Chat, &fields(body), 40).map(Estimate::total);
        assert_eq!(estimated, Ok(10 + 2 * DEFAULT_OUTPUT));
        let estimated = estimate(Endpoint::Embeddings, &fields(body), 40).map(Estimate::total);
        assert_eq!(estimated, Ok(10));
        let body = r#"{"model":"m","max_tokens":"7"}"#;
        assert_eq!(
            estimate(Endpoint::Chat, &fields(body), 40),
            Err(ApiError::Invalid(Invalid::OutputLimit))
        );
    }

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
