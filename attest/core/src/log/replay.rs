//! A whole log, entry by entry: is it what its heads say, and does it make sense?
//!
//! What is checked of the entries: the first, and no other, begins the log; epochs are numbered
//! upwards; an epoch that ends is the one that runs; each retention policy names its predecessor, and
//! an epoch serves under the one last accepted, once there was one. What is checked of a head: its
//! size and root are those of the entries so far, its origin is the log's, and it was signed by the
//! key of the epoch that began last before it.

use super::tree::{self, Frontier};
use super::{
    Checkpoint, CheckpointError, Entry, EntryError, EpochStart, Fact, Node, Origin, SignedHead,
    TreeHash,
};
use crate::digest::Sha256Digest;
use crate::time::UnixTime;

/// Why a log is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// An entry cannot be read.
    #[error("entry {index}: {error}")]
    Entry {
        /// Which.
        index: u64,
        /// Why.
        error: EntryError,
    },
    /// An entry that cannot stand where it stands.
    #[error("entry {index}: {what}")]
    Order {
        /// Which.
        index: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The entries have another root than the head says.
    #[error("the {size} entries have the root {found}, the head says {claimed}")]
    Root {
        /// How many entries.
        size: u64,
        /// Their root.
        found: TreeHash,
        /// The head's.
        claimed: TreeHash,
    },
    /// There are fewer entries than the head counts.
    #[error("there are {found} entries, the head counts {claimed}")]
    Size {
        /// How many there are.
        found: u64,
        /// How many the head counts.
        claimed: u64,
    },
    /// The head is of another log.
    #[error("the head is of {claimed}, the entries of another log")]
    Origin {
        /// The head's origin.
        claimed: Origin,
    },
    /// No epoch had begun that could have signed a head.
    #[error("no epoch had begun that could have signed it")]
    NoEpoch,
    /// The head is not signed by the epoch that was active.
    #[error("not by the active epoch: {0}")]
    Signer(CheckpointError),
}

/// An epoch as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochSpan {
    /// Index of the entry that it began with.
    pub index: u64,
    /// When it began.
    pub began_at: UnixTime,
    /// When it ended, as far as the log says.
    pub ended_at: Option<UnixTime>,
    /// Its contract.
    pub start: EpochStart,
}

/// A log being replayed.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    frontier: Frontier,
    origin: Option<Origin>,
    epochs: Vec<EpochSpan>,
    retention: Option<Sha256Digest>,
}

impl Replay {
    /// Takes the next entry.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Entry, ReplayError> {
        self.push_reporting(bytes, |_, _| {})
    }

    /// The same; `completed` gets every subtree that the entry completes.
    pub fn push_reporting(
        &mut self,
        bytes: &[u8],
        completed: impl FnMut(Node, TreeHash),
    ) -> Result<Entry, ReplayError> {
        let index = self.frontier.size();
        let entry = Entry::parse(bytes).map_err(|error| ReplayError::Entry { index, error })?;
        // Before it is hashed: an entry that cannot stand here is not part of what heads are compared with.
        self.follow(index, &entry)
            .map_err(|what| ReplayError::Order { index, what })?;
        self.frontier.push(tree::leaf(bytes), completed);
        Ok(entry)
    }

    fn follow(&mut self, index: u64, entry: &Entry) -> Result<(), &'static str> {
        match &entry.fact {
            Fact::Began { origin } if index == 0 => self.origin = Some(*origin),
            Fact::Began { .. } => return Err("a log begins only once"),
            _ if index == 0 => return Err("the log does not begin with its beginning"),
            // Not one higher each time: the number is taken before the entry is written, which may fail.
            Fact::EpochBegan(start) => {
                if self
                    .epochs
                    .last()
                    .is_some_and(|last| start.epoch <= last.start.epoch)
                {
                    return Err("epochs are numbered upwards");
                }
                // Until a change is accepted, epochs serve under a policy that only their own entries name.
                if self
                    .retention
                    .is_some_and(|digest| digest != start.retention)
                {
                    return Err(
                        "the epoch serves under another retention policy than the one accepted",
                    );
                }
                self.epochs.push(EpochSpan {
                    index,
                    began_at: entry.at,
                    ended_at: None,
                    start: start.clone(),
                });
            }
            Fact::EpochEnded { epoch, keyset, .. } => {
                // One that was cut off never ends, so there may be several without an end.
                let running = self.epochs.iter_mut().rev();
                let mut named = running
                    .filter(|span| span.start.epoch == *epoch && span.start.keyset == *keyset);
                match named.next() {
                    Some(span) if span.ended_at.is_none() => span.ended_at = Some(entry.at),
                    _ => return Err("no such epoch was running"),
                }
            }
            Fact::RetentionChanged(change) => {
                // The first change has nothing in the log to follow: its predecessor may be older than the log.
                if self.retention.is_some() && change.predecessor != self.retention {
                    return Err("the retention policy does not follow the one before it");
                }
                self.retention = Some(change.digest);
            }
            _ => {}
        }
        Ok(())
    }

    /// How many entries were taken.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The tree of them.
    pub fn tree(&self) -> &Frontier {
        &self.frontier
    }

    /// The root over them.
    pub fn root(&self) -> TreeHash {
        self.frontier.root()
    }

    /// Which log it is, as its first entry says.
    pub fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// Every epoch so far.
    pub fn epochs(&self) -> &[EpochSpan] {
        &self.epochs
    }

    /// That these are the entries that a head is about: origin, size and root.
    pub fn check_content(&self, head: &Checkpoint) -> Result<(), ReplayError> {
        if self.size() != head.size {
            return Err(ReplayError::Size {
                found: self.size(),
                claimed: head.size,
            });
        }
        if self.root() != head.root {
            return Err(ReplayError::Root {
                size: head.size,
                found: self.root(),
                claimed: head.root,
            });
        }
        if self.origin != Some(head.origin) {
            return Err(ReplayError::Origin {
                claimed: head.origin,
            });
        }
        Ok(())
    }

    /// That the epoch that is active at this point signed the head. Which epoch that is the log says; that
    /// its keys were an enclave's only the report of that epoch shows.
    pub fn check_signer(&self, head: &SignedHead) -> Result<Checkpoint, ReplayError> {
        // The one that began last, ended or not: its key also signs the head over its end.
        let epoch = self.epochs.last().ok_or(ReplayError::NoEpoch)?;
        head.verify(&epoch.start.key).map_err(ReplayError::Signer)
    }
}
