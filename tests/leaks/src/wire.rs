//! A client without a library: it writes the given bytes in the given pieces, and closes the connection on request.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::Door;
use testkit::client::TlsClient;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open connection.
pub struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// A canary that its heads hold.
    word: String,
    /// The ids of the receipts in the answers.
    pub receipts: Vec<String>,
    /// The bodies of the errors it was given.
    pub errors: Vec<Vec<u8>>,
}

/// How a request says where its body ends.
#[derive(Clone, Copy)]
pub enum Length {
    Announced(usize),
    Chunked,
    /// In both ways.
    Disputed(usize),
}

/// The beginning of a response.
pub struct Head {
    pub status: u16,
    length: Option<usize>,
}

impl Wire {
    pub async fn open(door: &Door) -> Result<Self> {
        let stream: Box<dyn Stream> = if door.tls {
            Box::new(TlsClient::observing().raw(door.address).await?)
        } else {
            let tcp = TcpStream::connect(door.address).await.context("connect")?;
            tcp.set_nodelay(true)?;
            Box::new(tcp)
        };
        Ok(Self {
            stream,
            buffer: Vec::new(),
            word: door.word.clone(),
            receipts: Vec::new(),
            errors: Vec::new(),
        })
    }

    pub async fn head(&mut self, key: &str, path: &str, length: Length) -> Result<()> {
        let length = match length {
            Length::Announced(length) => format!("content-length: {length}"),
            Length::Chunked => "transfer-encoding: chunked".to_owned(),
            Length::Disputed(length) => {
                format!("content-length: {length}\r\ntransfer-encoding: chunked")
            }
        };
        let word = &self.word;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json; note={word}\r\ncookie: session={word}\r\n\
             user-agent: hunter/{word}\r\nx-note: {word} {word}\r\n{length}\r\n\r\n"
        );
        self.write(head.as_bytes()).await
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await.context("write")?;
        self.stream.flush().await.context("flush")
    }

    pub async fn chunk(&mut self, bytes: &[u8]) -> Result<()> {
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        self.write(&framed).await
    }

    pub async fn last_chunk(&mut self) -> Result<()> {
        self.write(b"0\r\n\r\n").await
    }

    pub async fn answer(&mut self) -> Result<Head> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            self.fill().await?;
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).context("a head is text")?;
        let status = head.get(9..12).context("a head has a status")?.parse()?;
        let header = |wanted: &str| {
            let mut pairs = head.lines().filter_map(|line| line.split_once(':'));
            let found = pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.trim())
        };
        let length = header("content-length").and_then(|value| value.parse().ok());
        self.receipts
            .extend(header("x-receipt-id").map(str::to_owned));
        Ok(Head { status, length })
    }

    /// Reads a body to its proper end.
    pub async fn body(&mut self, head: &Head) -> Result<Vec<u8>> {
        let body = self.whole(head).await?;
        if head.status >= 400 {
            self.errors.push(body.clone());
        }
        Ok(body)
    }

    async fn whole(&mut self, head: &Head) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        if let Some(length) = head.length {
            self.take(length, &mut body).await?;
            return Ok(body);
        }
        loop {
            let line = loop {
                if let Some(at) = find(&self.buffer, b"\r\n") {
                    break at;
                }
                self.fill().await?;
            };
            let size: Vec<u8> = self.buffer.drain(..line + 2).collect();
            let size = usize::from_str_radix(std::str::from_utf8(&size)?.trim(), 16)?;
            self.take(size, &mut body).await?;
            self.take(2, &mut Vec::new()).await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Waits until something of the body is here.
    pub async fn first_bytes(&mut self) -> Result<()> {
        while self.buffer.len() < 16 {
            self.fill().await?;
        }
        Ok(())
    }

    async fn take(&mut self, length: usize, into: &mut Vec<u8>) -> Result<()> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        into.extend(self.buffer.drain(..length));
        Ok(())
    }

    async fn fill(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await;
        match read.context("read")? {
            0 => bail!("the connection ended"),
            _ => Ok(()),
        }
    }
}

impl Head {
    pub fn expect(&self, allowed: &[u16]) -> Result<()> {
        ensure!(
            allowed.contains(&self.status),
            "the answer has status {}, not one of {allowed:?}",
            self.status
        );
        Ok(())
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}
