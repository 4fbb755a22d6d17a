//! The one way in which the gateway takes a lock of the standard library.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks, and enters a poisoned lock too.
///
/// A lock is poisoned when a task panicked while it held it. No section under the gateway's locks leaves its value half
/// changed: each is a few assignments or operations on maps, with nothing between them that panics. So the value is still
/// valid, and refusing it would turn one failed request into a failure of every later one.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Like [`lock`], shared with other readers.
pub fn read<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Like [`lock`], alone.
pub fn write<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn enters_a_lock_whose_holder_panicked() {
        let mutex = Arc::new(Mutex::new(1));
        let held = mutex.clone();
        let holder = std::thread::spawn(move || {
            let _held = lock(&held);
            panic!("while it holds the lock");
        });
        assert!(holder.join().is_err());
        assert!(mutex.is_poisoned());
        *lock(&mutex) += 1;
        assert_eq!(*lock(&mutex), 2);
    }
}
