//! What happens on the connections before the search.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{sleep, timeout};

use crate::bodies::Ask;
use crate::canary::Canary;
use crate::stage::Door;
use crate::wire::{Length, Wire};

const TIMEOUT: Duration = Duration::from_secs(120);
/// Long enough for what was written to have been read and passed on.
const SETTLED: Duration = Duration::from_millis(150);
/// Beyond the gateway's and the proxy's limits.
const TOO_LONG: usize = 40 << 20;

/// How the body is written.
#[derive(Clone, Copy, Debug)]
pub enum Upload {
    Whole,
    /// In chunks of so many bytes, wherever those cut.
    Chunked(usize),
    /// Half of it; then the client hangs up.
    Half,
    /// Announced as far too long, and half of it sent.
    AnnouncedTooLong,
    /// In chunks without an end in sight.
    EndlessChunks,
    /// In one chunk, under a head that announces a length as well.
    Disputed,
}

/// What the client does about the answer.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    /// Reads it whole; it has one of these statuses.
    Read(&'static [u16]),
    /// Reads until the service breaks it off.
    ReadUntilBroken,
    /// Hangs up after its first bytes.
    HangUp,
}

#[derive(Clone)]
pub struct Scenario {
    pub name: &'static str,
    pub connections: usize,
    /// Exchanges on each connection, one after another.
    pub rounds: usize,
    pub model: &'static str,
    pub ask: Ask,
    pub upload: Upload,
    pub then: Then,
}

const OK: Then = Then::Read(&[200]);

const fn answered(name: &'static str, model: &'static str, ask: Ask) -> Scenario {
    Scenario {
        name,
        connections: 1,
        rounds: 2,
        model,
        ask,
        upload: Upload::Whole,
        then: OK,
    }
}

impl Scenario {
    const fn on(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    const fn sent(mut self, upload: Upload) -> Self {
        self.upload = upload;
        self
    }

    const fn then(mut self, then: Then) -> Self {
        self.then = then;
        self.rounds = 1;
        self
    }

    /// Everything, in order.
    pub fn all() -> Vec<Self> {
        let k8 = 8 << 10;
        let k200 = 200 << 10;
        vec![
            answered("chat, 8 KB", "short", Ask::Chat(k8)),
            answered("chat, 200 KB", "long", Ask::Chat(k200)),
            answered("chat, 4 MB", "short", Ask::Chat(3_700_000)),
            answered("streamed, 8 KB", "stream-short", Ask::Streamed(k8)),
            answered("streamed, 200 KB", "stream-long", Ask::Streamed(k200)),
            answered("chat, 8 KB, 32 connections", "short", Ask::Chat(k8)).on(32),
            answered(
                "streamed, 200 KB, 32 connections",
                "stream-long",
                Ask::Streamed(k200),
            )
            .on(32),
            answered("chunks that split escapes", "short", Ask::EscapedChat(k8))
                .sent(Upload::Chunked(7)),
            answered("chunks that split UTF-8", "short", Ask::Chat(k8)).sent(Upload::Chunked(61)),
            answered("chunked upload, 200 KB", "stream-long", Ask::Streamed(k200))
                .sent(Upload::Chunked(9001)),
            answered("chunked upload, 4 MB", "short", Ask::Chat(3_700_000))
                .sent(Upload::Chunked(40_000)),
            answered("embeddings", "embed", Ask::Embeddings(100 << 10)),
            answered("tools", "tools", Ask::Tools),
            answered(
                "images as data URLs, 600 KB",
                "short",
                Ask::Images(600 << 10),
            ),
            answered("a media type that quotes", "odd-type", Ask::Chat(k8)),
            answered("upstream answers 400", "fail-400", Ask::Chat(k8)).then(Then::Read(&[400])),
            answered("upstream answers 500", "fail-500", Ask::Chat(k8))
                .then(Then::Read(&[502, 503])),
            answered(
                "upstream resets mid-stream",
                "reset-mid-stream",
                Ask::Streamed(k200),
            )
            .then(Then::ReadUntilBroken),
            answered("upstream never answers", "hang", Ask::Chat(k200))
                .then(Then::Read(&[502, 503, 504])),
            answered("client aborts mid-upload", "short", Ask::Chat(k200))
                .sent(Upload::Half)
                .then(Then::HangUp),
            answered(
                "client aborts mid-stream",
                "slow-stream",
                Ask::Streamed(k200),
            )
            .then(Then::HangUp),
            answered("client aborts a long answer", "huge", Ask::Chat(k8)).then(Then::HangUp),
            answered("body announced too long", "short", Ask::Chat(k200))
                .sent(Upload::AnnouncedTooLong)
                .then(Then::Read(&[413])),
            answered("body grows too long", "short", Ask::Chat(1 << 20))
                .sent(Upload::EndlessChunks)
                .then(Then::Read(&[413])),
            // The proxy, on the client's own machine, takes it by its chunks.
            answered("a length beside chunks", "short", Ask::Chat(k8))
                .sent(Upload::Disputed)
                .then(Then::Read(&[200, 400])),
            answered("constraint refused", "short", Ask::Constrained)
                .then(Then::Read(&[400, 412, 503])),
            answered("not JSON", "short", Ask::NotJson(k200)).then(Then::Read(&[400])),
            answered("model unknown", "unknown", Ask::Chat(k200)).then(Then::Read(&[404])),
        ]
    }

    /// A few that between them take every path.
    pub fn few() -> Vec<Self> {
        let wanted = [
            "chat, 200 KB",
            "streamed, 200 KB",
            "chunks that split escapes",
            "images as data URLs, 600 KB",
            "a media type that quotes",
            "upstream answers 400",
            "upstream resets mid-stream",
            "client aborts mid-upload",
            "body announced too long",
            "not JSON",
        ];
        let mut all = Self::all();
        all.retain(|scenario| wanted.contains(&scenario.name));
        all
    }

    /// A few that between them take every way to fail without waiting for it.
    pub fn failures() -> Vec<Self> {
        let wanted = [
            "upstream answers 500",
            "client aborts mid-stream",
            "constraint refused",
            "model unknown",
        ];
        let mut all = Self::all();
        all.retain(|scenario| wanted.contains(&scenario.name));
        all
    }

    /// Lets it happen. The connections that are still open come back.
    pub async fn play(&self, door: &Door, canary: &Canary) -> Result<Vec<Wire>> {
        let body = self.ask.body(self.model, canary);
        let exchanges = (0..self.connections).map(|_| self.on_one_connection(door, &body));
        let played = futures_util::future::join_all(exchanges).await;
        let mut open = Vec::new();
        for wire in played {
            open.extend(wire.with_context(|| self.name)?);
        }
        Ok(open)
    }

    async fn on_one_connection(&self, door: &Door, body: &[u8]) -> Result<Option<Wire>> {
        let mut wire = Wire::open(door).await?;
        for _ in 0..self.rounds {
            let exchange = self.exchange(&mut wire, door, body);
            let stays = timeout(TIMEOUT, exchange).await.context("in time")??;
            if !stays {
                return Ok(None);
            }
        }
        Ok(Some(wire))
    }

    /// Whether the connection stays open.
    async fn exchange(&self, wire: &mut Wire, door: &Door, body: &[u8]) -> Result<bool> {
        self.upload(wire, door, body).await?;
        match self.then {
            Then::Read(statuses) => {
                let head = wire.answer().await?;
                head.expect(statuses)?;
                wire.body(&head).await?;
                Ok(true)
            }
            Then::ReadUntilBroken => {
                let head = wire.answer().await?;
                let broken = wire.body(&head).await.is_err();
                anyhow::ensure!(broken, "the answer ended as if it were whole");
                Ok(true)
            }
            Then::HangUp => {
                if !matches!(self.upload, Upload::Half) {
                    wire.answer().await?;
                    wire.first_bytes().await?;
                }
                sleep(SETTLED).await;
                Ok(false)
            }
        }
    }

    async fn upload(&self, wire: &mut Wire, door: &Door, body: &[u8]) -> Result<()> {
        let path = self.ask.path();
        let announced = Length::Announced(body.len());
        match self.upload {
            Upload::Whole => {
                wire.head(&door.key, path, announced).await?;
                wire.write(body).await
            }
            Upload::Half => {
                wire.head(&door.key, path, announced).await?;
                wire.write(&body[..body.len() / 2]).await
            }
            Upload::Chunked(size) => {
                wire.head(&door.key, path, Length::Chunked).await?;
                for piece in body.chunks(size) {
                    wire.chunk(piece).await?;
                }
                wire.last_chunk().await
            }
            Upload::AnnouncedTooLong => {
                wire.head(&door.key, path, Length::Announced(TOO_LONG))
                    .await?;
                // It may be answered, and closed, before all of this is written.
                let _ = wire.write(&body[..body.len() / 2]).await;
                Ok(())
            }
            Upload::Disputed => {
                wire.head(&door.key, path, Length::Disputed(body.len()))
                    .await?;
                // It may be answered, and closed, before all of this is written.
                if wire.chunk(body).await.is_ok() {
                    let _ = wire.last_chunk().await;
                }
                Ok(())
            }
            Upload::EndlessChunks => {
                wire.head(&door.key, path, Length::Chunked).await?;
                for _ in 0..TOO_LONG / body.len() {
                    if wire.chunk(body).await.is_err() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}
