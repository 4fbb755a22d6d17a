//! A cache of what signatures were found to cover, for use by later verifications.
//!
//! An entry is found by everything its signatures were checked over, root included: other bytes, or the
//! same under another root, are another entry. The bytes themselves are compared, which takes a
//! fraction of the time of hashing them. Only the step that checks the signatures inserts, and what was
//! refused is not inserted.

use std::collections::VecDeque;
use std::sync::Arc;

/// Entries of each kind; the oldest is dropped first. Sixteen GPUs with their switches and
/// manifests, twice over.
const CAPACITY: usize = 64;

/// The exact bytes that signatures were checked over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CacheKey(Vec<u8>);

impl CacheKey {
    /// Each part with its length before it, so that no two lists of parts are written alike.
    pub(crate) fn from_parts(parts: &[&[u8]]) -> Self {
        let len = parts.iter().map(|part| part.len() + 8).sum();
        let mut bytes = Vec::with_capacity(len);
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Self(bytes)
    }
}

/// A bounded cache of authentic values of one kind; the oldest entry is dropped first.
#[derive(Debug)]
pub(crate) struct Cache<T>(VecDeque<(CacheKey, Arc<T>)>);

impl<T> Cache<T> {
    pub(crate) fn get(&self, inputs: &CacheKey) -> Option<&Arc<T>> {
        let found = self.0.iter().find(|(cached, _)| cached == inputs);
        found.map(|(_, value)| value)
    }

    pub(crate) fn put(&mut self, inputs: CacheKey, authentic: Arc<T>) {
        if self.get(&inputs).is_some() {
            return;
        }
        if self.0.len() >= CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back((inputs, authentic));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (inputs, authentic) in other.0 {
            self.put(inputs, authentic);
        }
    }
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishes_where_a_part_ends() {
        assert_ne!(
            CacheKey::from_parts(&[b"ab", b"c"]),
            CacheKey::from_parts(&[b"a", b"bc"])
        );
        assert_ne!(
            CacheKey::from_parts(&[b"a"]),
            CacheKey::from_parts(&[b"a", b""])
        );
        assert_eq!(
            CacheKey::from_parts(&[b"a", b"b"]),
            CacheKey::from_parts(&[b"a", b"b"])
        );
    }

    #[test]
    fn drops_the_oldest_entry_when_full() {
        let mut cache = Cache::default();
        let key = |number: usize| CacheKey::from_parts(&[&number.to_be_bytes()]);
        for number in 0..CAPACITY + 1 {
            cache.put(key(number), Arc::new(number));
            cache.put(key(number), Arc::new(usize::MAX));
        }
        assert_eq!(cache.0.len(), CAPACITY);
        assert!(cache.get(&key(0)).is_none());
        assert_eq!(cache.get(&key(CAPACITY)).map(|it| **it), Some(CAPACITY));
    }
}
