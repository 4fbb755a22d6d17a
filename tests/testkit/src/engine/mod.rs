//! A fake inference engine: speaks OpenAI's HTTP interface over plain HTTP/1.1 on loopback, answers
//! deterministically, fails on request, and counts what reaches it.
//!
//! Every failure it injects quotes the prompt in its error text, as careless engines do, so that a
//! test can see whether a gateway passes such text on.

mod answer;
mod chat;
mod completions;
mod embeddings;
mod fault;
mod reply;
mod state;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use fault::Fault;
use state::Shared;
pub use state::{Script, Stats, Stepper};

/// The model that chats.
pub const CHAT_MODEL: &str = "demo-model";
/// The model that embeds.
pub const EMBEDDING_MODEL: &str = "demo-embed";

const MAX_BODY: usize = 64 << 20;

/// A running engine; it stops when this is dropped.
pub struct Engine {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Engine {
    /// Starts an engine on a free loopback port.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    pub async fn start_on(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|connection| {
            // A stepping test measures the moment at which a chunk arrives.
            let _ = connection.set_nodelay(true);
        });
        let shared = Arc::new(Shared::default());
        let router = router(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            address,
            shared,
            server,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What an OpenAI client would use as its base URL.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// The last prompt-carrying request body, exactly as it arrived.
    pub fn last_body(&self) -> Option<Bytes> {
        self.shared.last_request().map(|request| request.body)
    }

    /// The headers of the last prompt-carrying request.
    pub fn last_headers(&self) -> Option<HeaderMap> {
        self.shared.last_request().map(|request| request.headers)
    }

    /// From now on no chunk of a streamed answer leaves before the test releases it.
    pub fn stepping(&self) -> Stepper {
        self.shared.step()
    }

    /// From now on requests for `model` get exactly this answer.
    pub fn script(&self, model: &str, script: Script) {
        self.shared.script(model, script);
    }

    /// Runs until the server fails.
    pub async fn serve(mut self) -> std::io::Result<()> {
        (&mut self.server).await.map_err(std::io::Error::other)?
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat_completions))
        .route("/v1/completions", post(text_completions))
        .route("/v1/embeddings", post(embed))
        .route("/_engine/stats", get(stats))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(shared)
}

async fn models() -> Response {
    let model = |id| json!({"id": id, "object": "model", "created": 0, "owned_by": "demo-engine"});
    reply::json(
        200,
        &json!({"object": "list", "data": [model(CHAT_MODEL), model(EMBEDDING_MODEL)]}),
    )
}

async fn stats(State(shared): State<Arc<Shared>>) -> Response {
    reply::json(200, &shared.stats().to_json())
}

async fn chat_completions(shared: State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    serve(shared, headers, body, chat::answer).await
}

async fn text_completions(shared: State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    serve(shared, headers, body, completions::answer).await
}

async fn embed(shared: State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    serve(shared, headers, body, embeddings::answer).await
}

type Answer = fn(&Arc<Shared>, &str, &Value, Option<Fault>) -> Response;

/// Counts the request, then lets a script, a fault or the endpoint answer it.
async fn serve(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
    answer: Answer,
) -> Response {
    shared.received(&headers, &body);
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return reply::error(400, "the request body is not JSON");
    };
    let Some(model) = request["model"].as_str() else {
        return reply::error(400, "you must provide a model parameter");
    };
    if let Some(script) = shared.scripted(model) {
        return reply::scripted(&shared, script);
    }
    let fault = Fault::asked_for(&headers, model);
    match fault {
        Some(Fault::Status(status)) => fault::refusal(status, &body),
        Some(Fault::Hang) => {
            let _watch = shared.watch_for_hang_up();
            std::future::pending().await
        }
        None if model != CHAT_MODEL && model != EMBEDDING_MODEL => {
            reply::error(404, &format!("The model `{model}` does not exist."))
        }
        streaming_or_none => answer(&shared, model, &request, streaming_or_none),
    }
}
