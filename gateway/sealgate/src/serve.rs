//! The service, from its configuration to its last connection.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use attest_core::TeeType;
use gateway_admin::{self as admin, Admin};
use gateway_base::config::{Config, ConfigError, Gpus, Tee, TeeKind};
use gateway_base::descriptors;
use gateway_base::descriptors::ConnectionLimits;
use gateway_base::events::{self, Event};
use gateway_base::metrics::Metrics;
use gateway_base::telemetry::Exporter;
use gateway_contract::attestation::ReportQueue;
use gateway_contract::check;
use gateway_contract::epoch::EpochError;
use gateway_contract::evidence::Hardware;
use gateway_contract::platform::Platform;
use gateway_contract::rotation::{EpochRotation, Reload};
use gateway_path::admit::{Admission, Keyring};
use gateway_path::http::{PublicState, health_router, router};
use gateway_path::listen::{
    Authentication, Listener, accept, bind_plain, serve_health, serve_metrics,
};
use gateway_path::receipt::ReceiptStore;
use gateway_path::receipt::RequestServices;
use gateway_retention::{self as retention, Records};
use gateway_store::StoreError;
use gateway_store::ledger::{DroppedAtStop, Ledger};
use harden as hardening;

/// Why the service did not start, or stopped with an error.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("[tee] kind = \"{wanted}\", but this platform has no evidence")]
    NoEvidence { wanted: &'static str },
    #[error("[tee] kind = \"{wanted}\", but this platform offers {found} evidence")]
    OtherEvidence {
        wanted: &'static str,
        found: &'static str,
    },
    #[error("[tee] gpus = \"nvidia\", but this platform has no evidence of GPUs")]
    NoDevices,
    #[error("{0}")]
    Ledger(#[from] StoreError),
    #[error("{0}")]
    Epoch(#[from] EpochError),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot receive signals: {0}")]
    Signals(std::io::Error),
    /// The service ran and stopped, and lost these.
    #[error(
        "stopped, and could not write {} usage rows, {} receipts, {} sessions and {} entries of the audit log",
        .0.rows.usage, .0.rows.receipts, .0.rows.sessions, .0.log_entries
    )]
    DroppedAtStop(DroppedAtStop),
}

/// How the caller controls a running service.
pub struct Controls {
    /// Resolves when the service is to stop.
    pub shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Each message requests that the configuration is read again.
    pub reload: mpsc::Receiver<Reload>,
    /// Called with the address once connections are accepted.
    pub ready: Box<dyn FnOnce(SocketAddr) + Send>,
}

/// Serves until `shutdown` resolves, reading the configuration again on SIGHUP.
pub async fn serve(
    config_file: &Path,
    platform: Arc<dyn Platform>,
    shutdown: impl Future<Output = ()> + Send + 'static,
    ready: impl FnOnce(SocketAddr) + Send + 'static,
) -> Result<(), ServeError> {
    let mut hangups = signal(SignalKind::hangup()).map_err(ServeError::Signals)?;
    let (requests, reload) = mpsc::channel(1);
    let forward = async move {
        while hangups.recv().await.is_some() {
            // One waiting request is enough.
            let _ = requests.try_send(Reload);
        }
    };
    let controls = Controls {
        shutdown: Box::pin(shutdown),
        reload,
        ready: Box::new(ready),
    };
    tokio::select! {
        outcome = serve_with(config_file, platform, controls) => outcome,
        // Does not end in practice: the stream of signals lives as long as the runtime.
        () = forward => Ok(()),
    }
}

/// Serves under the given controls, without handling signals.
pub async fn serve_with(
    config_file: &Path,
    platform: Arc<dyn Platform>,
    controls: Controls,
) -> Result<(), ServeError> {
    let config = Config::load(config_file)?;
    // Before the log is installed, whose subscriber includes the exporter's sink and cannot be changed afterwards.
    let (exporter, tap) = Exporter::start(&config.telemetry).unzip();
    events::install(config.log.format, config.log.level, tap);
    if let Some(facts) = hardening::observed() {
        events::emit(Event::Hardened {
            facts: *facts,
            required: config.hardening.require.clone(),
        });
    }
    let (needed, limit) = (
        descriptors::required(&config.limits),
        hardening::descriptor_limit(),
    );
    if needed > limit {
        events::emit(Event::DescriptorsShort {
            limit,
            needed,
            requests: descriptors::max_requests(limit).min(config.limits.max_concurrent),
        });
    }
    let hardware = hardware(&*platform, &config.tee)?;
    let clock = platform.clock();
    let metrics = Arc::new(Metrics::default());
    // Addresses are bound before anything is written, so that a second service in the same directory fails here.
    // Connections wait in the kernel's queue until `accept` runs.
    let listener = listen(&config)?;
    let admin_listener = admin_listener(&config)?;
    let plain = PlainListeners {
        health: plain_listener(config.health.listen, |address| Event::HealthListening {
            address,
        })?,
        metrics: plain_listener(config.metrics.listen, |address| Event::MetricsListening {
            address,
        })?,
    };
    let ledger = Arc::new(open_ledger(&config).await?);
    let problems = check::problems(&config, &ledger.policies().all().await?);
    if !problems.is_empty() {
        // Closed properly, so that the next start finds no write-ahead log to recover.
        ledger.close().await;
        let file = config.file;
        return Err(ServeError::Config(ConfigError { file, problems }));
    }
    for problem in check::warnings(&config) {
        let file = config.file.clone();
        events::emit(Event::ConfigWarning { file, problem });
    }
    // Keys before the first epoch: from the first accepted connection on, requests can be authenticated.
    let keyring = Keyring::open(&ledger, &config.server.state_dir).await?;
    let state_dir = config.server.state_dir.clone();
    let rotation =
        EpochRotation::start(config, ledger.clone(), clock.clone(), metrics.clone()).await?;
    let rotation = Arc::new(rotation);
    let records = Records::new(&state_dir, ledger.clone());
    let front = Arc::new(PublicState {
        admission: Admission::new(keyring.clone(), ledger.clone(), clock.clone()),
        services: Arc::new(RequestServices {
            receipts: Arc::new(ReceiptStore::new(ledger.clone())),
            records: records.clone(),
            ledger: ledger.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
        }),
        report_queue: Arc::new(ReportQueue::new(hardware, platform, metrics.clone())),
        rotation: rotation.clone(),
        ledger: ledger.clone(),
        metrics: metrics.clone(),
    });
    let admin = Arc::new(Admin {
        ledger: ledger.clone(),
        keyring,
        records,
        report_queue: front.report_queue.clone(),
        clock,
    });
    let admin = admin_listener.map(|listener| (listener, admin::router(admin)));
    let unwritten = run(listener, admin, plain, front, controls).await;
    if !unwritten.is_nothing() {
        events::emit(Event::StoppedUnwritten {
            usage: unwritten.rows.usage,
            receipts: unwritten.rows.receipts,
            sessions: unwritten.rows.sessions,
            log_entries: unwritten.log_entries,
        });
    }
    // After the last requests, whose events it has to send; before the last log line, which needs no collector.
    if let Some(exporter) = exporter {
        exporter.finish().await;
    }
    events::emit(Event::Stopped);
    if unwritten.is_nothing() {
        Ok(())
    } else {
        Err(ServeError::DroppedAtStop(unwritten))
    }
}

async fn open_ledger(config: &Config) -> Result<Ledger, StoreError> {
    let state_dir = &config.server.state_dir;
    Ledger::open_bounded(state_dir, config.receipts.keep, config.ledger).await
}

async fn run(
    (listener, address): (Listener, SocketAddr),
    admin: Option<(Listener, Router)>,
    plain: PlainListeners,
    front: Arc<PublicState>,
    controls: Controls,
) -> DroppedAtStop {
    let connections = listener.connections();
    let admin_connections = admin.as_ref().map(|(listener, _)| listener.connections());
    let (rotation, ledger) = (front.rotation.clone(), front.ledger.clone());
    let metrics = async {
        match plain.metrics {
            Some(listener) => serve_metrics(listener, front.metrics.clone(), ledger.clone()).await,
            None => std::future::pending().await,
        }
    };
    let health = async {
        match plain.health {
            Some(listener) => serve_health(listener, health_router(front.clone())).await,
            None => std::future::pending().await,
        }
    };
    let receipts = Arc::clone(&front.services.receipts);
    // Deletes once at the start, too, what expired while no service was running.
    let purging = retention::purge::run(
        front.services.records.clone(),
        Arc::clone(&front.ledger),
        move || receipts.sweep(),
    );
    let epoch = rotation.current();
    events::emit(Event::Listening {
        address,
        epoch: epoch.number,
        keyset: epoch.keyset_digest,
    });
    drop(epoch);
    let accepting = accept(
        listener,
        front.clone(),
        router(front.clone()),
        Authentication::ApiKey,
    );
    let administering = async {
        match admin {
            Some((listener, router)) => {
                let by_handlers = Authentication::ByHandlers;
                accept(listener, front.clone(), router, by_handlers).await
            }
            None => std::future::pending().await,
        }
    };
    // The socket accepts connections since it was bound; only now is there a task that serves them.
    (controls.ready)(address);
    {
        // All of these end here, when the service is to stop.
        tokio::select! {
            // When one is ready, `select!` drops the others, and with them the listening sockets: no connection is
            // accepted during the drain.
            () = accepting => {}
            () = administering => {}
            () = rotation.run(controls.reload) => {}
            () = metrics => {}
            () = health => {}
            () = purging => {}
            () = controls.shutdown => {}
        }
    }
    events::emit(Event::Stopping);
    // Of the epoch that is active now, not of the one that the service started with.
    let drain_timeout = rotation.current().config.server.drain_timeout;
    let administrators = async {
        match admin_connections {
            Some(connections) => connections.drain(drain_timeout).await,
            None => 0,
        }
    };
    // Together, under one timeout. The tasks of connections are not aborted: what is left ends with the process.
    let (left, administrators) = tokio::join!(connections.drain(drain_timeout), administrators);
    let left = left + administrators;
    if left > 0 {
        events::emit(Event::StoppedShort { connections: left });
    }
    // Last: rows and receipts of the drained requests are in its queue.
    ledger.close_service(front.services.clock.now()).await
}

/// The hardware that signs reports; none without a TEE in the configuration.
fn hardware(platform: &dyn Platform, tee: &Tee) -> Result<Option<Hardware>, ServeError> {
    let cpu = match tee.kind {
        TeeKind::None => return Ok(None),
        TeeKind::Tdx => evidence(platform, TeeType::Tdx, tee.kind)?,
        TeeKind::Snp => evidence(platform, TeeType::SevSnp, tee.kind)?,
    };
    let devices = match tee.gpus {
        Gpus::None => None,
        Gpus::Nvidia { .. } => Some(platform.devices().ok_or(ServeError::NoDevices)?),
    };
    Ok(Some(Hardware {
        cpu,
        devices,
        event_log: platform.event_log(),
    }))
}

fn evidence(
    platform: &dyn Platform,
    wanted: TeeType,
    kind: TeeKind,
) -> Result<Arc<dyn attest_collect::Attester>, ServeError> {
    let attester = platform.attester().ok_or(ServeError::NoEvidence {
        wanted: kind.as_str(),
    })?;
    let found = attester.tee_type();
    if found == wanted {
        Ok(attester)
    } else {
        Err(ServeError::OtherEvidence {
            wanted: kind.as_str(),
            found: found.name(),
        })
    }
}

fn listen(config: &Config) -> Result<(Listener, SocketAddr), ServeError> {
    let address = config.server.listen;
    let limits = descriptors::connection_limits(hardening::descriptor_limit(), &config.limits);
    Listener::bind(address, limits)
        .and_then(|listener| listener.address().map(|bound| (listener, bound)))
        .map_err(|source| ServeError::Listen { address, source })
}

/// Separate from the clients' limits, so that clients and administrators cannot exhaust each other's connections.
const ADMIN_PLACES: ConnectionLimits = ConnectionLimits {
    authenticated: 64,
    unauthenticated: 32,
};

fn admin_listener(config: &Config) -> Result<Option<Listener>, ServeError> {
    let Some(address) = config.admin.listen else {
        return Ok(None);
    };
    let failed = |source| ServeError::Listen { address, source };
    let listener = Listener::bind(address, ADMIN_PLACES).map_err(failed)?;
    let address = listener.address().map_err(failed)?;
    events::emit(Event::AdminListening { address });
    Ok(Some(listener))
}

/// Listeners without TLS.
struct PlainListeners {
    health: Option<Listener>,
    metrics: Option<Listener>,
}

fn plain_listener(
    address: Option<SocketAddr>,
    event: impl FnOnce(SocketAddr) -> Event,
) -> Result<Option<Listener>, ServeError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let failed = |source| ServeError::Listen { address, source };
    let listener = bind_plain(address).map_err(failed)?;
    events::emit(event(listener.address().map_err(failed)?));
    Ok(Some(listener))
}
