//! The memory of an idle connection: many are opened, nothing is sent on them, and the target's memory is read before
//! and after.

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::client::Endpoint;
use crate::cpu;

#[derive(clap::Args)]
pub struct Settings {
    #[arg(long)]
    url: String,
    #[arg(long)]
    connections: usize,
    /// The process whose memory is read.
    #[arg(long)]
    pid: u32,
}

#[derive(Serialize, Deserialize)]
pub struct Outcome {
    pub kib_per_connection: f64,
}

/// For what a server does once and not for each connection.
const FIRST: usize = 50;

/// A server may finish its part of a handshake later than we do.
const SETTLE: Duration = Duration::from_millis(500);

pub fn measure(settings: &Settings) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let endpoint = Endpoint::parse(&settings.url)?;
        let mut open = Vec::with_capacity(FIRST + settings.connections);
        let mut before = 0.0;
        for number in 0..FIRST + settings.connections {
            if number == FIRST {
                tokio::time::sleep(SETTLE).await;
                before = cpu::resident_mib(settings.pid);
            }
            open.push(endpoint.connect().await?);
        }
        tokio::time::sleep(SETTLE).await;
        let grown = cpu::resident_mib(settings.pid) - before;
        anyhow::Ok(Outcome {
            kib_per_connection: grown * 1024.0 / settings.connections as f64,
        })
    })?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
