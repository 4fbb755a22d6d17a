//! An engine that writes given bytes at given times.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What to do on the connection that carried a request.
pub enum Do {
    /// Nothing before this many requests have come.
    Await(usize),
    Write(Vec<u8>),
    /// Shuts the connection down cleanly.
    Close,
    /// Closes so that the other side sees a reset.
    Reset,
}

pub struct RawEngine {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
    hang_ups: Arc<AtomicUsize>,
    answers: AtomicUsize,
    acts: mpsc::UnboundedSender<Do>,
}

impl RawEngine {
    /// Handles one request at a time, by its script.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("an address");
        let (acts, mut todo) = mpsc::unbounded_channel();
        let requests: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let hang_ups: Arc<AtomicUsize> = Arc::default();
        let (seen, gone) = (requests.clone(), hang_ups.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                attend(stream, &mut todo, &seen, &gone).await;
            }
        });
        Self {
            address,
            requests,
            hang_ups,
            answers: AtomicUsize::new(0),
            acts,
        }
    }

    pub fn base(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn write(&self, bytes: impl AsRef<[u8]>) {
        self.act(Do::Write(bytes.as_ref().to_vec()));
    }

    pub fn act(&self, act: Do) {
        self.acts.send(act).expect("the engine runs");
    }

    /// A response with a length, to the next request that has not been given one.
    pub fn answer(&self, status: &str, headers: &str, body: impl AsRef<[u8]>) {
        self.act(Do::Await(self.answers.fetch_add(1, Ordering::SeqCst) + 1));
        let body = body.as_ref();
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n");
        self.write([head.as_bytes(), body].concat());
    }

    /// Heads and bodies received, one entry per request.
    pub fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock().expect("no panic");
        requests
            .iter()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .collect()
    }

    pub fn hang_ups(&self) -> usize {
        self.hang_ups.load(Ordering::SeqCst)
    }
}

async fn attend(
    mut stream: TcpStream,
    todo: &mut mpsc::UnboundedReceiver<Do>,
    requests: &Mutex<Vec<Vec<u8>>>,
    hang_ups: &AtomicUsize,
) {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    let mut awaited = 1;
    loop {
        let seen = requests.lock().expect("no panic").len();
        tokio::select! {
            got = stream.read(&mut buffer) => match got {
                Ok(0) | Err(_) => {
                    hang_ups.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Ok(count) => {
                    read.extend_from_slice(&buffer[..count]);
                    if is_whole(&read) {
                        requests.lock().expect("no panic").push(std::mem::take(&mut read));
                    }
                }
            },
            act = todo.recv(), if seen >= awaited => match act {
                Some(Do::Await(count)) => awaited = count,
                Some(Do::Write(bytes)) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Some(Do::Close) | None => return,
                Some(Do::Reset) => {
                    stream.set_zero_linger().expect("a socket option");
                    return;
                }
            },
        }
    }
}

fn is_whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")
            .map(str::to_owned)
    });
    length
        .and_then(|length| length.parse().ok())
        .is_some_and(|length: usize| body.len() >= length)
}
