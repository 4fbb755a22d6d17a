//! What a request is charged for.
//!
//! A request is charged for what was relayed of an answer. If the upstream reports its token counts, those count. If it
//! does not, because it never does or because the response was interrupted before, the prompt counts by its length and the
//! answer by its events, or by its length if it is no stream. A request whose client disconnects before an answer is
//! charged for its prompt, which the upstream may have read. A request that was never forwarded, or that an upstream
//! refused or failed to answer, costs nothing.

use super::Ending;
use super::attempts::Attempts;
use super::exchange::Exchange;
use super::stages::{Destination, Returned};
use gateway_base::config::Prices;
use gateway_base::metering::TokenSource;
use gateway_base::quota::{Money, Quantity};
use gateway_base::request::Endpoint;
use gateway_quota::{Estimate, Expense};

/// The tokens of a request, and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Charge {
    pub quantity: Quantity,
    /// `None` if there is no price.
    pub cost: Option<Money>,
}

impl Charge {
    /// What it takes out of budgets and credits.
    pub fn expense(&self) -> Expense {
        Expense {
            money: self.cost,
            tokens: self.quantity.tokens(),
        }
    }

    /// Whether there is a price table, and this answer has no price in it.
    pub fn is_without_price(&self, prices: &Prices) -> bool {
        self.cost.is_none() && prices.table.is_some()
    }
}

impl Exchange {
    /// The charge for what was returned of this request.
    pub fn charge(
        &self,
        destination: &Destination,
        attempts: &Attempts,
        returned: &Returned,
        ending: Ending,
    ) -> Charge {
        let interrupted = matches!(ending, Ending::Interrupted(_));
        let is_charged = returned.answered || (attempts.is_forwarded() && interrupted);
        let (Destination::Model { model, .. }, Some(upstream), true) =
            (destination, attempts.upstream(), is_charged)
        else {
            let cost = self.epoch.config.prices.table.as_ref().map(|_| Money::ZERO);
            return Charge {
                quantity: Quantity::default(),
                cost,
            };
        };
        let quantity = self.quantity(returned);
        let table = self.epoch.config.prices.table.as_ref();
        let rates = table.and_then(|table| table.rates(model, upstream, self.admitted_at));
        Charge {
            quantity,
            cost: rates.map(|rates| rates.cost(&quantity)),
        }
    }

    fn quantity(&self, returned: &Returned) -> Quantity {
        let usage = &returned.usage;
        // As a prompt of this length is estimated.
        let by_length = |bytes: u64| Estimate::of_body(bytes, 0, 0).prompt_tokens;
        let completion_tokens = usage.completion_tokens.unwrap_or_else(|| {
            let counts_events = usage.source == TokenSource::Events;
            match self.endpoint {
                Endpoint::Embeddings => 0,
                _ if counts_events || !returned.answered => 0,
                _ => by_length(returned.handed_over.count),
            }
        });
        Quantity {
            prompt_tokens: usage
                .prompt_tokens
                .unwrap_or_else(|| by_length(self.bytes_in)),
            cached_tokens: usage.details.cached_tokens.unwrap_or(0),
            completion_tokens,
            reasoning_tokens: usage.details.reasoning_tokens.unwrap_or(0),
            images: self.images,
        }
    }
}
