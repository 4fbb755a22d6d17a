//! Takes the estimate of a request out of the budgets and credits of its caller.

use std::sync::Arc;

use attest_core::UnixTime;
use gateway_base::config::Prices;
use gateway_base::errors::ApiError;
use gateway_base::events::{self, Event};
use gateway_base::quota::{Money, Quantity, Scope};
use gateway_quota::{Budgets, Estimate, Expense, Refusal, RefusalReason, RefusedBy, Reservation};
use gateway_upstream::route::Route;

/// Everything that decides what a request may cost.
pub(super) struct BudgetRequest<'a> {
    pub scopes: &'a [Scope],
    pub estimate: Estimate,
    pub images: u64,
    pub route: &'a Route,
    pub prices: &'a Prices,
    /// When it was admitted, which decides the price.
    pub admitted_at: UnixTime,
    /// The time by which windows begin and end.
    pub now: UnixTime,
}

impl BudgetRequest<'_> {
    /// Reserves the estimate in every budget and credit that applies.
    pub fn reserve(&self, budgets: &Arc<Budgets>) -> Result<Reservation, ApiError> {
        let expense = Expense {
            money: self.price(self.estimate),
            tokens: self.estimate.total(),
        };
        let reserved = budgets.reserve(self.scopes, &self.route.model, expense, self.now);
        reserved.map_err(refuse)
    }

    /// At the dearest upstream of the model. `None` if it has no price at one of them.
    fn price(&self, estimate: Estimate) -> Option<Money> {
        let table = self.prices.table.as_ref()?;
        let quantity = Quantity {
            prompt_tokens: estimate.prompt_tokens,
            completion_tokens: estimate.output_tokens,
            images: self.images,
            ..Quantity::default()
        };
        let mut most = Money::ZERO;
        for (candidate, _) in self.route.candidates() {
            let rates = table.rates(&self.route.model, candidate.name(), self.admitted_at)?;
            most = most.max(rates.most(&quantity));
        }
        Some(most)
    }
}

fn refuse(refusal: Refusal) -> ApiError {
    let Refusal {
        source,
        reason,
        first,
    } = refusal;
    match (source, reason) {
        (_, RefusalReason::NotPriced) => ApiError::NotPriced,
        (RefusedBy::Budget(budget), RefusalReason::Exhausted { resets_at }) => {
            if first {
                let budget = budget.clone();
                events::emit(Event::BudgetExhausted { budget, resets_at });
            }
            ApiError::OverBudget { budget, resets_at }
        }
        (RefusedBy::Credit(scope), RefusalReason::Exhausted { .. }) => {
            if first {
                events::emit(Event::CreditExhausted { scope });
            }
            ApiError::NoCredit
        }
    }
}
