//! The commands that change something: `set`, `delete` and `clock --accept`.

use std::path::Path;
use std::sync::Arc;

use super::{RetentionFailure, files};
use attest_channel::Clock;
use attest_channel::SystemClock;
use gateway_base::config::Config;
use gateway_retention::{DeletionResult, Installed, Notice, Records, history};
use gateway_store::ledger::{Ledger, SystemClockCheck};

pub(super) async fn set(config: &Path, file: &Path) -> Result<(), RetentionFailure> {
    let config = Config::load(config)?;
    let policy = files::policy(file)?;
    let signatures = files::signatures(file)?;
    let (epoch, digest) = (policy.epoch(), policy.digest());
    let ledger = Ledger::open_for_keys(&config.server.state_dir).await?;
    let authority = &config.retention.authority;
    let now = SystemClock.now();
    let before = history::latest(&ledger).await?;
    let notices = match &before {
        Some(before) => Notice::about_change(before.policy(), &policy),
        None => Notice::about(&policy),
    };
    let installed = history::install(&ledger, authority, policy, signatures, now).await;
    ledger.close().await;
    let words = match installed? {
        Installed::First => "is the first policy",
        Installed::Next => "replaces the one before",
        Installed::NewSignatures => "was active already and has new signatures",
    };
    println!("{digest}");
    for notice in notices {
        eprintln!("warning: {notice}");
    }
    eprintln!("Epoch {epoch} {words}. A running service serves under it within a second.");
    Ok(())
}

pub(super) async fn delete(config: &Path, receipt_id: &str) -> Result<(), RetentionFailure> {
    let config = Config::load(config)?;
    let ledger = Arc::new(Ledger::open_for_keys(&config.server.state_dir).await?);
    let records = Records::new(&config.server.state_dir, ledger.clone());
    let deleted = records.delete_for_operator(receipt_id).await;
    ledger.close().await;
    match deleted? {
        DeletionResult::Deleted => {
            eprintln!("Deleted the record {receipt_id}. Its receipt stays.");
            Ok(())
        }
        DeletionResult::NotFound | DeletionResult::NotAllowed => {
            Err(RetentionFailure::NoRecord(receipt_id.to_owned()))
        }
    }
}

pub(super) async fn clock(config: &Path, accept: bool) -> Result<(), RetentionFailure> {
    let config = Config::load(config)?;
    let ledger = Ledger::open_for_keys(&config.server.state_dir).await?;
    let system = SystemClock.now();
    let words = match ledger.clock().system_clock_check() {
        SystemClockCheck::NoStoredTime => "no time was stored before".to_owned(),
        SystemClockCheck::Plausible => "the system's clock is believed".to_owned(),
        SystemClockCheck::Behind(by) => format!(
            "the system's clock is {} s behind the stored time; data expires by the stored time",
            by.as_secs()
        ),
        SystemClockCheck::FarAhead(by) => format!(
            "the system's clock is {} s ahead of the stored time; nothing expires by it until it is accepted",
            by.as_secs()
        ),
    };
    println!("things expire by  {}", ledger.clock().now());
    println!("system's clock    {system}");
    println!("{words}");
    let noted = if accept {
        ledger.expiry().accept_time(system).await
    } else {
        Ok(())
    };
    ledger.close().await;
    noted?;
    if accept {
        eprintln!("Accepted. A running service uses it within a minute.");
    }
    Ok(())
}
