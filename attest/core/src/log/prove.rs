//! Which hashes make a proof (RFC 6962 §2.1.1, §2.1.2).
//!
//! A proof is a list of hashes, each over a range of leaves. These functions name the ranges; the caller that
//! stores hashes looks each one up as the subtrees it falls into ([`subtrees`](super::tree::subtrees))
//! and folds them.

use std::ops::Range;

/// The largest power of two below `length`, which is 2 or more.
fn split(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}

/// The ranges that prove leaf `index` to be in the tree of `size` leaves, from the leaf's sibling up.
/// Nothing if there is no such leaf.
pub fn inclusion(index: u64, size: u64) -> Option<Vec<Range<u64>>> {
    if index >= size {
        return None;
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(start..middle);
            start = middle;
        }
    }
    path.reverse();
    Some(path)
}

/// The ranges that prove the tree of `old` leaves to be the beginning of the tree of `new` leaves.
/// Nothing if the old tree is the larger one.
pub fn consistency(old: u64, new: u64) -> Option<Vec<Range<u64>>> {
    if old > new {
        return None;
    }
    let mut path = Vec::new();
    if old == 0 {
        return Some(path);
    }
    let (mut start, mut end) = (0, new);
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(start..middle);
            start = middle;
        }
    }
    // The verifier holds the old root; it needs this subtree only where it is not all of the old tree.
    if start > 0 {
        path.push(start..end);
    }
    path.reverse();
    Some(path)
}
