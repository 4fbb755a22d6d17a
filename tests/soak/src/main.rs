//! `make soak`: the programs as they are shipped, under everything that hardens them, with mixed traffic for some
//! minutes. Then they are stopped, started again, and asked for everything they have answered.
//!
//! `soak [SECONDS]`, 600 by default (or `SOAK_SECONDS`). The last line is the figures; the status is not zero when
//! anything fell short.

mod account;
mod log;
mod stage;
mod traffic;
mod watch;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use stage::Stage;
use traffic::Traffic;

const USUAL: u64 = 600;
/// How long after the last answer its row may take.
const SETTLED: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let argument = std::env::args().nth(1);
    let wanted = argument.or_else(|| std::env::var("SOAK_SECONDS").ok());
    let seconds = match wanted {
        Some(text) => text
            .parse()
            .with_context(|| format!("{text:?} are no seconds"))?,
        None => USUAL,
    };
    let (figures, faults) = soak(Duration::from_secs(seconds)).await?;
    for fault in &faults {
        println!("{fault}");
    }
    println!("{figures}; {} faults", faults.len());
    Ok(match faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The line of figures, and what fell short.
async fn soak(length: Duration) -> Result<(String, Vec<String>)> {
    let began = Instant::now();
    let mut stage = Stage::start().await?;
    let watched = watch::begin(stage.processes()?);
    let traffic = Traffic::default();
    traffic.drive(&stage, length).await;
    let samples = watched.end().await;
    tokio::time::sleep(SETTLED).await;

    let mut faults = traffic.faults();
    faults.extend(watch::faults(&samples));
    faults.extend(log::faults(&stage));
    let answered = traffic.answered();
    faults.extend(stage.restart().await);
    let account = account::take(&stage, &answered).await?;
    faults.extend(account.faults);
    let figures = format!(
        "soak: {} requests in {} s ({}); of {} answers that must be on the disk {} have a row and {} a receipt, {} of {} \
         are served after a restart; {}",
        traffic.total(),
        length.as_secs(),
        traffic.summary(),
        account.wanted,
        account.rows,
        account.receipts,
        account.served,
        account.asked,
        watch::summary(&samples),
    );
    eprintln!("soak: took {} s in all", began.elapsed().as_secs());
    Ok((figures, faults))
}
