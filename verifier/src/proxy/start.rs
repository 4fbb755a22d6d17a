//! Start and end of the proxy: arguments, the first verification, the listener, Ctrl-C.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use attest_channel::{AttestedChannel, ChannelError, Clock, Origin, SystemClock, Timeouts, Trust};
use attest_core::{UnixTime, Verdict};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::args::ProxyArgs;
use super::journal::tell_panics_by_place;
use super::{Options, Proxy, Shelf, Stderr, Upstreams, hardened, listen};
use crate::failure::{Failure, exit};
use crate::judge::Judge;
use crate::judged::{Judged, PolicyOrigin};
use crate::render::{self, Detail, Form};

/// A clock that stands at `--at`.
struct StandingClock(UnixTime);

impl Clock for StandingClock {
    fn now(&self) -> UnixTime {
        self.0
    }
}

/// Runs until it is told to stop.
pub async fn run(args: ProxyArgs) -> Result<u8, Failure> {
    if !listen::is_private(&args.listen) && !args.allow_remote {
        return Err(Failure::Usage(format!(
            "--listen {}: not a loopback address; the hop to the proxy is plain HTTP (--allow-remote listens anyway)",
            args.listen
        )));
    }
    let origin = Origin::parse(&args.upstream)
        .map_err(|e| Failure::Usage(format!("--upstream {}: {e}", args.upstream)))?;
    let channel = channel(&args, origin)?;
    let shelf = args.keep_receipts.as_deref().map(Shelf::open).transpose()?;
    let stop = stop_signal()?;
    hardened::print_facts();
    let first = channel.ensure_verified().await;
    if let Some(code) = tell_first(&args, first)? {
        return Ok(code);
    }
    let listener = TcpListener::bind(args.listen).await.map_err(|e| {
        Failure::Unreachable(format!("cannot listen on {}: {}", args.listen, e.kind()))
    })?;
    let address = listener
        .local_addr()
        .map_err(|e| Failure::Internal(e.kind().to_string()))?;
    say(&format!("proxy ready on http://{address}"));
    let options = Options {
        require_receipt: args.require_receipt,
        upstreams: match args.allow_unverified_upstreams {
            true => Upstreams::AnyAllowed,
            false => Upstreams::VerifiedOnly,
        },
        shelf,
        max_body: args.max_body,
    };
    tell_panics_by_place();
    let proxy = Proxy::new(channel, options, Arc::new(Stderr));
    listen::serve(listener, proxy, stop).await;
    Ok(exit::ACCEPTED)
}

fn channel(args: &ProxyArgs, origin: Origin) -> Result<Arc<AttestedChannel>, Failure> {
    let judge = Judge::from_args(&args.judge)?;
    if judge.policy_origin == PolicyOrigin::Absent {
        return Err(Failure::Usage(
            "--policy is required: nothing else says which service may see a prompt \
             (`sealgate-verify endpoint URL --print-policy` drafts one)"
                .to_owned(),
        ));
    }
    let clock: Arc<dyn Clock> = match args.judge.at {
        Some(_) => Arc::new(StandingClock(judge.now)),
        None => Arc::new(SystemClock),
    };
    let trust = Trust {
        roots: judge.roots,
        policy: judge.policy,
        collateral: judge.collateral,
    };
    Ok(AttestedChannel::new(
        origin,
        Arc::new(trust),
        Timeouts::default(),
        clock,
    ))
}

/// Shows how the first verification went. An exit code ends the proxy before it listens.
fn tell_first(
    args: &ProxyArgs,
    first: Result<Arc<attest_core::TrustedPeer>, ChannelError>,
) -> Result<Option<u8>, Failure> {
    let subject = args.upstream.as_str();
    match first {
        Ok(peer) => {
            say(&shown(peer.verdict(), args));
            Ok(None)
        }
        Err(ChannelError::Rejected(verdict)) => {
            say(&shown(&verdict, args));
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

fn shown(verdict: &Verdict, args: &ProxyArgs) -> String {
    let judged = Judged {
        verdict,
        policy: PolicyOrigin::Given,
        subject: &args.upstream,
    };
    let form = match args.json {
        true => Form::Json,
        false => Form::Person(Detail::Short),
    };
    render::verdict_output(&judged, form).trim_end().to_owned()
}

/// To standard output, at once: whoever started the proxy waits for the ready line.
fn say(line: &str) {
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
        // A second signal is not waited for: the default action ends the process.
        tokio::time::sleep(Duration::ZERO).await;
    })
}
