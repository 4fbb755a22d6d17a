//! Whether a proof holds (the algorithms of RFC 9162 §2.1.3.2 and §2.1.4.2).

use super::tree::{self, TreeHash};

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A leaf that the tree cannot have.
    #[error("leaf {index} is beyond the tree of {size}")]
    Beyond {
        /// Its index.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// A tree cannot be the beginning of a smaller one.
    #[error("the head shrank from {old} to {new} entries")]
    Shrunk {
        /// Size of the earlier head.
        old: u64,
        /// Size of the later one.
        new: u64,
    },
    /// More or fewer hashes than a proof for these sizes has.
    #[error("the proof has {found} hashes, which is not the number for these sizes")]
    Length {
        /// How many there are.
        found: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to another root than the head's")]
    Root,
    /// The hashes do not lead to the root of the earlier head.
    #[error("the proof leads to another root than the earlier head's")]
    OldRoot,
    /// Two heads of one size with different roots: history was rewritten.
    #[error("two heads of {size} entries have different roots")]
    Fork {
        /// Their size.
        size: u64,
    },
}

/// That a leaf with this hash is at `index` of the tree with this size and root.
///
/// ```
/// use attest_core::log::{tree, verify};
/// let (a, b) = (tree::leaf(b"a"), tree::leaf(b"b"));
/// let root = tree::root(&[a, b]);
/// assert_eq!(verify::inclusion(&a, 0, 2, &[b], &root), Ok(()));
/// assert_eq!(verify::inclusion(&b, 0, 2, &[b], &root), Err(verify::ProofError::Root));
/// ```
pub fn inclusion(
    leaf: &TreeHash,
    index: u64,
    size: u64,
    proof: &[TreeHash],
    root: &TreeHash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Beyond { index, size });
    }
    let length = ProofError::Length { found: proof.len() };
    // `place` and `last` are the leaf's and the last leaf's position on the level that `hash` is on. The proof has to be
    // used up exactly when the level has one node: a longer or shorter proof is of another tree.
    let (mut place, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(length);
        }
        if place & 1 == 1 || place == last {
            hash = tree::node(sibling, &hash);
            // On the right edge of an incomplete tree a node without a sibling moves up as it is.
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = tree::node(&hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(length);
    }
    if hash != *root {
        return Err(ProofError::Root);
    }
    Ok(())
}

/// That the tree `old` (size and root) is the beginning of the tree `new`.
///
/// An empty old tree is the beginning of every tree and needs no proof; of two trees of one size the
/// roots must be equal.
pub fn consistency(
    old: (u64, &TreeHash),
    new: (u64, &TreeHash),
    proof: &[TreeHash],
) -> Result<(), ProofError> {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    let length = ProofError::Length { found: proof.len() };
    if old_size > new_size {
        return Err(ProofError::Shrunk {
            old: old_size,
            new: new_size,
        });
    }
    if old_size == new_size && old_root != new_root {
        return Err(ProofError::Fork { size: old_size });
    }
    if old_size == 0 && *old_root != tree::empty_root() {
        return Err(ProofError::OldRoot);
    }
    if old_size == 0 || old_size == new_size {
        return if proof.is_empty() {
            Ok(())
        } else {
            Err(length)
        };
    }
    let mut hashes = proof.iter();
    // A complete old tree is itself the first subtree of the path.
    let first = if old_size.is_power_of_two() {
        *old_root
    } else {
        *hashes.next().ok_or(length)?
    };
    // Both roots are computed from the same hashes: those to the left belong to both trees, those to the right to the new
    // one only. The levels on which the old tree is complete are one subtree, and need no hashes.
    let skipped = (old_size - 1).trailing_ones();
    let (mut place, mut last) = ((old_size - 1) >> skipped, (new_size - 1) >> skipped);
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in hashes {
        if last == 0 {
            return Err(length);
        }
        if place & 1 == 1 || place == last {
            old_hash = tree::node(sibling, &old_hash);
            new_hash = tree::node(sibling, &new_hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = tree::node(&new_hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(length);
    }
    if old_hash != *old_root {
        return Err(ProofError::OldRoot);
    }
    if new_hash != *new_root {
        return Err(ProofError::Root);
    }
    Ok(())
}
