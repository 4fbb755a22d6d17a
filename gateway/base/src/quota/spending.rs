//! What was spent of budgets and credits, as it is counted and stored.

use attest_core::UnixTime;

use super::{Budget, Grant, Money};

/// Money and tokens, counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    pub money: Money,
    pub tokens: u64,
}

impl Spending {
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            money: self.money.plus(other.money),
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }

    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            money: self.money.minus(other.money),
            tokens: self.tokens.saturating_sub(other.tokens),
        }
    }
}

/// Identifies a budget or a credit in the database, by its number: no later one gets the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccountKey {
    Budget(i64),
    Credit(i64),
}

/// What requests have spent of one budget or credit, to be added to what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    pub account: AccountKey,
    /// The beginning of the budget's window; zero for a credit.
    pub window: UnixTime,
    pub amount: Spending,
}

/// A budget and its number in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedBudget {
    pub number: i64,
    pub budget: Budget,
    pub created_at: UnixTime,
}

/// A grant and its number in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedGrant {
    pub number: i64,
    pub grant: Grant,
    pub granted_at: UnixTime,
}
