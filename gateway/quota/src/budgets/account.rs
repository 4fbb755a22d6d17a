//! One budget: its window, what was spent in it, and what running requests have reserved.

use attest_core::UnixTime;
use gateway_base::quota::{Amount, Budget, Money, Spending, Window};
use gateway_base::request::Name;

use super::{Expense, Refusal, RefusalReason, RefusedBy, Remaining, ThresholdPassed};

/// A budget's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountState {
    pub window: Window,
    pub spent: Spending,
    pub reserved: Spending,
    /// Requests that were refused in this window.
    pub refused: u64,
}

pub(super) struct Account {
    budget: Budget,
    counted: AccountState,
    /// The soft threshold was passed in this window.
    passed: bool,
}

impl Account {
    /// Its first window begins with its first use.
    pub fn new(budget: Budget) -> Self {
        let beginning = UnixTime::from_secs(0);
        let over = Window {
            start: beginning,
            end: Some(beginning),
        };
        Self {
            budget,
            counted: AccountState::begin(over),
            passed: false,
        }
    }

    /// The same account with other terms.
    pub fn with_terms(mut self, budget: Budget) -> Self {
        self.budget = budget;
        // If the limit was raised, the threshold can be passed again.
        self.passed &= self.is_past_threshold();
        self
    }

    /// What an earlier process stored of one window. The latest of them goes on, also if the clock was set back to an
    /// earlier one.
    pub fn restore(&mut self, window: UnixTime, spent: Spending) {
        if window >= self.counted.window.start {
            let stored = self.budget.period.window(window, self.budget.offset);
            self.counted = AccountState::begin(stored);
            self.counted.spent = spent;
            self.passed = self.is_past_threshold();
        }
    }

    pub fn is_for(&self, model: &Name) -> bool {
        self.budget.model.as_ref().is_none_or(|own| own == model)
    }

    /// Whether there is room for a request.
    pub fn check(&mut self, estimate: Expense, now: UnixTime) -> Result<(), Refusal> {
        self.advance(now);
        if !self.budget.terms.hard {
            return Ok(());
        }
        let taken = self.counted.spent.plus(self.counted.reserved);
        let reason = match (self.budget.terms.limit, estimate.money) {
            (Amount::Money(_), None) => RefusalReason::NotPriced,
            (Amount::Money(limit), Some(money)) if taken.money.plus(money) <= limit => {
                return Ok(());
            }
            (Amount::Tokens(limit), _) if taken.tokens.saturating_add(estimate.tokens) <= limit => {
                return Ok(());
            }
            _ => RefusalReason::Exhausted {
                resets_at: self.counted.window.end,
            },
        };
        self.counted.refused += 1;
        Err(Refusal {
            source: RefusedBy::Budget(self.budget.id.clone()),
            reason,
            first: self.counted.refused == 1,
        })
    }

    /// Reserves an amount. Returns the beginning of the window that it counts in.
    pub fn reserve(&mut self, amount: Spending) -> UnixTime {
        self.counted.reserved = self.counted.reserved.plus(amount);
        self.counted.window.start
    }

    /// Returns what was reserved in this window. Reservations of an earlier one ended with it.
    pub fn release(&mut self, window: UnixTime, amount: Spending) {
        if window == self.counted.window.start {
            self.counted.reserved = self.counted.reserved.minus(amount);
        }
    }

    /// Counts what a request of this window was charged. Returns whether that passes the soft threshold.
    pub fn spend(&mut self, window: UnixTime, amount: Spending) -> Option<ThresholdPassed> {
        if window != self.counted.window.start {
            return None;
        }
        self.counted.spent = self.counted.spent.plus(amount);
        if self.passed || !self.is_past_threshold() {
            return None;
        }
        self.passed = true;
        Some(ThresholdPassed {
            budget: self.budget.id.clone(),
            soft_percent: self.budget.terms.soft_percent,
            spent: self.in_unit(self.counted.spent),
            limit: self.budget.terms.limit,
            resets_at: self.counted.window.end,
        })
    }

    /// What remains, if callers are shown it.
    pub fn shown(&self) -> Option<Remaining> {
        self.budget.terms.visible.then(|| Remaining {
            budget: self.budget.id.clone(),
            amount: self.counted.remaining(self.budget.terms.limit),
        })
    }

    pub fn state(&mut self, now: UnixTime) -> AccountState {
        self.advance(now);
        self.counted
    }

    /// Begins the window of this time. A window never goes back, whatever the clock does.
    fn advance(&mut self, now: UnixTime) {
        if self.counted.window.end.is_some_and(|end| now >= end) {
            let window = self.budget.period.window(now, self.budget.offset);
            self.counted = AccountState::begin(window);
            self.passed = false;
        }
    }

    fn is_past_threshold(&self) -> bool {
        let percent = i128::from(self.budget.terms.soft_percent);
        let (spent, limit) = match self.budget.terms.limit {
            Amount::Money(limit) => (
                self.counted.spent.money.nanos().into(),
                limit.nanos().into(),
            ),
            Amount::Tokens(limit) => (i128::from(self.counted.spent.tokens), i128::from(limit)),
        };
        spent * 100 >= limit * percent
    }

    fn in_unit(&self, spending: Spending) -> Amount {
        match self.budget.terms.limit {
            Amount::Money(_) => Amount::Money(spending.money),
            Amount::Tokens(_) => Amount::Tokens(spending.tokens),
        }
    }
}

impl AccountState {
    fn begin(window: Window) -> Self {
        Self {
            window,
            spent: Spending::default(),
            reserved: Spending::default(),
            refused: 0,
        }
    }

    /// What is neither spent nor reserved of a limit.
    pub fn remaining(&self, limit: Amount) -> Amount {
        let taken = self.spent.plus(self.reserved);
        match limit {
            Amount::Money(limit) => Amount::Money(limit.minus(taken.money).max(Money::ZERO)),
            Amount::Tokens(limit) => Amount::Tokens(limit.saturating_sub(taken.tokens)),
        }
    }
}
