//! Making what has had its time go away, for as long as the service runs.

use std::sync::Arc;
use std::time::Duration;

use crate::events::{self, Event, LedgerWork};
use crate::ledger::{Ledger, Resumed};
use crate::receipt::Store;

const EVERY: Duration = Duration::from_secs(60);

/// Purges at once and then every minute, until dropped. What went is logged.
pub async fn run(ledger: Arc<Ledger>, receipts: Arc<Store>) {
    if let Resumed::Behind(by) | Resumed::Doubted(by) = ledger.clock_resumed() {
        let ahead = matches!(ledger.clock_resumed(), Resumed::Doubted(_));
        events::emit(Event::ClockDoubted { ahead, by });
    }
    loop {
        receipts.sweep();
        match ledger.purge().await {
            Ok(purged) if purged.is_nothing() => {}
            Ok(purged) => events::emit(Event::Purged {
                usage: purged.usage,
                receipts: purged.receipts,
                sessions: purged.sessions,
            }),
            Err(_) => events::emit(Event::LedgerFailed {
                what: LedgerWork::Purge,
            }),
        }
        tokio::time::sleep(EVERY).await;
    }
}
