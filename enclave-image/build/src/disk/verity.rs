//! dm-verity's hash tree (Linux, `Documentation/admin-guide/device-mapper/verity.rst`), version 1, SHA-256,
//! blocks of 4096 bytes, no salt, no superblock.
//!
//! Each hash block holds the digests of 128 blocks of the level below. Levels are stored from the top down, right
//! after the data, and the root hash is the digest of the top block.

use ring::digest::{SHA256, digest};

/// Length of data and hash blocks in bytes.
pub const BLOCK: usize = 4096;

type Digest = [u8; 32];

/// Digests per hash block.
const FAN_OUT: usize = BLOCK / 32;

/// A hash tree over data blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashTree {
    /// Number of data blocks.
    pub blocks: u64,
    pub root: Digest,
    /// The levels, top first; empty if there is only one data block.
    pub bytes: Vec<u8>,
}

/// Why there is no tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerityError {
    #[error("{0} bytes are not a whole number of blocks of 4096 bytes, or none")]
    Length(u64),
}

/// Takes data blocks one after the other.
#[derive(Debug, Default)]
pub struct Hasher {
    digests: Vec<Digest>,
    partial: Vec<u8>,
    len: u64,
}

impl Hasher {
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        if !self.partial.is_empty() {
            let wanted = BLOCK - self.partial.len();
            let (now, later) = bytes.split_at(wanted.min(bytes.len()));
            self.partial.extend_from_slice(now);
            bytes = later;
            if self.partial.len() < BLOCK {
                return;
            }
            self.digests.push(sha256(&self.partial));
            self.partial.clear();
        }
        let mut blocks = bytes.chunks_exact(BLOCK);
        self.digests.extend(blocks.by_ref().map(sha256));
        self.partial.extend_from_slice(blocks.remainder());
    }

    pub fn finish(self) -> Result<HashTree, VerityError> {
        if !self.partial.is_empty() || self.digests.is_empty() {
            return Err(VerityError::Length(self.len));
        }
        let blocks = self.digests.len() as u64;
        let mut level = self.digests;
        let mut levels: Vec<Vec<u8>> = Vec::new();
        while level.len() > 1 {
            let packed: Vec<u8> = level.chunks(FAN_OUT).flat_map(hash_block).collect();
            level = packed.chunks_exact(BLOCK).map(sha256).collect();
            levels.push(packed);
        }
        levels.reverse();
        Ok(HashTree {
            blocks,
            root: level[0],
            bytes: levels.concat(),
        })
    }
}

fn hash_block(digests: &[Digest]) -> Vec<u8> {
    let mut block = digests.concat();
    block.resize(BLOCK, 0);
    block
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}
