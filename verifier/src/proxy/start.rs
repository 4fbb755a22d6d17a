//! Start and end of the proxy: arguments, hardening, the first verification, the listener, signals.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::journal::{StderrJournal, install_panic_hook};
use super::receipt_archive::ReceiptArchive;
use super::serve;
use super::state::{Options, Proxy};
use super::upstream_models::Upstreams;
use crate::args::TrustArgs;
use crate::failure::{Failure, exit};
use crate::qualified_verdict::{PolicyOrigin, QualifiedVerdict};
use crate::render::{self, Detail, OutputFormat};
use crate::trust_inputs::TrustInputs;
use attest_channel::{AttestedChannel, ChannelError, Clock, Origin, SystemClock, Timeouts, Trust};
use attest_core::{UnixTime, Verdict};
use harden::{AllowedFiles, Fact};

#[derive(Debug, Args)]
pub struct ProxyArgs {
    /// Where to listen; loopback only unless --allow-remote
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8787")]
    pub listen: SocketAddr,
    /// The service, as https://host[:port]
    #[arg(long, value_name = "URL")]
    pub upstream: String,
    #[command(flatten)]
    pub trust: TrustArgs,
    /// A response ends only after its receipt was verified; a receipt that contradicts what was
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

/// The start fails without these.
const REQUIRED: [Fact; 2] = [Fact::NoDump, Fact::NoCore];

/// Hardens this process, which must have one thread only: the proxy holds prompts, responses and API keys, so it is
/// hardened like the gateway, as far as an ordinary user may. No core dump and no debugger are required; new
/// privileges, system calls that only an intruder needs, files outside of a closed list and swapping are prevented where
/// the machine allows it.
pub fn harden(args: &ProxyArgs) -> Result<(), Failure> {
    // The rule for the directory needs it to exist.
    if let Some(directory) = &args.keep_receipts {
        ReceiptArchive::open(directory)?;
    }
    if let Err(error) = harden::start_resolver(|| {
        eprintln!("sealgate-verify: the process that resolves names has ended");
    }) {
        eprintln!("sealgate-verify: the process that resolves names cannot be started: {error}");
    }
    harden::raise_descriptor_limit();
    harden::harden(&allowed_files(args), &REQUIRED)
        .map_err(|error| Failure::Internal(error.to_string()))
}

/// Prints which facts hold.
fn print_facts() {
    if let Some(facts) = harden::observed() {
        eprintln!(
            "sealgate-verify: hardened holds={} lacks={}",
            facts.names(true),
            facts.names(false)
        );
    }
}

fn allowed_files(args: &ProxyArgs) -> AllowedFiles {
    let named = [
        &args.trust.policy,
        &args.trust.roots,
        &args.trust.collateral,
    ];
    let read = named.into_iter().flatten().cloned();
    let written: Vec<PathBuf> = args.keep_receipts.iter().cloned().collect();
    AllowedFiles {
        read: read.collect(),
        written,
    }
}

/// Always shows the time of `--at`.
struct FixedClock(UnixTime);

impl Clock for FixedClock {
    fn now(&self) -> UnixTime {
        self.0
    }
}

/// Serves until a signal ends it.
pub async fn run(args: ProxyArgs) -> Result<u8, Failure> {
    if !serve::is_private(&args.listen) && !args.allow_remote {
        return Err(Failure::Usage(format!(
            "--listen {}: not a loopback address; the hop to the proxy is plain HTTP (--allow-remote listens anyway)",
            args.listen
        )));
    }
    let origin = Origin::parse(&args.upstream)
        .map_err(|e| Failure::Usage(format!("--upstream {}: {e}", args.upstream)))?;
    let channel = channel(&args, origin)?;
    let archive = args
        .keep_receipts
        .as_deref()
        .map(ReceiptArchive::open)
        .transpose()?;
    let stop = stop_signal()?;
    print_facts();
    let first = channel.ensure_verified().await;
    if let Some(code) = report_first(&args, first)? {
        return Ok(code);
    }
    let listener = TcpListener::bind(args.listen).await.map_err(|e| {
        Failure::Unreachable(format!("cannot listen on {}: {}", args.listen, e.kind()))
    })?;
    let address = listener
        .local_addr()
        .map_err(|e| Failure::Internal(e.kind().to_string()))?;
    print_line(&format!("proxy ready on http://{address}"));
    let options = Options {
        require_receipt: args.require_receipt,
        upstreams: match args.allow_unverified_upstreams {
            true => Upstreams::AnyAllowed,
            false => Upstreams::VerifiedOnly,
        },
        archive,
        max_body: args.max_body,
    };
    install_panic_hook();
    let proxy = Proxy::new(channel, options, Arc::new(StderrJournal));
    serve::serve(listener, proxy, stop).await;
    Ok(exit::ACCEPTED)
}

fn channel(args: &ProxyArgs, origin: Origin) -> Result<Arc<AttestedChannel>, Failure> {
    let trust = TrustInputs::from_args(&args.trust)?;
    if trust.policy_origin == PolicyOrigin::Absent {
        return Err(Failure::Usage(
            "--policy is required: nothing else says which service may see a prompt \
             (`sealgate-verify endpoint URL --print-policy` drafts one)"
                .to_owned(),
        ));
    }
    let clock: Arc<dyn Clock> = match args.trust.at {
        Some(_) => Arc::new(FixedClock(trust.now)),
        None => Arc::new(SystemClock),
    };
    let trust = Trust {
        roots: trust.roots,
        policy: trust.policy,
        collateral: trust.collateral,
    };
    Ok(AttestedChannel::new(
        origin,
        Arc::new(trust),
        Timeouts::default(),
        clock,
    ))
}

/// Prints the result of the first verification. Returns an exit code if the proxy has to end before it listens.
fn report_first(
    args: &ProxyArgs,
    first: Result<Arc<attest_core::TrustedPeer>, ChannelError>,
) -> Result<Option<u8>, Failure> {
    let subject = args.upstream.as_str();
    match first {
        Ok(peer) => {
            print_line(&rendered(peer.verdict(), args));
            Ok(None)
        }
        Err(ChannelError::Rejected(verdict)) => {
            print_line(&rendered(&verdict, args));
            Ok(if args.wait {
                None
            } else {
                Some(verdict.exit_code())
            })
        }
        Err(other) if args.wait => {
            eprintln!("sealgate-verify: {subject}: {other}; waiting for it");
            Ok(None)
        }
        Err(other) => Err(Failure::Unreachable(format!("{subject}: {other}"))),
    }
}

fn rendered(verdict: &Verdict, args: &ProxyArgs) -> String {
    let verdict = QualifiedVerdict {
        verdict,
        policy: PolicyOrigin::Given,
        subject: &args.upstream,
    };
    let form = match args.json {
        true => OutputFormat::Json,
        false => OutputFormat::Text(Detail::Short),
    };
    render::verdict_output(&verdict, form).trim_end().to_owned()
}

/// To standard output, flushed: the program that started the proxy waits for the ready line.
fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let broken =
        |e: std::io::Error| Failure::Internal(format!("cannot wait for signals: {}", e.kind()));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        eprintln!("sealgate-verify: stopping; responses under way are finished first");
    })
}
