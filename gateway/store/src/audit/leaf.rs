//! Entries to be committed, with what is stored beside them.

use std::collections::BTreeMap;

use super::entry_queue::Batch;
use attest_core::log::{Entry, Fact};
use attest_core::{Sha256Digest, UnixTime};

/// The most receipts in one batch.
const MAX_BATCH: usize = 4096;

/// The opening of a commitment.
#[derive(Clone)]
pub(super) struct Opening {
    pub salt: [u8; 32],
    pub subject: String,
}

impl Opening {
    pub fn from_row((salt, subject): (Vec<u8>, String)) -> Option<Self> {
        let salt = salt.try_into().ok()?;
        Some(Self { salt, subject })
    }
}

/// An entry to be committed, with the data that is stored beside it.
pub(super) struct Leaf {
    pub entry: Entry,
    pub opening: Option<Opening>,
    pub receipts: Vec<Sha256Digest>,
}

impl Leaf {
    pub fn plain(entry: Entry) -> Self {
        Self {
            entry,
            opening: None,
            receipts: Vec::new(),
        }
    }
}

/// The entries of a batch.
pub(super) fn leaves(at: UnixTime, batch: &Batch) -> Vec<Leaf> {
    let mut leaves: Vec<_> = batch.notes.iter().cloned().map(Leaf::plain).collect();
    let counts: &BTreeMap<_, _> = &batch.refused;
    if !counts.is_empty() {
        let counts = counts.clone();
        leaves.push(Leaf::plain(Entry {
            at,
            fact: Fact::Refused { counts },
        }));
    }
    for batch in batch.receipts.chunks(MAX_BATCH) {
        let root = attest_core::log::receipts_root(batch);
        leaves.push(Leaf {
            entry: Entry {
                at,
                fact: Fact::Receipts { root },
            },
            opening: None,
            receipts: batch.to_vec(),
        });
    }
    if batch.receipts_lost > 0 {
        let count = batch.receipts_lost;
        leaves.push(Leaf::plain(Entry {
            at,
            fact: Fact::ReceiptsLost { count },
        }));
    }
    let lost = batch.rows_lost.iter();
    leaves.extend(lost.map(|(kind, count)| {
        Leaf::plain(Entry {
            at,
            fact: Fact::RowsLost {
                kind: kind.clone(),
                count: *count,
            },
        })
    }));
    leaves
}
