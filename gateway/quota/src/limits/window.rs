//! A sliding window of time, in parts.

use std::time::Duration;

/// A window has this many parts: an amount leaves it when its part does, up to a thirtieth of the window late and never
/// early.
const PARTS: usize = 30;

/// Amounts of the last minute, hour or day.
#[derive(Clone, Debug)]
pub(super) struct SlidingWindow {
    limit: u64,
    part: Duration,
    /// Of each part, at its number modulo their count. One more than fit into the window: the newest is not over yet.
    amounts: [u64; PARTS + 1],
    /// The number of the newest part since time zero.
    newest: u64,
    /// The sum of all parts.
    sum: u64,
}

/// The part that an amount was added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part(u64);

impl SlidingWindow {
    pub fn new(limit: u64, length: Duration, now: Duration) -> Self {
        let part = length / PARTS as u32;
        Self {
            limit,
            part,
            amounts: [0; PARTS + 1],
            newest: number(part, now),
            sum: 0,
        }
    }

    pub fn limit(&self) -> u64 {
        self.limit
    }

    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// What counts now.
    pub fn sum(&mut self, now: Duration) -> u64 {
        self.advance(now);
        self.sum
    }

    pub fn remaining(&mut self, now: Duration) -> u64 {
        self.limit.saturating_sub(self.sum(now))
    }

    /// Adds an amount if the limit allows it; otherwise returns how long it will take until it does. An amount above the
    /// limit is never allowed.
    pub fn take(&mut self, amount: u64, now: Duration) -> Result<Part, Duration> {
        self.advance(now);
        let fits = self
            .sum
            .checked_add(amount)
            .is_some_and(|sum| sum <= self.limit);
        if !fits {
            return Err(self.until(amount, now));
        }
        Ok(self.add(amount))
    }

    /// Adds an amount that was used already, whatever the limit is.
    pub fn charge(&mut self, amount: u64, now: Duration) {
        self.advance(now);
        self.add(amount);
    }

    /// Takes back what was added to a part, unless that has left the window.
    pub fn give_back(&mut self, amount: u64, part: Part, now: Duration) {
        self.advance(now);
        if self.newest - part.0.min(self.newest) > PARTS as u64 {
            return;
        }
        let place = &mut self.amounts[index(part.0)];
        let amount = amount.min(*place);
        *place -= amount;
        self.sum -= amount;
    }

    /// How long it takes until this amount fits: when enough of the oldest parts have left.
    pub fn until(&mut self, amount: u64, now: Duration) -> Duration {
        self.advance(now);
        let mut sum = self.sum;
        let oldest = self.newest.saturating_sub(PARTS as u64);
        for number in oldest..=self.newest {
            if sum.saturating_add(amount) <= self.limit {
                return self.leaves(number.saturating_sub(1), now);
            }
            sum -= self.amounts[index(number)];
        }
        self.leaves(self.newest, now)
    }

    /// How long it takes until this part leaves the window.
    fn leaves(&self, number: u64, now: Duration) -> Duration {
        let parts = u32::try_from(number + 1 + PARTS as u64).unwrap_or(u32::MAX);
        (self.part * parts).saturating_sub(now)
    }

    fn add(&mut self, amount: u64) -> Part {
        let place = &mut self.amounts[index(self.newest)];
        *place = place.saturating_add(amount);
        self.sum = self.sum.saturating_add(amount);
        Part(self.newest)
    }

    /// Removes the parts that have left the window. Time that goes back changes nothing.
    fn advance(&mut self, now: Duration) {
        let newest = number(self.part, now);
        let passed = newest.saturating_sub(self.newest);
        for step in 1..=passed.min(self.amounts.len() as u64) {
            let place = &mut self.amounts[index(self.newest + step)];
            self.sum -= *place;
            *place = 0;
        }
        self.newest = self.newest.max(newest);
    }
}

fn number(part: Duration, now: Duration) -> u64 {
    u64::try_from(now.as_nanos() / part.as_nanos().max(1)).unwrap_or(u64::MAX)
}

fn index(number: u64) -> usize {
    (number % (PARTS as u64 + 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn an_amount_counts_for_at_least_the_length_of_the_window() {
        let mut window = SlidingWindow::new(10, MINUTE, secs(0));
        assert!(window.take(10, secs(1)).is_ok());
        assert_eq!(window.remaining(secs(60)), 0);
        assert_eq!(window.remaining(secs(61)), 0);
        assert_eq!(window.remaining(secs(62)), 10);
    }

    #[test]
    fn a_refusal_says_when_the_amount_fits() {
        let mut window = SlidingWindow::new(10, MINUTE, secs(0));
        assert!(window.take(6, secs(0)).is_ok());
        assert!(window.take(4, secs(30)).is_ok());
        assert_eq!(window.take(1, secs(40)), Err(secs(22)));
        assert_eq!(window.take(7, secs(40)), Err(secs(52)));
        assert!(window.take(6, secs(62)).is_ok());
    }

    #[test]
    fn given_back_amounts_can_be_taken_again() {
        let mut window = SlidingWindow::new(10, MINUTE, secs(0));
        let part = window.take(10, secs(5)).expect("room");
        window.give_back(7, part, secs(50));
        assert_eq!(window.remaining(secs(50)), 7);
        // It has left the window: there is nothing to give back.
        window.give_back(3, part, secs(500));
        assert_eq!(window.remaining(secs(500)), 10);
    }

    #[test]
    fn what_was_used_beyond_the_limit_is_paid_for_later() {
        let mut window = SlidingWindow::new(10, MINUTE, secs(0));
        window.charge(25, secs(0));
        assert_eq!((window.sum(secs(0)), window.remaining(secs(0))), (25, 0));
        assert!(window.take(1, secs(59)).is_err());
        assert!(window.take(10, secs(62)).is_ok());
    }

    proptest! {
        #[test]
        fn no_period_has_more_than_the_limit(
            limit in 1u64..50,
            steps in proptest::collection::vec((0u64..9000, 1u64..20, any::<bool>()), 1..200),
        ) {
            let mut window = SlidingWindow::new(limit, MINUTE, secs(0));
            let mut now = Duration::ZERO;
            let mut admitted: Vec<(Duration, u64)> = Vec::new();
            for (millis, amount, gives_back) in steps {
                now += Duration::from_millis(millis);
                match window.take(amount, now) {
                    Ok(part) if gives_back => window.give_back(amount, part, now),
                    Ok(_) => admitted.push((now, amount)),
                    Err(wait) if amount <= limit => {
                        prop_assert!(window.clone().take(amount, now + wait).is_ok(), "{wait:?}");
                    }
                    Err(_) => {}
                }
                let recent = admitted.iter().filter(|(at, _)| now - *at < MINUTE);
                let sum: u64 = recent.map(|(_, amount)| amount).sum();
                prop_assert!(sum <= limit, "{sum} of {limit}");
            }
        }
    }
}
