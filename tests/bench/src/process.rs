//! Child processes: each on a separate core where `taskset` is installed, with their output in a file, ended on drop.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Which half of the machine a process runs on.
#[derive(Clone, Copy)]
pub enum Core {
    /// The load, the engine, and whatever else is not being measured.
    Load,
    /// The target under test, alone.
    Target,
    /// A target that is measured on two cores; the load shares one of them.
    Both,
}

pub struct Process {
    child: Child,
    pub log: PathBuf,
}

impl Process {
    pub fn start(core: Core, program: &Path, arguments: &[String], log: PathBuf) -> Result<Self> {
        let out =
            File::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
        let child = on_core(core, program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        Ok(Self { child, log })
    }

    /// `taskset` replaces itself with the program, so this is the program's own id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until something listens there.
    pub fn wait_for(&mut self, address: SocketAddr) -> Result<()> {
        self.wait(address, Duration::from_secs(30))
    }

    /// The same for programs that take their time.
    pub fn wait_long_for(&mut self, address: SocketAddr) -> Result<()> {
        self.wait(address, Duration::from_secs(180))
    }

    fn wait(&mut self, address: SocketAddr, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        while std::net::TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("ended with {status}:\n{}", self.last_words());
            }
            if Instant::now() > deadline {
                bail!("does not listen on {address}:\n{}", self.last_words());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Process {
    /// Asks first: a program with child processes (nginx) has to end them itself.
    fn drop(&mut self) {
        signal(self.id(), "TERM");
        signal(self.id(), "CONT");
        let give_up = Instant::now() + Duration::from_secs(3);
        while Instant::now() < give_up {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Whether a process and its threads run before everything else on their core. Needs `chrt` and the right to use it;
/// without, the figures are what the rest of the machine leaves of them.
pub fn set_precedence(pid: u32, precedence: Precedence) {
    let [policy, priority] = precedence.words();
    let _done = Command::new("chrt")
        .args([policy, "--all-tasks", "--pid", priority, &pid.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precedence {
    /// Like everything else.
    Usual,
    /// Real time: other work on the machine does not delay it. Only for loads that leave the cores idle in between.
    RealTime,
}

impl Precedence {
    /// The policy and the priority in it, as `chrt` wants them.
    const fn words(self) -> [&'static str; 2] {
        match self {
            Precedence::Usual => ["--other", "0"],
            Precedence::RealTime => ["--rr", "1"],
        }
    }
}

/// Sends a signal, by its name without `SIG`, to a process that this one started.
pub fn signal(pid: u32, name: &str) {
    let _sent = Command::new("sh")
        .args(["-c", "kill -\"$0\" \"$1\"", name, &pid.to_string()])
        .status();
}

/// A command bound to its core, or unbound where this machine has one core or no `taskset`.
pub fn on_core(core: Core, program: &Path) -> Command {
    if !pinned() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(match core {
        Core::Load => "0",
        Core::Target => "1",
        Core::Both => "0,1",
    });
    command.arg(program);
    command
}

/// Whether targets have a core to themselves.
pub fn pinned() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores > 1 && find("taskset").is_some()
}

/// Where a program is: on the path, or where Debian keeps servers.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// A loopback address on which nothing listens.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
