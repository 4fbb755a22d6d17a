//! The command line, as data. What each command does is in `commands` and `proxy`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::evidence::EvidenceArgs;
use crate::commands::log::LogArgs;
use crate::commands::measure::MeasureArgs;
use crate::commands::policy::PolicyArgs;
use crate::render::{Detail, Form};

/// Check what a confidential inference service proves about itself.
///
/// Exit codes: 0 accepted, 10 rejected, 20 unsupported, 30 malformed input,
/// 1 could not be done, 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "sealgate-verify", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Challenge a live service and judge its report and the connection it came over
    Endpoint(EndpointArgs),
    /// Judge a saved attestation report (the channel cannot be observed offline)
    Report(ReportArgs),
    /// Check a signed receipt against the keys of an attested service
    Receipt(ReceiptArgs),
    /// Check a session record and, under a policy, the evidence inside it
    Session(SessionArgs),
    /// Judge a raw TDX quote with its collateral at a stated time
    Quote(QuoteArgs),
    /// Judge raw evidence of a CPU or of GPUs, with everything it is judged by stated piece by piece
    Evidence(Box<EvidenceArgs>),
    /// Work with attestation policies
    Policy(PolicyArgs),
    /// Predict what launching an image will measure, and write a policy that pins it
    Measure(MeasureArgs),
    /// Decode any piece of evidence for a person; verifies nothing
    Inspect(InspectArgs),
    /// Check the audit log: receipts in it, heads of it, all of it
    Log(Box<LogArgs>),
    /// Serve a local OpenAI-compatible endpoint that verifies before it sends
    Proxy(ProxyArgs),
}

/// How evidence is judged: shared by every command that judges.
#[derive(Debug, Args, Clone, Default)]
pub struct JudgeArgs {
    /// Attestation policy (TOML); without one nothing says what is wanted, and nothing is accepted
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Directory of roots to use INSTEAD of the vendors' (intel-root.pem); the verdict says so
    #[arg(long, value_name = "DIR")]
    pub roots: Option<PathBuf>,

    /// Collateral (JSON), used when the evidence carries none
    #[arg(long, value_name = "FILE")]
    pub collateral: Option<PathBuf>,

    /// Judge as of this time (RFC 3339, UTC) instead of now
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
}

#[derive(Debug, Args, Clone, Default)]
pub struct FetchArgs {
    /// Fetch collateral from Intel's service, or from a PCCS at BASEURL
    #[arg(long, value_name = "BASEURL", num_args = 0..=1, require_equals = true,
          default_missing_value = attest_fetch::INTEL_PCS, conflicts_with = "collateral")]
    pub fetch_collateral: Option<String>,
}

#[derive(Debug, Args, Clone, Default)]
pub struct OutputArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Print every check on a line of its own
    #[arg(long, conflicts_with = "json")]
    pub all: bool,
}

impl OutputArgs {
    pub fn form(&self) -> Form {
        match (self.json, self.all) {
            (true, _) => Form::Json,
            (false, true) => Form::Person(Detail::EveryCheck),
            (false, false) => Form::Person(Detail::Short),
        }
    }
}

#[derive(Debug, Args)]
pub struct EndpointArgs {
    /// The service, as https://host[:port]
    pub url: String,
    #[command(flatten)]
    pub judge: JudgeArgs,
    #[command(flatten)]
    pub fetch: FetchArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Save the report as it was received, and the nonce it answers as FILE.nonce
    #[arg(long, value_name = "FILE")]
    pub save_report: Option<PathBuf>,
    /// Save the server's certificate (PEM), only if the verdict is "accepted"
    #[arg(long, value_name = "FILE")]
    pub save_cert: Option<PathBuf>,
    /// Print a policy pinned to what was just measured, for a person to review
    #[arg(long, conflicts_with_all = ["json", "policy"])]
    pub print_policy: bool,
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The report (JSON); "-" reads standard input
    pub file: PathBuf,
    /// The nonce this report was asked for with; without it freshness is not shown
    #[arg(long, value_name = "HEX|@FILE")]
    pub nonce: Option<String>,
    #[command(flatten)]
    pub judge: JudgeArgs,
    #[command(flatten)]
    pub fetch: FetchArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Print a policy pinned to the values in this report, for a person to review
    #[arg(long, conflicts_with_all = ["json", "policy"])]
    pub print_policy: bool,
}

#[derive(Debug, Args)]
pub struct ReceiptArgs {
    /// The receipt (JSON); "-" reads standard input
    pub file: PathBuf,
    /// Report whose keyset signs: it is judged too, under --policy
    #[arg(long, value_name = "FILE", group = "keys")]
    pub report: Option<PathBuf>,
    /// Keyset (JSON) established by other means; taken as it is
    #[arg(long, value_name = "FILE", group = "keys")]
    pub keyset: Option<PathBuf>,
    /// Live service whose keyset signs: it is judged first, like `endpoint`
    #[arg(long, value_name = "URL", group = "keys")]
    pub endpoint: Option<String>,
    /// The nonce the saved report was asked for with
    #[arg(long, value_name = "HEX|@FILE", requires = "report")]
    pub nonce: Option<String>,
    /// The request body, exactly as sent
    #[arg(long, value_name = "FILE")]
    pub request: Option<PathBuf>,
    /// The response body, exactly as received
    #[arg(long, value_name = "FILE")]
    pub response: Option<PathBuf>,
    /// The session record that the receipt cites
    #[arg(long, value_name = "FILE")]
    pub session: Option<PathBuf>,
    #[command(flatten)]
    pub judge: JudgeArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct SessionArgs {
    /// The session record (JSON); "-" reads standard input
    pub file: PathBuf,
    /// The id that it must have, as a receipt cites it
    #[arg(long, value_name = "HEX")]
    pub id: Option<String>,
    #[command(flatten)]
    pub judge: JudgeArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct QuoteArgs {
    /// The quote (raw bytes or hex); "-" reads standard input
    pub file: PathBuf,
    #[command(flatten)]
    pub judge: JudgeArgs,
    #[command(flatten)]
    pub fetch: FetchArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Print a policy pinned to the values in this quote, for a person to review
    #[arg(long, conflicts_with_all = ["json", "policy"])]
    pub print_policy: bool,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A report, receipt, session, keyset, quote or collateral; "-" reads standard input
    pub file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ProxyArgs {
    /// Where to listen; loopback only unless --allow-remote
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8787")]
    pub listen: SocketAddr,
    /// The service, as https://host[:port]
    #[arg(long, value_name = "URL")]
    pub upstream: String,
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// A response ends only once its receipt was verified; a receipt that contradicts what was
    /// sent or received stops the proxy from sending anything more until it is restarted
    #[arg(long)]
    pub require_receipt: bool,
    /// Keep each verified receipt, with the report and session it rests on, in this directory
    #[arg(long, value_name = "DIR")]
    pub keep_receipts: Option<PathBuf>,
    /// Listen on an address that is not loopback: the hop to this proxy is plain HTTP
    #[arg(long)]
    pub allow_remote: bool,
    /// Start even if the service is not accepted yet; every request is refused until it is
    #[arg(long)]
    pub wait: bool,
    /// Largest request body that is forwarded, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    pub max_body: usize,
    /// Print the start-up verdict as JSON
    #[arg(long)]
    pub json: bool,
}
