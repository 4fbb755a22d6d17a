//! `log`: checks audit logs: that one contains a receipt, that one head continues another, that a whole log
//! matches its heads.

mod consistency;
mod receipt;
mod replay;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::args::{OutputArgs, TrustArgs};
use crate::failure::Failure;
use attest_core::log::Checkpoint;

#[derive(Debug, Args)]
pub struct LogArgs {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// Check that a receipt is in the log of a head
    Receipt(ReceiptArgs),
    /// Check that a later head continues an earlier one
    Consistency(ConsistencyArgs),
    /// Replay a whole log from its first entry, and compare it with saved heads
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
struct ReceiptArgs {
    /// The receipt (JSON)
    file: PathBuf,
    /// The service's proof for it (/v1/aci/receipts/ID/proof)
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    /// Report whose key signs the proof's head: it is verified too, under --policy; or a saved head
    /// that the proof must be for
    #[arg(long, value_name = "FILE")]
    head: PathBuf,
    /// The nonce a saved report was requested with; by default from FILE.nonce beside it
    #[arg(long, value_name = "HEX|@FILE")]
    nonce: Option<String>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct ConsistencyArgs {
    /// The earlier head: a checkpoint, or a report that contains one
    old: PathBuf,
    /// The later head, likewise
    new: PathBuf,
    /// The service's proof (/v1/aci/log/consistency); not needed for heads of one size
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// The nonce the earlier report was requested with; by default from FILE.nonce beside it
    #[arg(long, value_name = "HEX|@FILE")]
    old_nonce: Option<String>,
    /// The nonce the later report was requested with; by default from FILE.nonce beside it
    #[arg(long, value_name = "HEX|@FILE")]
    new_nonce: Option<String>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct ReplayArgs {
    /// Directory that `sealgate log export` wrote, or that was fetched from a service
    #[arg(long, value_name = "DIR", group = "source", required = true)]
    export: Option<PathBuf>,
    /// Copy of the gateway's audit.sqlite
    #[arg(long, value_name = "FILE", group = "source")]
    database: Option<PathBuf>,
    /// A saved head, a checkpoint or a report (with its nonce in FILE.nonce): the log must
    /// contain it; may be repeated
    #[arg(long, value_name = "FILE")]
    head: Vec<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: LogArgs) -> Result<u8, Failure> {
    match args.command {
        LogCommand::Receipt(args) => receipt::run(&args),
        LogCommand::Consistency(args) => consistency::run(&args),
        LogCommand::Replay(args) => replay::run(&args).await,
    }
}

fn head_text(head: &Checkpoint) -> String {
    format!("{} entries, root {}", head.size, head.root)
}
