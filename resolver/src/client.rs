//! The service's side: starts the helper, and asks it.

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

/// What the system's resolver reads of its environment. Nothing else is handed over: it may hold secrets.
const ENVIRONMENT: &[&str] = &[
    "LOCALDOMAIN",
    "RES_OPTIONS",
    "HOSTALIASES",
    "LD_LIBRARY_PATH",
];

/// The user that owns nothing, and its group.
const UNPRIVILEGED_ID: u32 = 65_534;

static CLIENT: OnceLock<Client> = OnceLock::new();

struct Client {
    stream: UnixStream,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who waits for which name. A name with an entry has been asked for and not been answered.
    waiting: HashMap<String, Vec<oneshot::Sender<Answer>>>,
    /// Before the first question: what the thread that reads answers will be started with.
    unread: Option<Unread>,
    ended: bool,
}

struct Unread {
    helper: Child,
    on_end: fn(),
}

/// Starts the helper: this program under the name that [`Helper::requested`](crate::Helper::requested) knows, as the
/// user nobody where we are root. To be called before the process confines itself, while it has one thread.
/// `on_end` is called should the helper end before this process does. Returns the helper's process id.
pub fn start(on_end: fn()) -> std::io::Result<u32> {
    let (ours, theirs) = UnixStream::pair()?;
    let theirs = OwnedFd::from(theirs);
    let helper = match spawn(theirs.try_clone()?, Some(UNPRIVILEGED_ID)) {
        Ok(helper) => helper,
        // Only root may change its user, and only to one that exists where it is.
        Err(_) => spawn(theirs, None)?,
    };
    let id = helper.id();
    let state = State {
        unread: Some(Unread { helper, on_end }),
        ..State::default()
    };
    let client = Client {
        stream: ours,
        state: Mutex::new(state),
    };
    let _ = CLIENT.set(client);
    Ok(id)
}

fn spawn(socket: OwnedFd, user: Option<u32>) -> std::io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(NAME)
        .env_clear()
        .envs(ENVIRONMENT.iter().filter_map(|name| kept(name)))
        .current_dir("/")
        // A Ctrl-C is for the service, which may still need names while it finishes what it has begun.
        .process_group(0)
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(user) = user {
        command.gid(user).uid(user);
    }
    command.spawn()
}

fn kept(name: &'static str) -> Option<(&'static str, OsString)> {
    Some((name, std::env::var_os(name)?))
}

/// The helper's answer. None where there is no helper, or no longer.
pub async fn ask(host: &str) -> Option<Answer> {
    let answer = CLIENT.get()?.send(host)?;
    answer.await.ok()
}

impl Client {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, or joins those who wait for the same name.
    fn send(&'static self, host: &str) -> Option<oneshot::Receiver<Answer>> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        if let Some(unread) = state.unread.take() {
            // Not in `start`: this thread has to be confined as the one that asks is.
            let reader = std::thread::Builder::new().name("resolver".to_owned());
            state.ended = reader.spawn(|| self.read(unread)).is_err();
        }
        if state.ended {
            return None;
        }
        if let Some(waiting) = state.waiting.get_mut(host) {
            waiting.push(sender);
            return Some(receiver);
        }
        // Under the lock, so that lines are whole. The helper reads whatever it does besides: this cannot block for long.
        let line = format!("{host}\n");
        if (&self.stream).write_all(line.as_bytes()).is_err() {
            state.ended = true;
            return None;
        }
        state.waiting.insert(host.to_owned(), vec![sender]);
        Some(receiver)
    }

    /// Hands out answers until the helper ends.
    fn read(&self, mut unread: Unread) {
        let mut lines = BufReader::new(&self.stream).lines();
        while let Some(Ok(line)) = lines.next() {
            let Some((host, answer)) = wire::parse_answer(&line) else {
                break;
            };
            let waiting = self.state().waiting.remove(host);
            for sender in waiting.into_iter().flatten() {
                let _ = sender.send(answer.clone());
            }
        }
        {
            let mut state = self.state();
            state.ended = true;
            // Who waits asks in this process instead.
            state.waiting.clear();
        }
        let _ = unread.helper.kill();
        let _ = unread.helper.wait();
        (unread.on_end)();
    }
}
