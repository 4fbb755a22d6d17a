//! A local OpenAI-compatible endpoint in front of an attested service.
//!
//! Nothing is sent to the service on a connection whose key was not verified on that same
//! connection; a change of keys is noticed, verified and only then used. Requests and responses
//! pass byte for byte, in memory only. It refuses, in OpenAI's shape, whatever it could not verify.

mod answer;
mod args;
mod fetch;
mod forward;
mod hardened;
mod headers;
mod journal;
mod keep;
mod listen;
mod passed_body;
mod receipts;
mod request_facts;
mod secret_body;
mod shelving;
mod start;
mod status;
mod target;
mod tasks;
mod trouble;
mod upstreams;

use std::sync::Arc;
use std::time::Duration;

use attest_channel::AttestedChannel;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

pub use answer::Refusal;
pub use args::ProxyArgs;
pub use hardened::harden;
pub use journal::{Journal, Kept, Stderr};
pub use keep::Shelf;
pub use listen::serve;
pub use passed_body::PassedError;
pub use start::run;
pub use upstreams::Upstreams;

use receipts::{Exchange, ReceiptProblem};
use target::Target;
use tasks::Tasks;
use trouble::{Distrust, LastRejection};
use upstreams::KnownModels;

use crate::receipt_check::Behind;

/// What answers are made of.
pub type LocalBody = BoxBody<Bytes, PassedError>;

/// How the person who started the proxy wants it.
pub struct Options {
    pub require_receipt: bool,
    pub upstreams: Upstreams,
    pub shelf: Option<Shelf>,
    pub max_body: usize,
}

/// The proxy, shared by its connections.
pub struct Proxy {
    channel: Arc<AttestedChannel>,
    options: Options,
    journal: Arc<dyn Journal>,
    distrust: Distrust,
    last_rejection: LastRejection,
    tasks: Tasks,
    models: KnownModels,
}

impl Proxy {
    pub fn new(
        channel: Arc<AttestedChannel>,
        options: Options,
        journal: Arc<dyn Journal>,
    ) -> Arc<Self> {
        Arc::new(Self {
            channel,
            options,
            journal,
            distrust: Distrust::default(),
            last_rejection: LastRejection::default(),
            tasks: Tasks::default(),
            models: KnownModels::default(),
        })
    }

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<LocalBody> {
        let outcome = match Target::of(request.uri()) {
            Target::Service(path) => self.forward(request, path).await,
            local if request.method() == Method::GET || request.method() == Method::HEAD => {
                Ok(self.local_page(&local))
            }
            Target::Nowhere => Err(Refusal::Target),
            _ => Err(Refusal::Method),
        };
        outcome.unwrap_or_else(|refusal| {
            self.journal
                .line(&format!("refused: {}", refusal.message()));
            local(refusal.response())
        })
    }

    /// Waits for the receipt checks that are under way.
    async fn settle_receipts(&self, patience: Duration) {
        self.tasks.drain(patience).await;
    }

    /// Checks one receipt, tells the outcome, and remembers a contradiction for good.
    async fn settle_receipt(&self, exchange: Exchange) -> bool {
        let id = exchange.receipt_id.as_str().to_owned();
        let whole = exchange.response.is_some();
        match receipts::settle(&self.channel, &exchange, self.options.upstreams).await {
            Ok(receipt) => {
                self.journal.line(&told(&id, whole, &receipt.behind));
                if let Some(shelf) = &self.options.shelf {
                    shelving::keep(&self.channel, shelf, &exchange, &receipt, &*self.journal).await;
                }
                true
            }
            Err(problem) => {
                self.journal
                    .line(&format!("RECEIPT {id} NOT VERIFIED: {problem}"));
                if matches!(problem, ReceiptProblem::Contradicts(_)) && self.options.require_receipt
                {
                    self.distrust.set();
                    self.journal
                        .line("nothing more is sent until this proxy is restarted");
                }
                false
            }
        }
    }
}

fn told(id: &str, whole: bool, behind: &Behind) -> String {
    let upstream = match behind {
        Behind::NoUpstream => String::new(),
        Behind::Verified(session) => format!(", upstream verified in session {session}"),
        Behind::NotVerified => ", UPSTREAM NOT VERIFIED".to_owned(),
    };
    let part = if whole {
        ""
    } else {
        ", response incomplete and not compared"
    };
    format!("receipt {id} verified{part}{upstream}")
}

fn local(response: Response<Bytes>) -> Response<LocalBody> {
    response.map(|bytes| Full::new(bytes).map_err(|never| match never {}).boxed())
}
