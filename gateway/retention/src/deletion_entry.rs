//! Audit log entries about deletions: how many rows of which kind, and why. Never which ones.

use attest_channel::{Clock, SystemClock};
use attest_core::log::{Entry, Fact, PurgeReason, Purged, Word};
use gateway_store::ledger::Ledger;

/// Queues an entry with the number of deleted rows of a kind and the reason. Without deletions there is no entry.
pub(crate) fn enter_deletion(ledger: &Ledger, kind: &str, count: u64, reason: PurgeReason) {
    let Some(kind) = Word::parse(kind).ok().filter(|_| count > 0) else {
        return;
    };
    ledger.audit().note(Entry {
        at: SystemClock.now(),
        fact: Fact::Purged(Purged {
            kind,
            count,
            reason,
        }),
    });
}
