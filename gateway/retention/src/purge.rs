//! Deletion of expired rows and records, every minute while the service runs.

use std::sync::Arc;
use std::time::Duration;

use attest_core::log::PurgeReason;

use super::deletion_entry::enter_deletion;
use super::records::{RecordError, Records};
use gateway_base::events::{self, Event, LedgerWork};
use gateway_store::ledger::{Ledger, SystemClockCheck};

const EVERY: Duration = Duration::from_secs(60);

/// Deletes now and then every minute, until dropped, and logs how much. `sweep_receipts` removes receipts that are only
/// in memory.
pub async fn run(records: Records, ledger: Arc<Ledger>, sweep_receipts: impl Fn() + Send) {
    if let SystemClockCheck::Behind(by) | SystemClockCheck::FarAhead(by) =
        ledger.clock().system_clock_check()
    {
        let ahead = matches!(
            ledger.clock().system_clock_check(),
            SystemClockCheck::FarAhead(_)
        );
        events::emit(Event::ClockDoubted { ahead, by });
    }
    loop {
        sweep_receipts();
        let deleted = async {
            let purged = ledger.expiry().purge().await?;
            // Rows first: they need one statement, while files are unlinked one by one.
            let records = records.purge(ledger.clock().now()).await?;
            Ok::<_, RecordError>((purged, records))
        };
        match deleted.await {
            Ok((purged, 0)) if purged.is_nothing() => {}
            Ok((purged, records)) => {
                for (kind, count) in [
                    ("usage", purged.usage),
                    ("receipts", purged.receipts),
                    ("sessions", purged.sessions),
                    ("records", records),
                ] {
                    enter_deletion(&ledger, kind, count, PurgeReason::Expired);
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
