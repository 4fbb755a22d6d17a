//! Takes the estimate of a request out of the budgets and credits of its caller.

use std::sync::Arc;

use super::{Caller, Fields};
use attest_core::UnixTime;
use gateway_base::config::Prices;
use gateway_base::errors::ApiError;
use gateway_base::events::{self, Event};
use gateway_base::quota::{Money, Quantity, Scope};
use gateway_base::request::{Endpoint, KeyId};
use gateway_quota::{
    Budgets, Estimate, Expense, OutputLimit, Refusal, RefusalReason, RefusedBy, Reservation,
};
use gateway_upstream::route::Route;

/// Everything that decides what a request may cost.
pub(super) struct BudgetRequest<'a> {
    pub caller: &'a Caller,
    pub endpoint: Endpoint,
    pub fields: &'a Fields,
    pub body_bytes: u64,
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
        if budgets.is_empty() {
            return Ok(Reservation::default());
        }
        let estimate = self.estimate();
        let expense = Expense {
            money: self.price(estimate),
            tokens: estimate.total(),
        };
        let scopes = scopes(self.caller);
        let reserved = budgets.reserve(&scopes, &self.route.model, expense, self.now);
        reserved.map_err(refuse)
    }

    fn estimate(&self) -> Estimate {
        let output = match (self.endpoint, self.fields.output_limit) {
            (Endpoint::Embeddings, _) => 0,
            (_, OutputLimit::Tokens(tokens)) => tokens,
            (_, OutputLimit::None | OutputLimit::Unreadable) => gateway_quota::DEFAULT_OUTPUT,
        };
        Estimate::of_body(self.body_bytes, output, self.fields.answers)
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

/// Whose budgets a caller's requests count in.
fn scopes(caller: &Caller) -> Vec<Scope> {
    let mut scopes = Vec::with_capacity(5);
    scopes.push(Scope::Total);
    let organisation = caller.organisation.clone();
    scopes.extend(organisation.map(Scope::Organisation));
    let tenant = caller.tenant.clone();
    scopes.push(Scope::Tenant(tenant.clone()));
    let user = caller.user.clone();
    scopes.extend(user.map(|user| Scope::User { tenant, user }));
    scopes.extend(KeyId::parse(&caller.key_id).map(Scope::Key));
    scopes
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
