//! The credit of a tenant or an organisation: grants that were paid in advance.
//!
//! A request is charged to the grants that expire first. What it costs beyond all of them is owed: it is taken from the
//! last one, whose rest becomes negative, and out of later grants.

use attest_core::UnixTime;
use gateway_base::quota::{AccountKey, Grant, Money, Scope, Spending, Spent};

use super::{Expense, Refusal, RefusalReason, RefusedBy};

/// What is left of a grant. Negative if more was charged than there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantState {
    pub remaining: Money,
}

#[derive(Default)]
pub(super) struct CreditAccount {
    /// Those that expire first come first.
    grants: Vec<Purse>,
    reserved: Money,
    /// What was charged, by number, of grants that are about to be added again.
    charged: Vec<(i64, Money)>,
    /// A request was refused since the last grant.
    refused: bool,
}

struct Purse {
    number: i64,
    expires_at: Option<UnixTime>,
    amount: Money,
    charged: Money,
}

impl Purse {
    fn remaining(&self) -> Money {
        self.amount.minus(self.charged)
    }

    fn has_expired(&self, now: UnixTime) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl CreditAccount {
    /// The same account, of which every grant will be added again.
    pub fn without_grants(self) -> Self {
        let charged = self.grants.iter();
        let charged = charged.map(|purse| (purse.number, purse.charged));
        Self {
            charged: charged.collect(),
            grants: Vec::with_capacity(self.grants.len() + 1),
            reserved: self.reserved,
            refused: self.refused,
        }
    }

    pub fn add(&mut self, number: i64, grant: &Grant) {
        let known = self.charged.iter().find(|(known, _)| *known == number);
        // A new one.
        self.refused &= known.is_some();
        self.grants.push(Purse {
            number,
            expires_at: grant.expires_at,
            amount: grant.amount,
            charged: known.map_or(Money::ZERO, |(_, charged)| *charged),
        });
        self.grants.sort_by_key(|purse| {
            let expires_at = purse.expires_at.map_or(u64::MAX, UnixTime::secs);
            (expires_at, purse.number)
        });
    }

    /// What an earlier process stored of one of its grants.
    pub fn restore(&mut self, number: i64, charged: Money) {
        let mut grants = self.grants.iter_mut();
        if let Some(purse) = grants.find(|purse| purse.number == number) {
            purse.charged = charged;
        }
    }

    /// What is neither charged, nor reserved, nor expired. What is owed stays so.
    fn balance(&self, now: UnixTime) -> Money {
        let counts = self
            .grants
            .iter()
            .map(|purse| match purse.has_expired(now) {
                true => purse.remaining().min(Money::ZERO),
                false => purse.remaining(),
            });
        counts.fold(Money::ZERO, Money::plus).minus(self.reserved)
    }

    /// Whether there is enough for a request.
    pub fn check(
        &mut self,
        scope: &Scope,
        estimate: Expense,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let reason = match estimate.money {
            None => RefusalReason::NotPriced,
            Some(money) if money <= self.balance(now) => return Ok(()),
            Some(_) => RefusalReason::Exhausted { resets_at: None },
        };
        Err(Refusal {
            source: RefusedBy::Credit(scope.clone()),
            reason,
            first: !std::mem::replace(&mut self.refused, true),
        })
    }

    pub fn reserve(&mut self, amount: Money) {
        self.reserved = self.reserved.plus(amount);
    }

    pub fn release(&mut self, amount: Money) {
        self.reserved = self.reserved.minus(amount).max(Money::ZERO);
    }

    /// Charges a request to the grants.
    pub fn spend(&mut self, amount: Money, now: UnixTime) -> Vec<Spent> {
        let mut left = amount;
        let mut spent = Vec::new();
        for purse in self
            .grants
            .iter_mut()
            .filter(|purse| !purse.has_expired(now))
        {
            let part = left.min(purse.remaining()).max(Money::ZERO);
            left = left.minus(part);
            charge(purse, part, &mut spent);
        }
        if let Some(last) = self.grants.last_mut() {
            charge(last, left, &mut spent);
        }
        spent
    }

    pub fn states(&self) -> impl Iterator<Item = (i64, GrantState)> {
        self.grants.iter().map(|purse| {
            let remaining = purse.remaining();
            (purse.number, GrantState { remaining })
        })
    }
}

fn charge(purse: &mut Purse, amount: Money, spent: &mut Vec<Spent>) {
    if amount == Money::ZERO {
        return;
    }
    purse.charged = purse.charged.plus(amount);
    spent.push(Spent {
        account: AccountKey::Credit(purse.number),
        window: UnixTime::from_secs(0),
        amount: Spending {
            money: amount,
            tokens: 0,
        },
    });
}
