//! A limit on the memory of request bodies, reserved before the bodies are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count of reserved bytes. Clones share it.
// One atomic instead of a lock: a reservation is a single compare-and-swap, and gives its bytes back when dropped.
#[derive(Clone, Default)]
pub struct BodyBudget(Arc<AtomicU64>);

/// Bytes reserved from a budget, released when dropped.
pub struct BodyReservation {
    budget: BodyBudget,
    max: u64,
    bytes: u64,
}

impl BodyBudget {
    /// An empty reservation, which may grow while at most `max` bytes are reserved in total.
    pub fn reservation(&self, max: u64) -> BodyReservation {
        BodyReservation {
            budget: self.clone(),
            max,
            bytes: 0,
        }
    }

    /// How many bytes are reserved.
    pub fn reserved(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

impl BodyReservation {
    /// Grows the reservation to `bytes`. Returns false and changes nothing if that exceeds the limit.
    #[must_use]
    pub fn grow_to(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let max = self.max;
        let grown = self
            .budget
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |reserved| {
                reserved.checked_add(more).filter(|sum| *sum <= max)
            });
        if grown.is_ok() {
            // Only after the shared count has grown: what is subtracted on drop is never more than was added.
            self.bytes += more;
        }
        grown.is_ok()
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_more_than_the_limit_and_releases_on_drop() {
        let budget = BodyBudget::default();
        let mut first = budget.reservation(100);
        let mut second = budget.reservation(100);
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
        let mut held = budget.reservation(u64::MAX);
        assert!(held.grow_to(10) && held.grow_to(5));
        assert_eq!(budget.reserved(), 10);
        let mut other = budget.reservation(u64::MAX);
        assert!(!other.grow_to(u64::MAX));
        assert_eq!(budget.reserved(), 10);
    }
}
