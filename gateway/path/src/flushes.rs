//! Counts how often a connection has written everything that it was handed, to know when bytes were written.
//!
//! A response body hands its bytes to the connection, which collects them before it writes. When the connection has
//! written and flushed what it has collected, every byte that was handed over before has been passed to the operating
//! system. It counts that here; a response that is to be aborted, or whose receipt hashes what was written, waits for the
//! next one. The connection polls the body again after each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of completed flushes of a connection. Clones belong to the same connection.
///
/// Counted by the connection, read by its responses, which it polls itself. Acquire and release: a reader that sees a
/// flush also sees everything that was done before it.
#[derive(Clone, Debug, Default)]
pub struct Flushes(Option<Arc<AtomicU64>>);

impl Flushes {
    /// For a connection that counts.
    pub fn counted() -> Self {
        Self(Some(Arc::default()))
    }

    /// How many flushes have completed; 0 without a counter.
    pub fn completed(&self) -> u64 {
        let count = self.0.as_ref();
        count.map_or(0, |count| count.load(Ordering::Acquire))
    }

    /// Whether more than `before` flushes have completed; always without a counter.
    pub fn are_after(&self, before: u64) -> bool {
        !self.are_counted() || self.completed() > before
    }

    /// Whether there is a counter.
    pub fn are_counted(&self) -> bool {
        self.0.is_some()
    }

    /// Everything that was handed over so far has been written.
    pub(crate) fn complete(&self) {
        if let Some(count) = &self.0 {
            count.fetch_add(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_next_completed_flush() {
        let flushes = Flushes::counted();
        let before = flushes.completed();
        assert!(!flushes.are_after(before));
        flushes.complete();
        assert!(flushes.are_after(before));
        assert!(!flushes.are_after(flushes.completed()));
    }

    #[test]
    fn without_a_counter_no_response_waits_for_a_flush() {
        assert!(Flushes::default().are_after(7));
    }
}
