//! Real binaries as child processes: found next to the running one, watched line by line, ended
//! when the test is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Where the binaries of this build lie: beside the running program, or one level up for a test
/// (cargo puts those in `deps`).
pub fn sibling(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("where is this program?")?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .with_context(|| {
            let profile = if cfg!(debug_assertions) {
                ""
            } else {
                " --release"
            };
            format!(
                "`{name}` is not built. Build the binaries these tests drive with \
                 `cargo build{profile} -p sealgate -p sealgate-verify -p testkit`"
            )
        })
}

/// A child process; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    log: Log,
}

impl Process {
    pub fn start<S: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
        directory: &Path,
    ) -> Result<Self> {
        let name = program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let log = Log::default();
        log.follow(child.stdout.take().context("no standard output")?);
        log.follow(child.stderr.take().context("no standard error")?);
        Ok(Self { name, child, log })
    }

    /// Its process id, until it was seen to have ended.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Everything it has printed so far, both streams.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits for a line for which `pick` gives a value.
    pub async fn wait_for<T>(&mut self, pick: impl Fn(&str) -> Option<T>) -> Result<T> {
        let mut changes = self.log.changes.subscribe();
        let found = timeout(TIMEOUT, async {
            loop {
                changes.mark_unchanged();
                if let Some(value) = self.log.text().lines().find_map(&pick) {
                    return Ok(value);
                }
                tokio::select! {
                    _ = changes.changed() => {}
                    ended = self.child.wait() => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        if let Some(value) = self.log.text().lines().find_map(&pick) {
                            return Ok(value);
                        }
                        bail!("{} ended early ({:?})", self.name, ended?.code());
                    }
                }
            }
        })
        .await;
        match found {
            Ok(result) => result.with_context(|| format!("{} said:\n{}", self.name, self.log())),
            Err(_) => bail!(
                "{} did not get there in time. It said:\n{}",
                self.name,
                self.log()
            ),
        }
    }

    /// Sends a signal by name, as `kill -NAME` does.
    pub fn signal(&self, name: &str) -> Result<()> {
        let id = self.child.id().context("the process has ended")?;
        let sent = std::process::Command::new("kill")
            .arg(format!("-{name}"))
            .arg(id.to_string())
            .status()
            .context("cannot run kill")?;
        if !sent.success() {
            bail!("kill -{name} {id} failed");
        }
        Ok(())
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the process to end by itself.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        timeout(TIMEOUT, self.child.wait())
            .await
            .with_context(|| format!("{} did not end in time", self.name))?
            .context("wait")
    }
}

/// Runs a program to its end.
pub async fn run<S: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = S>,
    directory: &Path,
) -> Result<Output> {
    let running = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    timeout(TIMEOUT, running)
        .await
        .with_context(|| format!("{} did not end in time", program.display()))?
        .with_context(|| format!("cannot run {}", program.display()))
}

#[derive(Clone)]
struct Log {
    text: Arc<Mutex<String>>,
    changes: watch::Sender<()>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            text: Arc::default(),
            changes: watch::Sender::new(()),
        }
    }
}

impl Log {
    fn text(&self) -> String {
        self.text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn follow(&self, stream: impl AsyncRead + Send + Unpin + 'static) {
        let log = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut text = log.text.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&line);
                text.push('\n');
                drop(text);
                log.changes.send_replace(());
            }
        });
    }
}
