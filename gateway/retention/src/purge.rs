//! Deletion of what has expired, for as long as the service runs.

use std::sync::Arc;
use std::time::Duration;

use attest_core::log::{Entry, Fact, PurgeReason, Purged, Word};

use super::{RecordError, Records};
use attest_channel::Clock;
use attest_channel::SystemClock;
use gateway_base::events::{self, Event, LedgerWork};
use gateway_store::ledger::{Ledger, SystemClockCheck};

const EVERY: Duration = Duration::from_secs(60);

/// Deletes at once and then every minute, until dropped, and logs how much. `sweep_receipts` removes receipts that
/// are kept in memory alone.
pub async fn run(records: Records, ledger: Arc<Ledger>, sweep_receipts: impl Fn() + Send) {
    if let SystemClockCheck::Behind(by) | SystemClockCheck::FarAhead(by) =
        ledger.system_clock_check()
    {
        let ahead = matches!(ledger.system_clock_check(), SystemClockCheck::FarAhead(_));
        events::emit(Event::ClockDoubted { ahead, by });
    }
    loop {
        sweep_receipts();
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
