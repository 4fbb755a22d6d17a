//! A vendor's service on the loopback: answers by path, the longest that the request begins with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What goes wrong with one answer.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Another status, perhaps with a header.
    Status(&'static str),
    /// Half of the body, then the end of the connection.
    BrokenOff,
    OtherBody,
    /// Nothing, until the client times out.
    Silence,
}

#[derive(Default)]
pub struct Service {
    answers: BTreeMap<String, Vec<Vec<u8>>>,
    fault: Option<(String, Fault)>,
}

impl Service {
    pub fn answering(self, path: &str, body: Vec<u8>) -> Self {
        self.answering_in_turn(path, vec![body])
    }

    /// One after the other, the last for ever.
    pub fn answering_in_turn(mut self, path: &str, bodies: Vec<Vec<u8>>) -> Self {
        let mut reversed = bodies;
        reversed.reverse();
        self.answers.insert(path.to_owned(), reversed);
        self
    }

    pub fn with_fault(mut self, path: &str, fault: Fault) -> Self {
        self.fault = Some((path.to_owned(), fault));
        self
    }

    /// Serves until the test ends; the base URL comes back.
    pub async fn serve(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = Arc::new((Mutex::new(self.answers), self.fault));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let _ = answer(stream, &service.0, service.1.as_ref()).await;
                });
            }
        });
        format!("http://{address}")
    }
}

type Answers = Mutex<BTreeMap<String, Vec<Vec<u8>>>>;

async fn answer(
    mut stream: TcpStream,
    answers: &Answers,
    fault: Option<&(String, Fault)>,
) -> std::io::Result<()> {
    let path = request(&mut stream).await?;
    let found = next(answers, &path);
    let Some((at, body)) = found else {
        let none = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        return stream.write_all(none).await;
    };
    let (status, length, body) = match fault.filter(|(path, _)| *path == at) {
        Some((_, Fault::Status(status))) => (*status, 0, Vec::new()),
        Some((_, Fault::BrokenOff)) => ("200 OK", body.len(), body[..body.len() / 2].to_vec()),
        Some((_, Fault::OtherBody)) => ("200 OK", 2, b"{}".to_vec()),
        Some((_, Fault::Silence)) => return std::future::pending().await,
        None => ("200 OK", body.len(), body),
    };
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
}

/// Reads head and body of a request; its path comes back.
async fn request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let lengths = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok()).flatten()
    });
    let mut body = vec![0; lengths.into_iter().next().unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    Ok(head.split(' ').nth(1).unwrap_or_default().to_owned())
}

fn next(answers: &Answers, path: &str) -> Option<(String, Vec<u8>)> {
    let mut answers = answers.lock().ok()?;
    let known = answers.keys().filter(|known| path.starts_with(*known));
    let at = known.max_by_key(|known| known.len())?.clone();
    let left = answers.get_mut(&at)?;
    let body = match left.len() {
        1 => left.first().cloned(),
        _ => left.pop(),
    };
    Some((at, body?))
}
