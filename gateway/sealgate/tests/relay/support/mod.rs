//! The relay without a listener: requests are passed to it as admission would pass them, and responses are read as the
//! connection would read them.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use http_body::Body as _;

use attest_channel::Clock;
use attest_channel::SystemClock;
use attest_core::log::EpochReason;
use attest_core::{Event, Receipt, Sha256Digest, UnixTime, VerifiedReceipt};
use gateway_authorization::Permit;
use gateway_base::config::Config;
use gateway_base::metrics::Metrics;
use gateway_base::request::{Caller, Endpoint, Labels};
use gateway_contract::epoch::Epoch;
use gateway_path::admit::{AdmittedRequest, Fields, RequestContext, UnknownModel};
use gateway_path::flushes::Flushes;
use gateway_path::receipt::ReceiptStore;
use gateway_path::receipt::RequestServices;
use gateway_path::relay::{refuse_unknown_model, serve_inference};
use gateway_retention::Records;
use gateway_store::ledger::Ledger;
use gateway_upstream::prompt::Prompt;
use testkit::scratch::ScratchDir;

pub mod engine;
pub mod platform;

pub const KEY: [u8; 32] = [7; 32];

/// The relay and its services under one configuration.
pub struct Bench {
    pub directory: ScratchDir,
    pub back: Arc<RequestServices>,
    pub epoch: Arc<Epoch>,
    next: AtomicU64,
}

impl Bench {
    /// `sections` is everything below `[server]`.
    pub async fn start(name: &str, mode: &str, sections: &str) -> Self {
        let directory = ScratchDir::new(name).expect("a directory");
        Self::start_in(directory, mode, sections).await
    }

    pub async fn start_in(directory: ScratchDir, mode: &str, sections: &str) -> Self {
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nnames = [\"localhost\"]\nstate_dir = \"state\"\nmode = \"{mode}\"\n{sections}"
        );
        let file = directory.write("sealgate.toml", text).expect("a file");
        let config = Arc::new(Config::load(&file).unwrap_or_else(|error| panic!("{error}")));
        let keep = Duration::from_secs(3600);
        let ledger = Arc::new(
            Ledger::open(&config.server.state_dir, keep)
                .await
                .expect("a ledger"),
        );
        let metrics = Arc::new(Metrics::default());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let retention = gateway_retention::history::activate(&ledger, &config.retention, now())
            .await
            .expect("a policy");
        let retention = Arc::new(retention);
        let start = EpochReason::Start;
        let epoch = gateway_contract::epoch::begin(
            config, retention, &ledger, &clock, &metrics, start, None,
        )
        .await
        .expect("an epoch");
        let receipts = Arc::new(ReceiptStore::new(ledger.clone()));
        let records = Records::new(&epoch.config.server.state_dir, ledger.clone());
        let back = Arc::new(RequestServices {
            receipts,
            records,
            ledger,
            metrics,
            clock,
        });
        Self {
            directory,
            back,
            epoch: Arc::new(epoch),
            next: AtomicU64::new(0),
        }
    }

    /// One upstream at `base`, one model `m` known there as `served`, not confidential.
    pub async fn plain(name: &str, base: &str) -> Self {
        Self::start(name, "aggregator", &plain_model(&[base])).await
    }

    /// What admission makes of a request; the error is one for an unknown model.
    pub fn request(
        &self,
        endpoint: Endpoint,
        body: &str,
    ) -> Result<AdmittedRequest, Box<UnknownModel>> {
        let fields =
            Fields::read(body.as_bytes(), endpoint).unwrap_or_else(|why| panic!("{why:?}"));
        let tenant = self.epoch.config.models[0].id.clone();
        let context = RequestContext {
            receipt_id: format!("rcpt-{}", self.next.fetch_add(1, Ordering::SeqCst)),
            caller: Caller {
                key_id: "key".into(),
                tenant: tenant.clone(),
                organisation: None,
                user: None,
                key_digest: KEY,
            },
            labels: Labels::default(),
            endpoint,
            stream: fields.stream,
            received_bytes: body.len() as u64,
            images: 0,
            reservation: Default::default(),
            received_hash: Sha256Digest::hash(body.as_bytes()),
            retention: Arc::new(self.epoch.retention.policy().effective(&tenant, None)),
            epoch: self.epoch.clone(),
            admitted_at: self.back.clock.now(),
            limit_share: None,
        };
        match self.epoch.routes.resolve(&fields.model) {
            Some(model) => Ok(AdmittedRequest {
                context,
                model,
                client_salt: None,
                fields,
                permit: Permit::default(),
                prompt: Prompt::new(body.as_bytes().to_vec()),
            }),
            None => Err(Box::new(UnknownModel {
                context,
                verification_required: fields.constraints.verified,
            })),
        }
    }

    pub async fn serve(&self, endpoint: Endpoint, body: &str) -> Response<Body> {
        match self.request(endpoint, body) {
            Ok(request) => self.serve_admitted(request).await,
            Err(unknown) => refuse_unknown_model(&self.back, *unknown).map(Body::new),
        }
    }

    pub async fn serve_admitted(&self, request: AdmittedRequest) -> Response<Body> {
        let response = serve_inference(&self.back, Box::new(request), Flushes::default()).await;
        response.map(Body::new)
    }

    pub async fn chat(&self, body: &str) -> Response<Body> {
        self.serve(Endpoint::Chat, body).await
    }

    /// The receipt of a response that is complete or aborted, verified under the epoch's keyset.
    pub async fn receipt(&self, id: &str) -> VerifiedReceipt {
        let found = self
            .back
            .receipts
            .get(id, &KEY)
            .await
            .expect("a ledger")
            .expect("a receipt");
        let signed = found.signed.expect("a signature");
        let receipt = Receipt::parse(&signed).expect("a well-formed receipt");
        receipt.verify(&self.epoch.keyset).expect("a valid receipt")
    }

    pub async fn has_receipt(&self, id: &str) -> bool {
        self.back
            .receipts
            .get(id, &KEY)
            .await
            .expect("a ledger")
            .is_some()
    }

    /// `(outcome, status, prompt tokens, completion tokens)` of a request.
    pub async fn usage(&self, id: &str) -> (String, i64, Option<i64>, Option<i64>) {
        self.back.ledger.flush().await;
        let url = format!("sqlite://{}?mode=ro", self.back.ledger.path().display());
        let pool = sqlx::SqlitePool::connect(&url).await.expect("the database");
        sqlx::query_as("SELECT outcome, status, prompt_tokens, completion_tokens FROM usage WHERE receipt_id = ?")
            .bind(id)
            .fetch_one(&pool)
            .await
            .expect("a row")
    }
}

/// Sections with one model `m` (alias `alias`), served as `served` by these upstreams in order.
pub fn plain_model(bases: &[&str]) -> String {
    let mut text = format!(
        "[tee]\nkind = \"none\"\n{TIMEOUTS}[[model]]\nid = \"m\"\naliases = [\"alias\"]\nconfidential = false\n"
    );
    for (index, base) in bases.iter().enumerate() {
        text.push_str(&format!(
            "[[model.upstream]]\nname = \"up-{index}\"\nurl = \"{base}\"\nmodel = \"served\"\n"
        ));
    }
    text
}

pub const TIMEOUTS: &str = "[timeouts]\nconnect = \"2s\"\nfirst_byte = \"1s\"\nidle = \"1s\"\n";

pub fn receipt_id(response: &Response<Body>) -> String {
    response.headers()["x-receipt-id"]
        .to_str()
        .expect("ASCII")
        .to_owned()
}

/// The next piece of a body; `Err` where the connection would be aborted.
pub async fn piece(body: &mut Body) -> Option<Result<Bytes, ()>> {
    let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
    Some(
        frame
            .map(|frame| frame.into_data().expect("data"))
            .map_err(drop),
    )
}

/// The whole body and whether it ended properly.
pub async fn whole(mut body: Body) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    while let Some(next) = piece(&mut body).await {
        match next {
            Ok(bytes) => all.extend_from_slice(&bytes),
            Err(()) => return (all, false),
        }
    }
    (all, true)
}

/// The error object of a refusal.
pub async fn error_of(response: Response<Body>) -> (u16, serde_json::Value, Vec<u8>) {
    let status = response.status().as_u16();
    let (bytes, ended) = whole(response.into_body()).await;
    assert!(ended);
    let json: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    (status, json["error"].clone(), bytes)
}

/// The types of a receipt's events, in order.
pub fn event_types(receipt: &VerifiedReceipt) -> Vec<String> {
    receipt
        .body()
        .events
        .iter()
        .map(|event| event.type_name().to_owned())
        .collect()
}

/// The first event of our own with this type.
pub fn own_event<'a>(receipt: &'a VerifiedReceipt, kind: &str) -> Option<&'a serde_json::Value> {
    receipt.body().events.iter().find_map(|event| match event {
        Event::Other(other) if event.type_name() == kind => Some(other.value()),
        _ => None,
    })
}

pub fn forwarded(receipt: &VerifiedReceipt) -> Option<Sha256Digest> {
    receipt.body().events.iter().find_map(|event| match event {
        Event::RequestForwarded { body_hash } => Some(*body_hash),
        _ => None,
    })
}

pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within five seconds");
}

pub fn now() -> UnixTime {
    SystemClock.now()
}
