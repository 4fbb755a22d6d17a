//! Making what has had its time go away, for as long as the service runs.

use std::time::Duration;

use attest_core::log::{Entry, Fact, PurgeReason, Purged, Word};

use super::RecordError;
use crate::events::{self, Event, LedgerWork};
use crate::ledger::{Ledger, Resumed};
use crate::relay::Back;
use crate::{Clock, SystemClock};

const EVERY: Duration = Duration::from_secs(60);

/// Purges at once and then every minute, until dropped. What went is logged.
pub async fn run(back: Back) {
    let Back {
        receipts,
        records,
        ledger,
        ..
    } = back;
    if let Resumed::Behind(by) | Resumed::Doubted(by) = ledger.clock_resumed() {
        let ahead = matches!(ledger.clock_resumed(), Resumed::Doubted(_));
        events::emit(Event::ClockDoubted { ahead, by });
    }
    loop {
        receipts.sweep();
        let gone = async {
            let purged = ledger.purge().await?;
            let records = records.purge(ledger.clock().now()).await?;
            Ok::<_, RecordError>((purged, records))
        };
        match gone.await {
            Ok((purged, 0)) if purged.is_nothing() => {}
            Ok((purged, records)) => {
                for (kind, count) in [
                    ("usage", purged.usage),
                    ("receipts", purged.receipts),
                    ("sessions", purged.sessions),
                    ("records", records),
                ] {
                    note(&ledger, kind, count, PurgeReason::Expired);
                }
                events::emit(Event::Purged {
                    usage: purged.usage,
                    receipts: purged.receipts,
                    sessions: purged.sessions,
                    records,
                });
            }
            Err(error) => events::emit(Event::LedgerFailed {
                what: LedgerWork::Purge,
                failure: error.failure(),
            }),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Tells the audit log what was deleted. How much and why; never what.
pub fn note(ledger: &Ledger, kind: &str, count: u64, reason: PurgeReason) {
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
