//! Memory for request bodies, reserved before it is filled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many bytes are reserved; clones are of the same count.
#[derive(Clone, Default)]
pub struct BodyBudget(Arc<AtomicU64>);

/// Bytes reserved of a budget, given back when dropped.
pub struct Reserved {
    budget: BodyBudget,
    most: u64,
    bytes: u64,
}

impl BodyBudget {
    /// An empty reservation, which may grow while no more than `most` bytes are reserved in all.
    pub fn open(&self, most: u64) -> Reserved {
        Reserved {
            budget: self.clone(),
            most,
            bytes: 0,
        }
    }

    /// How much of it is reserved.
    pub fn reserved(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

impl Reserved {
    /// Reserves `bytes` in all. Where there is no room for them nothing changes.
    #[must_use]
    pub fn grow_to(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let most = self.most;
        let grown = self
            .budget
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |reserved| {
                reserved.checked_add(more).filter(|sum| *sum <= most)
            });
        if grown.is_ok() {
            self.bytes += more;
        }
        grown.is_ok()
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_reserved_than_there_is_and_what_is_dropped_is_free_again() {
        let budget = BodyBudget::default();
        let mut first = budget.open(100);
        let mut second = budget.open(100);
        assert!(first.grow_to(60) && second.grow_to(40));
        assert!(!second.grow_to(41));
        assert_eq!(budget.reserved(), 100);
        drop(first);
        assert_eq!(budget.reserved(), 40);
        assert!(second.grow_to(100));
        drop(second);
        assert_eq!(budget.reserved(), 0);
    }

    #[test]
    fn a_reservation_does_not_shrink_and_does_not_overflow() {
        let budget = BodyBudget::default();
        let mut held = budget.open(u64::MAX);
        assert!(held.grow_to(10) && held.grow_to(5));
        assert_eq!(budget.reserved(), 10);
        let mut other = budget.open(u64::MAX);
        assert!(!other.grow_to(u64::MAX));
        assert_eq!(budget.reserved(), 10);
    }
}
