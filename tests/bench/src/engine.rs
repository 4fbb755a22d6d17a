//! The mock engine: one fixed completion, or a stream of as many chunks as the request's `max_tokens` asks for, paced by
//! its `bench_pause_us`. It does as little as it can, so that what a target adds stands out.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::time::{Instant, Sleep};

#[derive(clap::Args)]
pub struct Settings {
    #[arg(long)]
    listen: SocketAddr,
}

/// The fields of a chat request that the mock obeys.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    max_tokens: usize,
    #[serde(default)]
    bench_pause_us: u64,
}

pub const CHUNK: &str = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"mock\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" lorem\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
const LAST: &str = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"mock\",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

pub fn serve(settings: &Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(settings.listen).await?;
        loop {
            let (tcp, _) = listener.accept().await?;
            tcp.set_nodelay(true)?;
            tokio::spawn(async move {
                // A peer that hangs up ends its connection, and nothing else.
                let _ended = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(tcp), service_fn(answer))
                    .await;
            });
        }
    })
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<Either<Full<Bytes>, Chunks>>, Infallible> {
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(json(400, "{}".to_owned())),
    };
    let Ok(asked) = serde_json::from_slice::<Asked>(&body) else {
        return Ok(json(400, "{}".to_owned()));
    };
    if !asked.stream {
        return Ok(json(200, completion()));
    }
    let chunks = Chunks {
        left: asked.max_tokens,
        pause: Duration::from_micros(asked.bench_pause_us),
        timer: None,
        tail: [DONE, LAST].to_vec(),
    };
    let response = Response::builder()
        .header("content-type", "text/event-stream")
        .body(Either::Right(chunks))
        .expect("the header is constant");
    Ok(response)
}

fn json(status: u16, text: String) -> Response<Either<Full<Bytes>, Chunks>> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Either::Left(Full::new(Bytes::from(text))))
        .expect("the status and the header are constant")
}

/// About 1 KiB, the size of a short answer.
fn completion() -> String {
    let content = "lorem ipsum dolor sit amet ".repeat(26);
    serde_json::json!({
        "id": "chatcmpl-bench", "object": "chat.completion", "created": 1_700_000_000, "model": "mock",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 128, "completion_tokens": 130, "total_tokens": 258}
    })
    .to_string()
}

/// An event stream with one frame for each chunk.
struct Chunks {
    left: usize,
    pause: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    tail: Vec<&'static str>,
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(
                self.tail
                    .pop()
                    .map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes())))),
            );
        }
        if !self.pause.is_zero() {
            let pause = self.pause;
            // The first chunk leaves at once; after it each waits for its turn.
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::ZERO)));
            if Future::poll(timer.as_mut(), context).is_pending() {
                return Poll::Pending;
            }
            let next = (timer.deadline() + pause).max(Instant::now());
            timer.as_mut().reset(next);
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(CHUNK.as_bytes())))))
    }
}
