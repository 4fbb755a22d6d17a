//! The service's side: starts the helper process and sends it names.
//!
//! Any task may send ([`lookup`]); one thread reads the answers and gives each to all tasks that wait for its name.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::oneshot;

use crate::helper::NAME;
use crate::wire::{self, Answer};

/// The environment variables of the system's resolver. No others are passed on: they may contain secrets.
const ENVIRONMENT: &[&str] = &[
    "LOCALDOMAIN",
    "RES_OPTIONS",
    "HOSTALIASES",
    "LD_LIBRARY_PATH",
];

/// An unprivileged user and group, which own no files.
const UNPRIVILEGED_ID: u32 = 65_534;

/// Set once by [`start`], and never replaced: an ended helper is not restarted, since a confined process cannot start
/// one.
static CLIENT: OnceLock<Client> = OnceLock::new();

struct Client {
    stream: UnixStream,
    /// Held for map operations and one short write, never across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The tasks that wait for each name. A name with an entry was sent and has no answer yet.
    waiting: HashMap<String, Vec<oneshot::Sender<Answer>>>,
    /// Until the first lookup: the arguments of the thread that reads answers.
    unstarted: Option<Unstarted>,
    /// Set once, by whichever side fails first. From then on lookups are made in this process.
    ended: bool,
}

struct Unstarted {
    helper: Child,
    on_end: fn(),
}

/// Starts the helper: this program under the name that [`Helper::requested`](crate::Helper::requested) recognises, as an
/// unprivileged user if we are root. Must be called before the process confines itself, while it has one thread.
/// `on_end` is called if the helper ends before this process does. Returns the helper's process id.
pub fn start(on_end: fn()) -> std::io::Result<u32> {
    let (ours, theirs) = UnixStream::pair()?;
    let theirs = OwnedFd::from(theirs);
    let helper = match spawn(theirs.try_clone()?, Some(UNPRIVILEGED_ID)) {
        Ok(helper) => helper,
        // Only root may change its user, and in a user namespace only to one that is mapped there.
        Err(_) => spawn(theirs, None)?,
    };
    let id = helper.id();
    let state = State {
        unstarted: Some(Unstarted { helper, on_end }),
        ..State::default()
    };
    let client = Client {
        stream: ours,
        state: Mutex::new(state),
    };
    // A second call, as in tests, keeps the first helper; the new one ends when its socket is dropped here.
    let _ = CLIENT.set(client);
    Ok(id)
}

fn spawn(socket: OwnedFd, user: Option<u32>) -> std::io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(NAME)
        .env_clear()
        .envs(ENVIRONMENT.iter().filter_map(|name| variable(name)))
        .current_dir("/")
        // Ctrl-C is for the service, which may still need names while it finishes its requests.
        .process_group(0)
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(user) = user {
        command.gid(user).uid(user);
    }
    command.spawn()
}

fn variable(name: &'static str) -> Option<(&'static str, OsString)> {
    Some((name, std::env::var_os(name)?))
}

/// The helper's answer; `None` without a helper or after it has ended.
pub async fn lookup(host: &str) -> Option<Answer> {
    let answer = CLIENT.get()?.send(host)?;
    answer.await.ok()
}

impl Client {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic under this lock leaves no half-changed state: each section is a few map operations.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the name, or joins the tasks that wait for it already.
    fn send(&'static self, host: &str) -> Option<oneshot::Receiver<Answer>> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        if let Some(unstarted) = state.unstarted.take() {
            // Not in `start`, which runs before the confinement: the reading thread must inherit it.
            let reader = std::thread::Builder::new().name("resolver".to_owned());
            state.ended = reader.spawn(|| self.read(unstarted)).is_err();
        }
        // Checked under the same lock under which the reader sets it: a sender is either answered or cleared, never
        // forgotten.
        if state.ended {
            return None;
        }
        if let Some(waiting) = state.waiting.get_mut(host) {
            waiting.push(sender);
            return Some(receiver);
        }
        // Written under the lock, so that lines are not interleaved. The helper always reads, even while it cannot
        // write: this does not block for long.
        let line = format!("{host}\n");
        if (&self.stream).write_all(line.as_bytes()).is_err() {
            state.ended = true;
            return None;
        }
        // Inserted after the write, under the lock that the reader needs to look the name up: its answer cannot come
        // too early.
        state.waiting.insert(host.to_owned(), vec![sender]);
        Some(receiver)
    }

    /// Gives answers to the waiting tasks until the helper ends.
    fn read(&self, mut unstarted: Unstarted) {
        let mut lines = BufReader::new(&self.stream).lines();
        // A line that cannot be parsed ends the helper's use: after it, answers could be given to the wrong names.
        while let Some(Ok(line)) = lines.next() {
            let Some((host, answer)) = wire::parse_answer(&line) else {
                break;
            };
            // The lock is released before sending.
            let waiting = self.state().waiting.remove(host);
            for sender in waiting.into_iter().flatten() {
                let _ = sender.send(answer.clone());
            }
        }
        {
            let mut state = self.state();
            state.ended = true;
            // Dropping the senders wakes the waiting tasks, which then look up in this process.
            state.waiting.clear();
        }
        // After the waiting tasks were released: ending the process may take a moment.
        let _ = unstarted.helper.kill();
        let _ = unstarted.helper.wait();
        (unstarted.on_end)();
    }
}
