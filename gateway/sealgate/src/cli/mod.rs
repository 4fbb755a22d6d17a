//! The operator's command line.
//!
//! `sealgate serve`, `check`, `reload`, `keys`, `organisations`, `tenants`, `users`, `budgets`, `credits`, `admin`, `authz`, `import`, `retention`,
//! `log`. Exit status: 0 done, 1 failed, 2 a configuration or a command
//! line that cannot be used, 3 a service that stopped as it was asked to and could not write every row, receipt and log entry.

mod admin;
mod authz;
mod budgets;
mod check;
mod credentials;
mod holders;
mod import;
mod keys;
mod limits;
mod log;
mod reload;
mod retention;
mod table;

use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::serve::{ServeError, serve};
use gateway_base::config::Config;
use gateway_base::events::Event;
use gateway_contract::platform::{HardwarePlatform, Platform, PlatformError};
use harden::{self as hardening, harden};

/// A configuration or a command line that cannot be used.
const UNUSABLE: u8 = 2;
/// The service stopped as it was asked to, and could not write everything that it had to.
const UNWRITTEN: u8 = 3;
/// Every exit code: done, failed, [`UNUSABLE`], and [`UNWRITTEN`].
pub const EXIT_CODES: [u8; 4] = [0, 1, UNUSABLE, UNWRITTEN];

#[derive(Parser)]
#[command(name = "sealgate", version, about = "An OpenAI-compatible gateway that proves what it is", long_about = None)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM; SIGHUP reads the configuration again and begins a new epoch
    Serve(ConfigFile),
    /// Print what a configuration would serve, or every problem with it, its state directory and its addresses
    Check(ConfigFile),
    /// Have the running service read its configuration again, wait for it, and print the outcome
    Reload {
        #[command(flatten)]
        config: ConfigFile,
        /// Seconds to wait for the service's answer
        #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
        timeout: u64,
    },
    /// Create, list and revoke API keys
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// Create, list, change, disable and remove organisations
    Organisations {
        #[command(subcommand)]
        command: holders::OrganisationsCommand,
    },
    /// Create, list, change, disable and remove tenants
    Tenants {
        #[command(subcommand)]
        command: holders::TenantsCommand,
    },
    /// Create, list, change, disable and remove users and service accounts of tenants
    Users {
        #[command(subcommand)]
        command: holders::UsersCommand,
    },
    /// List, set and remove budgets
    Budgets {
        #[command(subcommand)]
        command: budgets::BudgetsCommand,
    },
    /// List and add prepaid credit
    Credits {
        #[command(subcommand)]
        command: budgets::CreditsCommand,
    },
    /// List, set and remove rate limits
    Limits {
        #[command(subcommand)]
        command: limits::LimitsCommand,
    },
    /// Create, list and revoke admin keys
    Admin {
        #[command(subcommand)]
        command: admin::AdminCommand,
    },
    /// Write a configuration from that of another gateway
    Import {
        #[command(subcommand)]
        command: import::ImportCommand,
    },
    /// Check, try and explain authorization policies
    Authz {
        #[command(subcommand)]
        command: authz::AuthzCommand,
    },
    /// Export the audit log
    Log {
        #[command(subcommand)]
        command: log::LogCommand,
    },
    /// Show, plan, sign and set the retention policy
    Retention {
        #[command(subcommand)]
        command: retention::RetentionCommand,
    },
}

/// The configuration, before what a command is about.
#[derive(Args)]
struct ConfigFile {
    /// The configuration file [default: sealgate.toml]
    #[arg(value_name = "CONFIG")]
    file: Option<PathBuf>,
}

impl ConfigFile {
    fn path(self) -> PathBuf {
        self.file.unwrap_or_else(|| PathBuf::from("sealgate.toml"))
    }
}

/// The command line as data, for the reference page's test.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs a command line on the machine's own hardware.
pub fn run() -> ExitCode {
    run_with(std::env::args_os(), |config| {
        HardwarePlatform::probe(config).map(|platform| Arc::new(platform) as Arc<dyn Platform>)
    })
}

/// Runs a command line (program name first) on a platform of the caller's choice.
pub fn run_with<F>(args: impl IntoIterator<Item = OsString>, platform: F) -> ExitCode
where
    F: FnOnce(&Config) -> Result<Arc<dyn Platform>, PlatformError>,
{
    if let Some(ended) = hardening::run_resolver() {
        return ended;
    }
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(UNUSABLE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match arguments.command {
        Command::Serve(config) => serve_command(config.path(), platform),
        Command::Check(config) => {
            let hardware = |config: &Config| platform(config).map(drop);
            match runtime() {
                Ok(runtime) => runtime.block_on(check::run(&config.path(), hardware)),
                Err(error) => cannot_start(&error),
            }
        }
        Command::Reload { config, timeout } => {
            reload::run(&config.path(), Duration::from_secs(timeout))
        }
        Command::Keys { command } => match runtime() {
            Ok(runtime) => runtime.block_on(keys::run(command)),
            Err(error) => cannot_start(&error),
        },
        Command::Organisations { command } => match runtime() {
            Ok(runtime) => runtime.block_on(holders::run_organisations(command)),
            Err(error) => cannot_start(&error),
        },
        Command::Tenants { command } => match runtime() {
            Ok(runtime) => runtime.block_on(holders::run_tenants(command)),
            Err(error) => cannot_start(&error),
        },
        Command::Users { command } => match runtime() {
            Ok(runtime) => runtime.block_on(holders::run_users(command)),
            Err(error) => cannot_start(&error),
        },
        Command::Budgets { command } => match runtime() {
            Ok(runtime) => runtime.block_on(budgets::run_budgets(command)),
            Err(error) => cannot_start(&error),
        },
        Command::Credits { command } => match runtime() {
            Ok(runtime) => runtime.block_on(budgets::run_credits(command)),
            Err(error) => cannot_start(&error),
        },
        Command::Limits { command } => match runtime() {
            Ok(runtime) => runtime.block_on(limits::run(command)),
            Err(error) => cannot_start(&error),
        },
        Command::Admin { command } => match runtime() {
            Ok(runtime) => runtime.block_on(admin::run(command)),
            Err(error) => cannot_start(&error),
        },
        Command::Import { command } => import::run(command),
        Command::Authz { command } => authz::run(command),
        Command::Log { command } => match runtime() {
            Ok(runtime) => runtime.block_on(log::run(command)),
            Err(error) => cannot_start(&error),
        },
        Command::Retention { command } => match runtime() {
            Ok(runtime) => runtime.block_on(retention::run(command)),
            Err(error) => cannot_start(&error),
        },
    }
}

fn runtime() -> std::io::Result<Runtime> {
    runtime_builder().build()
}

fn runtime_builder() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder
        .enable_all()
        .on_thread_park(scrub::wipe_unused_stack);
    builder
}

fn cannot_start(error: &std::io::Error) -> ExitCode {
    eprintln!("sealgate: cannot start: {error}");
    ExitCode::FAILURE
}

/// Hardens the process while it has one thread, then serves.
fn serve_command<F>(file: PathBuf, platform: F) -> ExitCode
where
    F: FnOnce(&Config) -> Result<Arc<dyn Platform>, PlatformError>,
{
    let config = match Config::load(&file) {
        Ok(config) => config,
        Err(error) => return unusable(&error),
    };
    // Probed before the confinement, so that the error for a machine without a TEE lists what is really there.
    let platform = match platform(&config) {
        Ok(platform) => platform,
        Err(error) => {
            eprintln!("sealgate: {error}");
            return ExitCode::FAILURE;
        }
    };
    gateway_base::events::install_panic_hook();
    // Read from the control group's files, which are out of reach later.
    let workers = std::thread::available_parallelism();
    // The confinement's rules need an existing directory.
    let _ = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.server.state_dir);
    // Before `harden`: afterwards this process can start no other, and there must be no second thread before it either.
    if let Err(error) = hardening::start_resolver(resolver_ended) {
        eprintln!(
            "sealgate: no separate process resolves names ({error}): once /etc/resolv.conf or /etc/hosts is replaced, \
             a restart is needed"
        );
    }
    hardening::raise_descriptor_limit();
    if let Err(error) = harden(&config.accessible_files(), &config.hardening.require) {
        eprintln!("sealgate: {error}");
        return ExitCode::FAILURE;
    }
    // `serve` reads it again under the confinement, so a file that a reload could not read is noticed at the start.
    drop(config);
    let mut builder = runtime_builder();
    if let Ok(workers) = workers {
        builder.worker_threads(workers.get());
    }
    match builder.build() {
        Ok(runtime) => runtime.block_on(serve_until_stopped(file, platform)),
        Err(error) => cannot_start(&error),
    }
}

fn resolver_ended() {
    gateway_base::events::emit(Event::ResolverEnded);
}

async fn serve_until_stopped(file: PathBuf, platform: Arc<dyn Platform>) -> ExitCode {
    let shutdown = match stop_signal() {
        Ok(shutdown) => shutdown,
        Err(error) => {
            eprintln!("sealgate: cannot receive signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    match serve(&file, platform, shutdown, |_| {}).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(ServeError::Config(error)) => unusable(&error),
        Err(error @ ServeError::DroppedAtStop(_)) => {
            eprintln!("sealgate: {error}");
            ExitCode::from(UNWRITTEN)
        }
        Err(error) => {
            eprintln!("sealgate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn unusable(error: &gateway_base::config::ConfigError) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(UNUSABLE)
}

fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            // Registered before the future is polled: a signal during the start stops the service as soon as it serves.
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
