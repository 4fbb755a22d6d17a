//! The helper's side: the process that looks names up.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::wire;

/// The first argument (the program's name) with which the program runs as the helper.
pub(crate) const NAME: &str = "sealgate-resolver";

/// Concurrent lookups. A name server that does not answer occupies each for some seconds.
const THREADS: usize = 32;

/// What a helper reads: directories, so that replaced files can be read too. The resolver's files, its
/// modules, and what systemd-resolved, NetworkManager, resolvconf and sssd write.
const DIRECTORIES: &[&str] = &[
    "/etc",
    "/run",
    "/var/run",
    "/var/lib/sss",
    "/lib",
    "/lib64",
    "/usr",
    "/nix/store",
    "/gnu/store",
    "/dev/null",
    "/dev/urandom",
];

/// The resolver's files, which may be links to elsewhere.
const FILES: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/host.conf",
];

/// Proof that this process was started as the helper.
pub struct Helper(());

impl Helper {
    /// Whether this process was started as the helper. Programs call this before they read their arguments.
    pub fn requested() -> Option<Self> {
        let name = std::env::args_os().next()?;
        (name == OsStr::new(NAME)).then_some(Self(()))
    }

    /// The directories that a helper needs to read; it writes none.
    pub const DIRECTORIES: &'static [&'static str] = DIRECTORIES;
    /// Files below the first of them that may be links to elsewhere.
    pub const FILES: &'static [&'static str] = FILES;

    /// Answers until the service ends.
    pub fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(THREADS)
            .build();
        let served = runtime.and_then(|runtime| {
            let ended = runtime.block_on(serve());
            // Does not wait for threads that still wait for a name server.
            runtime.shutdown_background();
            ended
        });
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }
}

async fn serve() -> std::io::Result<()> {
    // A service manager may send these to every process of the service, which needs names while it finishes its
    // requests. The helper ignores them and ends when the socket closes.
    let _terminate = signal(SignalKind::terminate())?;
    let _interrupt = signal(SignalKind::interrupt())?;
    let _hangup = signal(SignalKind::hangup())?;
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    let (names, answers) = tokio::net::UnixStream::from_std(socket)?.into_split();
    let (sender, lines) = mpsc::unbounded_channel();
    tokio::select! {
        // Concurrent, so that names are read while an answer cannot be written: otherwise the service's write, and with it
        // its lock, could block.
        ended = read(names, sender) => ended,
        ended = write(answers, lines) => ended,
    }
}

async fn read(names: OwnedReadHalf, answers: mpsc::UnboundedSender<String>) -> std::io::Result<()> {
    let mut lines = BufReader::new(names).lines();
    while let Some(host) = lines.next_line().await? {
        let answers = answers.clone();
        tokio::spawn(async move {
            let answer = crate::in_this_process(&host).await;
            // Unbounded, but each line answers a name that the service waits for, and it sends each name once.
            let _ = answers.send(wire::answer_line(&host, &answer));
        });
    }
    Ok(())
}

async fn write(
    mut answers: OwnedWriteHalf,
    mut lines: mpsc::UnboundedReceiver<String>,
) -> std::io::Result<()> {
    while let Some(line) = lines.recv().await {
        answers.write_all(line.as_bytes()).await?;
    }
    Ok(())
}
