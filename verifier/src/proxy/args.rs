//! The command line of `proxy`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::args::JudgeArgs;

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
    /// Also send requests for models that the service does not mark confidential: it passes their
    /// prompts to upstreams that it does not verify
    #[arg(long)]
    pub allow_unverified_upstreams: bool,
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
