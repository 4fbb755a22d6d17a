//! Budgets and credits: what a request may cost is reserved before it is forwarded, and settled when it has ended.
//!
//! A [`Reservation`] takes the estimate of a request out of every budget and credit that applies to it, or out of none.
//! Settled, it becomes what the request really was charged; dropped, everything is returned. So what is spent and what is
//! reserved together never exceed a hard limit by more than the estimates of running requests were wrong.
//!
//! What was spent is stored by the caller: [`Reservation::settle`] returns it for the rows of the request, and a start
//! gives the sums back ([`Budgets::load`]). Reservations are in memory only.

mod account;
mod credit;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use attest_core::UnixTime;
use gateway_base::lock::lock;
use gateway_base::quota::{
    AccountKey, Amount, Money, NumberedBudget, NumberedGrant, Scope, Spending, Spent,
};
use gateway_base::request::Name;

use account::Account;
use credit::CreditAccount;

pub use account::AccountState;
pub use credit::GrantState;

/// What a request is expected to cost at most, or did cost. The money is absent where there is no price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expense {
    pub money: Option<Money>,
    pub tokens: u64,
}

impl Expense {
    fn spending(self) -> Spending {
        Spending {
            money: self.money.unwrap_or(Money::ZERO),
            tokens: self.tokens,
        }
    }
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub source: RefusedBy,
    pub reason: RefusalReason,
    /// It is the first refusal of the budget's window, or since the credit was last raised.
    pub first: bool,
}

/// What has no room for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusedBy {
    Budget(Name),
    Credit(Scope),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// There is room again from this time on, if ever.
    Exhausted { resets_at: Option<UnixTime> },
    /// It is counted in money, and the request has no price.
    NotPriced,
}

/// A budget has passed its soft threshold, for the first time in its window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThresholdPassed {
    pub budget: Name,
    pub soft_percent: u8,
    pub spent: Amount,
    pub limit: Amount,
    pub resets_at: Option<UnixTime>,
}

/// What the end of a request changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    pub spent: Vec<Spent>,
    pub passed: Vec<ThresholdPassed>,
}

/// What remains of a budget that is shown to callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    pub budget: Name,
    pub amount: Amount,
}

/// All budgets and credits of the service.
pub struct Budgets {
    // One lock for all of them, so that a request is taken out of every one or of none. Requests hold it to reserve and to
    // settle, administrators to read and to change; never across an await.
    state: Mutex<State>,
    /// Of `state`, which requests need not lock to know it. Written under its lock.
    is_empty: AtomicBool,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            is_empty: AtomicBool::new(true),
        }
    }
}

#[derive(Default)]
struct State {
    accounts: HashMap<i64, Account>,
    /// The numbers of the budgets of each scope.
    of_scope: HashMap<Scope, Vec<i64>>,
    credits: HashMap<Scope, CreditAccount>,
}

/// What a request has reserved. Dropped without being settled, it returns everything.
#[derive(Default)]
pub struct Reservation {
    /// `None` if nothing applies to the request.
    held: Option<Box<Held>>,
}

struct Held {
    budgets: Arc<Budgets>,
    amount: Expense,
    /// Numbers of budgets, and the beginnings of their windows.
    accounts: Vec<(i64, UnixTime)>,
    credits: Vec<Scope>,
    /// What remains of the budgets that callers are shown.
    remaining: Vec<Remaining>,
}

impl Budgets {
    /// The budgets and grants at the start of the service, and what was spent of them.
    pub fn load(budgets: Vec<NumberedBudget>, grants: Vec<NumberedGrant>, spent: &[Spent]) -> Self {
        let all = Self::default();
        all.apply(budgets, grants);
        let mut state = all.lock();
        for spent in spent {
            match spent.account {
                AccountKey::Budget(number) => {
                    if let Some(account) = state.accounts.get_mut(&number) {
                        account.restore(spent.window, spent.amount);
                    }
                }
                AccountKey::Credit(number) => {
                    for credit in state.credits.values_mut() {
                        credit.restore(number, spent.amount.money);
                    }
                }
            }
        }
        drop(state);
        all
    }

    /// Replaces the definitions. What was spent of a budget or grant, and what is reserved, stays.
    pub fn apply(&self, budgets: Vec<NumberedBudget>, grants: Vec<NumberedGrant>) {
        let mut state = self.lock();
        let mut old = std::mem::take(&mut state.accounts);
        state.of_scope.clear();
        for NumberedBudget { number, budget, .. } in budgets {
            let scope = budget.scope.clone();
            state.of_scope.entry(scope).or_default().push(number);
            let account = match old.remove(&number) {
                Some(account) => account.with_terms(budget),
                None => Account::new(budget),
            };
            state.accounts.insert(number, account);
        }
        let mut old = std::mem::take(&mut state.credits);
        for NumberedGrant { number, grant, .. } in grants {
            let account = state.credits.entry(grant.scope.clone());
            let account = account.or_insert_with_key(|scope| {
                old.remove(scope)
                    .map(CreditAccount::without_grants)
                    .unwrap_or_default()
            });
            account.add(number, &grant);
        }
        let is_empty = state.accounts.is_empty() && state.credits.is_empty();
        self.is_empty.store(is_empty, Ordering::Release);
    }

    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.is_empty.load(Ordering::Acquire)
    }

    /// Reserves the estimate of a request by these scopes, the narrowest first, for this model. Nothing is reserved if it is refused.
    pub fn reserve(
        self: &Arc<Self>,
        scopes: &[Scope],
        model: &Name,
        estimate: Expense,
        now: UnixTime,
    ) -> Result<Reservation, Refusal> {
        let mut state = self.lock();
        let numbers = state.applying(scopes, model);
        let credits: Vec<Scope> = scopes
            .iter()
            .rev()
            .filter(|scope| state.credits.contains_key(scope))
            .cloned()
            .collect();
        if numbers.is_empty() && credits.is_empty() {
            return Ok(Reservation::default());
        }
        // All are checked before the first is changed.
        for number in &numbers {
            if let Some(account) = state.accounts.get_mut(number) {
                account.check(estimate, now)?;
            }
        }
        for scope in &credits {
            if let Some(credit) = state.credits.get_mut(scope) {
                credit.check(scope, estimate, now)?;
            }
        }
        let mut reservation = Held {
            budgets: self.clone(),
            amount: estimate,
            accounts: Vec::with_capacity(numbers.len()),
            credits,
            remaining: Vec::new(),
        };
        for number in numbers {
            if let Some(account) = state.accounts.get_mut(&number) {
                let window = account.reserve(estimate.spending());
                reservation.accounts.push((number, window));
                reservation.remaining.extend(account.shown());
            }
        }
        for scope in &reservation.credits {
            if let Some(credit) = state.credits.get_mut(scope) {
                credit.reserve(estimate.spending().money);
            }
        }
        Ok(Reservation {
            held: Some(Box::new(reservation)),
        })
    }

    /// Every budget with its window and counters, by number.
    pub fn accounts(&self, now: UnixTime) -> HashMap<i64, AccountState> {
        let mut state = self.lock();
        let accounts = state.accounts.iter_mut();
        accounts
            .map(|(number, account)| (*number, account.state(now)))
            .collect()
    }

    /// What remains of every grant, by number.
    pub fn grants(&self) -> HashMap<i64, GrantState> {
        let state = self.lock();
        state
            .credits
            .values()
            .flat_map(CreditAccount::states)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// The numbers of the budgets that a request counts in.
    fn applying(&self, scopes: &[Scope], model: &Name) -> Vec<i64> {
        // The widest first: it is the one that is named if several have no room.
        let numbers = scopes
            .iter()
            .rev()
            .filter_map(|scope| self.of_scope.get(scope));
        let is_for_model = |number: &&i64| {
            let account = self.accounts.get(number);
            account.is_some_and(|account| account.is_for(model))
        };
        numbers.flatten().filter(is_for_model).copied().collect()
    }

    /// Returns what is held, if it was not returned with its window already.
    fn release(&mut self, held: &Held) {
        for (number, window) in &held.accounts {
            if let Some(account) = self.accounts.get_mut(number) {
                account.release(*window, held.amount.spending());
            }
        }
        for scope in &held.credits {
            if let Some(credit) = self.credits.get_mut(scope) {
                credit.release(held.amount.spending().money);
            }
        }
    }
}

impl Reservation {
    /// What remains of the budgets that are shown to callers, this reservation taken out.
    pub fn remaining(&self) -> &[Remaining] {
        self.held.as_ref().map_or(&[], |held| &held.remaining)
    }

    /// Replaces the estimate by what the request is charged. It counts in the windows in which it was reserved.
    pub fn settle(mut self, charge: Expense, now: UnixTime) -> Settled {
        let mut settled = Settled::default();
        let Some(held) = self.held.take() else {
            return settled;
        };
        let amount = charge.spending();
        let mut state = held.budgets.lock();
        state.release(&held);
        for (number, window) in &held.accounts {
            if let Some(account) = state.accounts.get_mut(number) {
                settled.passed.extend(account.spend(*window, amount));
            }
            settled.spent.push(Spent {
                account: AccountKey::Budget(*number),
                window: *window,
                amount,
            });
        }
        for scope in &held.credits {
            if let Some(credit) = state.credits.get_mut(scope) {
                settled.spent.extend(credit.spend(amount.money, now));
            }
        }
        settled
            .spent
            .retain(|spent| spent.amount != Spending::default());
        settled
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            held.budgets.lock().release(&held);
        }
    }
}
