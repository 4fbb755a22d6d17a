//! Merkle tree hashes (RFC 6962 §2.1, SHA-256).
//!
//! ```text
//! MTH({})     = SHA-256()
//! MTH({d})    = SHA-256(0x00 || d)
//! MTH(D[0:n]) = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n]))   k = the largest power of two below n
//! ```

use std::fmt;
use std::ops::Range;

use crate::digest::sha256;
use crate::encoding::{EncodingError, parse_hex, to_hex};

/// A hash of a leaf, an inner node or a whole tree. Written as bare hex; in notes as base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash([u8; 32]);

impl TreeHash {
    /// The hash with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 lowercase hex characters.
    pub fn parse(text: &str) -> Result<Self, EncodingError> {
        parse_hex(text).map(Self)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeHash({self})")
    }
}

/// The root of a tree without leaves.
pub fn empty_root() -> TreeHash {
    TreeHash(sha256(b""))
}

/// The hash of a leaf with this content.
pub fn leaf(content: &[u8]) -> TreeHash {
    let mut input = Vec::with_capacity(1 + content.len());
    input.push(0);
    input.extend_from_slice(content);
    TreeHash(sha256(&input))
}

/// The hash of a node with these children.
pub fn node(left: &TreeHash, right: &TreeHash) -> TreeHash {
    let mut input = [1; 65];
    input[1..33].copy_from_slice(&left.0);
    input[33..].copy_from_slice(&right.0);
    TreeHash(sha256(&input))
}

/// A complete subtree: the leaves from `index << level` up to `(index + 1) << level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Height; a leaf has 0.
    pub level: u8,
    /// Place among the subtrees of this height.
    pub index: u64,
}

impl Node {
    /// How many subtrees are completed before this one as the tree grows: the order in which hashes
    /// can be kept in a file that is only ever appended to.
    pub const fn completion(&self) -> u64 {
        // The last leaf under it; before that leaf, each completed one subtree of every size it ends.
        let last = ((self.index + 1) << self.level) - 1;
        2 * last - last.count_ones() as u64 + self.level as u64
    }
}

/// The complete subtrees that `leaves` falls into, left to right: the binary digits of its length.
///
/// The range must be one that RFC 6962 forms a hash of, so that it starts at a multiple of every
/// power of two not above its length; the whole tree and every range in a proof are.
pub fn subtrees(leaves: &Range<u64>) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut start = leaves.start;
    while start < leaves.end {
        let level = (leaves.end - start).ilog2();
        nodes.push(Node {
            level: level as u8,
            index: start >> level,
        });
        start += 1 << level;
    }
    nodes
}

/// The hash over the leaves of consecutive subtrees as [`subtrees`] lists them.
pub fn fold(hashes: &[TreeHash]) -> TreeHash {
    let mut rest = hashes.iter().rev();
    match rest.next() {
        None => empty_root(),
        Some(last) => rest.fold(*last, |right, left| node(left, &right)),
    }
}

/// The root over these leaf hashes.
pub fn root(leaves: &[TreeHash]) -> TreeHash {
    let mut frontier = Frontier::default();
    for hash in leaves {
        frontier.push(*hash, |_, _| {});
    }
    frontier.root()
}

/// A tree that can only grow: its size and the hashes of the complete subtrees that make it up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Of the complete subtrees, largest first.
    hashes: Vec<TreeHash>,
}

impl Frontier {
    /// A tree of `size` leaves, given the hashes of [`subtrees`]`(&(0..size))`. Nothing if there are
    /// more or fewer.
    pub fn resume(size: u64, hashes: Vec<TreeHash>) -> Option<Self> {
        (hashes.len() == size.count_ones() as usize).then_some(Self { size, hashes })
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root.
    pub fn root(&self) -> TreeHash {
        fold(&self.hashes)
    }

    /// The hashes of [`subtrees`]`(&(0..size))`, of which [`resume`](Self::resume) makes it again.
    pub fn hashes(&self) -> &[TreeHash] {
        &self.hashes
    }

    /// Appends a leaf; `completed` gets every subtree that it completes, the leaf itself first.
    pub fn push(&mut self, leaf: TreeHash, mut completed: impl FnMut(Node, TreeHash)) {
        let mut at = Node {
            level: 0,
            index: self.size,
        };
        let mut hash = leaf;
        completed(at, hash);
        while at.index & 1 == 1 {
            let left = self.hashes.pop().expect("an odd index has a left sibling");
            hash = node(&left, &hash);
            at = Node {
                level: at.level + 1,
                index: at.index >> 1,
            };
            completed(at, hash);
        }
        self.hashes.push(hash);
        self.size += 1;
    }
}
