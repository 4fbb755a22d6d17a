//! At the start: what follows the last signed head in the file.
//!
//! Every entry of a service is committed together with a head over it, except those before its first epoch. So what
//! follows the last head is
//!
//! - entries of commands that ran while no service did: they stay;
//! - what a service entered whose start failed or that was killed before its first epoch began. All of it is entered
//!   again: receipts from the ledger, changes of the retention policy from their history;
//! - entries that other software wrote into the file.
//!
//! The last two cannot be distinguished. They are removed, and their number is entered. No head includes them, so no
//! reader of the log misses them. An epoch's beginning or end is always signed over: a file where it is not is refused.

use super::known_tree::may_be_of_a_command;
use attest_core::log::{Entry, Fact};

/// The kind of rows, in an entry about lost ones, that are entries of the log without a head.
pub(super) const UNSIGNED: &str = "entries";

/// The entries after the last head.
#[derive(Default)]
pub(super) struct UnsignedTail {
    /// The commands' entries, with their indexes.
    pub kept: Vec<(u64, Entry)>,
    /// How many other entries there are.
    pub removed: u64,
    /// The first entry that begins or ends an epoch.
    pub of_epoch: Option<u64>,
}

impl UnsignedTail {
    pub fn push(&mut self, index: u64, entry: Entry) {
        match &entry.fact {
            Fact::EpochBegan(_) | Fact::EpochEnded { .. } => {
                self.of_epoch.get_or_insert(index);
            }
            fact if may_be_of_a_command(fact) => self.kept.push((index, entry)),
            // The number that an earlier start entered before its first epoch.
            Fact::RowsLost { kind, count } if kind.as_str() == UNSIGNED => self.removed += count,
            _ => self.removed += 1,
        }
    }
}
