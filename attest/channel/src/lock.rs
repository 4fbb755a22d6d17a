//! The one way in which this crate takes a lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, and enters a poisoned lock too: each section under a lock here is a few operations on a map or a vector, so a
/// task that panicked in one has left no half-changed value. Refusing it would close the channel to every later request.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
