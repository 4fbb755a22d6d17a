//! `log`: audit logs. That a receipt is in one, that one head continues another, that a whole log is
//! what its heads say.

mod consistency;
mod receipt;
mod replay;

use std::path::PathBuf;

use attest_core::log::Checkpoint;
use clap::{Args, Subcommand};

use crate::args::{JudgeArgs, OutputArgs};
use crate::failure::Failure;

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
    /// Replay a whole log from its first entry, and hold it against heads that were kept
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
struct ReceiptArgs {
    /// The receipt (JSON)
    file: PathBuf,
    /// The proof that the service gave for it (/v1/aci/receipts/ID/proof)
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    /// Report whose key signs the proof's head: it is judged too, under --policy; or a head that
    /// the proof must be against
    #[arg(long, value_name = "FILE")]
    head: PathBuf,
    /// The nonce a saved report was asked for with; FILE.nonce beside it otherwise
    #[arg(long, value_name = "HEX|@FILE")]
    nonce: Option<String>,
    #[command(flatten)]
    judge: JudgeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct ConsistencyArgs {
    /// The earlier head: a checkpoint, or a report that shows one
    old: PathBuf,
    /// The later head, likewise
    new: PathBuf,
    /// The proof that the service gave (/v1/aci/log/consistency); not needed for heads of one size
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// The nonce the earlier report was asked for with; FILE.nonce beside it otherwise
    #[arg(long, value_name = "HEX|@FILE")]
    old_nonce: Option<String>,
    /// The nonce the later report was asked for with; FILE.nonce beside it otherwise
    #[arg(long, value_name = "HEX|@FILE")]
    new_nonce: Option<String>,
    #[command(flatten)]
    judge: JudgeArgs,
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
    /// A head that was kept, a checkpoint or a report (with its nonce in FILE.nonce): the log must
    /// contain it; may be repeated
    #[arg(long, value_name = "FILE")]
    head: Vec<PathBuf>,
    #[command(flatten)]
    judge: JudgeArgs,
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

fn in_words(head: &Checkpoint) -> String {
    format!("{} entries, root {}", head.size, head.root)
}
