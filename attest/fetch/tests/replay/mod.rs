//! A vendor's service on the loopback: answers from memory, in sequence where there are several,
//! and a record of what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One answer, well or badly.
#[derive(Clone, Debug)]
pub enum Reply {
    Ok(Vec<u8>),
    /// 200 with this content type.
    Typed(&'static str, Vec<u8>),
    Status(u16),
    /// 429 with this Retry-After.
    Later(Option<&'static str>),
    Silence,
    /// Half of the body, then the end of the connection.
    BrokenOff(Vec<u8>),
    Endless,
}

/// What a service was asked: path with query, and body.
pub type Asked = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Serves from now on; the last reply of a path is given again and again. Other paths are 404.
pub async fn serve(replies: Vec<(String, Vec<Reply>)>) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let asked = Asked::default();
    let record = asked.clone();
    let replies = Arc::new(Mutex::new(BTreeMap::from_iter(replies)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, replies.clone(), record.clone()));
        }
    });
    (format!("http://{address}"), asked)
}

async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(read @ 1..) => bytes.extend_from_slice(&piece[..read]),
            _ => return None,
        }
        let Some(end) = bytes.windows(4).position(|at| at == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().expect("a length"));
        if bytes.len() >= end + 4 + length {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            return Some((path, bytes[end + 4..].to_vec()));
        }
    }
}

async fn answer(
    mut stream: TcpStream,
    replies: Arc<Mutex<BTreeMap<String, Vec<Reply>>>>,
    record: Asked,
) {
    let Some((path, body)) = request(&mut stream).await else {
        return;
    };
    record.lock().expect("no panic").push((path.clone(), body));
    let reply = match replies.lock().expect("no panic").get_mut(&path) {
        Some(several) if several.len() > 1 => several.remove(0),
        Some(one) => one[0].clone(),
        None => Reply::Status(404),
    };
    let ok = |kind: &str, length: usize| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        )
    };
    let error = |status: u16, headers: &str| {
        format!("HTTP/1.1 {status} No\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n")
    };
    const BINARY: &str = "application/octet-stream";
    let (head, body) = match reply {
        Reply::Ok(body) => (ok(BINARY, body.len()), body),
        Reply::Typed(kind, body) => (ok(kind, body.len()), body),
        Reply::Status(status) => (error(status, ""), vec![]),
        Reply::Later(None) => (error(429, ""), vec![]),
        Reply::Later(Some(after)) => (error(429, &format!("retry-after: {after}\r\n")), vec![]),
        Reply::BrokenOff(body) => (ok(BINARY, body.len()), body[..body.len() / 2].to_vec()),
        Reply::Silence => {
            tokio::time::sleep(std::time::Duration::from_secs(30)).await;
            return;
        }
        Reply::Endless => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
                .await;
            while stream.write_all(&[b'0'; 4096]).await.is_ok() {}
            return;
        }
    };
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&body).await;
    let _ = stream.shutdown().await;
}
