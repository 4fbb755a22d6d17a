//! Which upstreams may serve which model, decided once per epoch.
//!
//! [`Routes::build`] turns the configuration into routes and refuses those that would send a confidential model's prompts
//! to an upstream that is not verified: in aggregator mode each candidate of such a model is an enclave; in direct mode
//! every candidate is an engine on this machine. The kind of a candidate is its type and cannot change later.
//!
//! Dropping the routes stops the tasks that keep enclaves verified; requests in progress hold their `Arc<Route>`.

mod health;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::channel::{
    BuildError, Builder, Checker, Enclave, LocalEngine, PlainUpstream, VerifiedUpstream,
};
use attest_channel::{Clock, OwnedTask};
use attest_core::{Serving, Session};
use gateway_base::config::{Config, Model, Problem, Upstream};
use gateway_base::metrics::Metrics;
use gateway_base::request::Name;
use gateway_store::ledger::Ledger;

pub use health::Health;

/// An upstream that a model's prompts may be sent to.
pub enum Candidate {
    /// An enclave, on the key that its evidence was accepted for.
    Verified(VerifiedUpstream),
    /// The engine inside this machine.
    Local(LocalEngine),
    /// An upstream without evidence; only for models that are not flagged confidential.
    Plain(PlainUpstream),
}

impl Candidate {
    pub fn name(&self) -> &Name {
        match self {
            Candidate::Verified(upstream) => upstream.name(),
            Candidate::Local(engine) => engine.http().name(),
            Candidate::Plain(upstream) => upstream.http().name(),
        }
    }

    /// What this candidate calls the model.
    pub fn model(&self) -> &Name {
        match self {
            Candidate::Verified(upstream) => upstream.model(),
            Candidate::Local(engine) => engine.http().model(),
            Candidate::Plain(upstream) => upstream.http().model(),
        }
    }
}

/// One model and its candidates, in order of preference.
pub struct Route {
    pub model: Name,
    pub confidential: bool,
    pub serving: Serving,
    pub candidates: Vec<Candidate>,
    /// The state of each candidate, in the same order.
    states: Vec<CandidateState>,
}

/// A candidate's settings, and what requests have learnt about it.
pub struct CandidateState {
    /// It divides its prefix cache by `cache_salt`.
    pub takes_salt: bool,
    /// The usage of a stream may be requested from it even if the client did not request it.
    request_usage: bool,
    /// It refused such a request. Set once; requests that read it late are refused once more and repeated.
    usage_refused: AtomicBool,
    pub health: Health,
}

impl CandidateState {
    fn from_config(upstream: &Upstream) -> Self {
        Self {
            takes_salt: upstream.cache_salt,
            request_usage: upstream.stream_usage,
            usage_refused: AtomicBool::new(false),
            health: Health::default(),
        }
    }

    /// Whether to request the usage of a stream if the client did not.
    pub fn may_request_usage(&self) -> bool {
        // Relaxed: nothing else is published with the flag.
        self.request_usage && !self.usage_refused.load(Ordering::Relaxed)
    }

    /// The upstream refuses `stream_options`; usage is not requested from it again.
    pub fn set_usage_refused(&self) {
        self.usage_refused.store(true, Ordering::Relaxed);
    }
}

impl Route {
    /// The candidates with their states, in order of preference.
    pub fn candidates(&self) -> impl Iterator<Item = (&Candidate, &CandidateState)> {
        self.candidates.iter().zip(&self.states)
    }

    /// Whether a request that requires a verified upstream can be served. Direct serving has no second hop (ACI §5.3).
    pub fn serves_verified(&self) -> bool {
        self.candidates
            .iter()
            .any(|candidate| self.is_verified(candidate))
    }

    /// Whether a request that requires a verified upstream may be sent to this candidate.
    pub fn is_verified(&self, candidate: &Candidate) -> bool {
        match candidate {
            Candidate::Verified(_) => true,
            Candidate::Local(_) => self.serving == Serving::Direct,
            Candidate::Plain(_) => false,
        }
    }

    /// Whether a request may be sent to this candidate, if it requires a verified upstream or does not.
    pub fn usable(&self, candidate: &Candidate, verification_required: bool) -> bool {
        let is_plain = matches!(candidate, Candidate::Plain(_));
        self.is_verified(candidate) || (is_plain && !verification_required)
    }

    /// The current sessions of this route's enclaves.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.enclaves()
            .flat_map(|enclave| enclave.sessions())
            .collect()
    }

    fn enclaves(&self) -> impl Iterator<Item = &Arc<Enclave>> {
        self.candidates
            .iter()
            .filter_map(|candidate| match candidate {
                Candidate::Verified(upstream) => Some(upstream.enclave()),
                Candidate::Local(_) | Candidate::Plain(_) => None,
            })
    }
}

/// Why a model cannot be routed as configured.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RouteError {
    #[error("model {model}: upstream {upstream}: {source}")]
    Upstream {
        model: Name,
        upstream: Name,
        source: BuildError,
    },
    #[error(
        "model {model} is confidential, but no attestation policy is configured for its upstreams"
    )]
    NoAttestation { model: Name },
    #[error("{name} names more than one model")]
    Ambiguous { name: Name },
}

impl RouteError {
    /// As a problem of the configuration.
    pub fn as_problem(&self) -> Problem {
        Problem {
            line: None,
            key: "model".to_owned(),
            reason: self.to_string(),
        }
    }
}

/// A model that a client requested, with its route.
#[derive(Clone)]
pub struct RoutedModel {
    /// The name in the request: the model's id or an alias.
    pub requested_name: Name,
    pub route: Arc<Route>,
}

/// Every route of one epoch.
pub struct Routes {
    by_name: HashMap<Name, Arc<Route>>,
    /// In the order of the configuration.
    routes: Vec<Arc<Route>>,
    enclaves: Vec<Arc<Enclave>>,
    /// Keep the enclaves verified; stopped when the routes are dropped.
    _renewals: Vec<OwnedTask>,
}

impl Routes {
    /// Builds all routes and starts to verify the enclaves. Needs a running executor.
    pub fn build(
        config: &Config,
        ledger: Arc<Ledger>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RouteError> {
        let mut builder = Builder::new(&config.timeouts, ledger, metrics, clock);
        let mut routes = Vec::with_capacity(config.models.len());
        let mut by_name = HashMap::new();
        for model in &config.models {
            let route = Arc::new(route(model, config.server.mode, &mut builder)?);
            for name in std::iter::once(&model.id).chain(&model.aliases) {
                if by_name.insert(name.clone(), Arc::clone(&route)).is_some() {
                    return Err(RouteError::Ambiguous { name: name.clone() });
                }
            }
            routes.push(route);
        }
        let (enclaves, renewals) = builder.finish();
        Ok(Self {
            by_name,
            routes,
            enclaves,
            _renewals: renewals,
        })
    }

    /// What would make [`build`](Self::build) fail, each with the index of its model. Builds nothing.
    pub fn check(config: &Config) -> Vec<(usize, RouteError)> {
        let checker = Checker::new(&config.timeouts);
        let serving = config.server.mode;
        let mut found = Vec::new();
        for (index, model) in config.models.iter().enumerate() {
            for upstream in &model.upstreams {
                let checked = match (serving, model.confidential, &model.attestation) {
                    (Serving::Direct, _, _) => checker.local(upstream, &model.id),
                    (Serving::Aggregator, _, Some(_)) => checker.verified(upstream, &model.id),
                    (Serving::Aggregator, true, None) => {
                        let model = model.id.clone();
                        found.push((index, RouteError::NoAttestation { model }));
                        continue;
                    }
                    (Serving::Aggregator, false, None) => checker.plain(upstream, &model.id),
                };
                if let Err(source) = checked {
                    found.push((index, upstream_error(model, upstream, source)));
                }
            }
        }
        found
    }

    /// Every enclave that serves a model.
    pub fn enclaves(&self) -> &[Arc<Enclave>] {
        &self.enclaves
    }

    /// The route for a model id or alias.
    fn find(&self, model: &str) -> Option<&Arc<Route>> {
        self.by_name.get(model)
    }

    /// The model with this id or alias.
    pub fn resolve(&self, model: &str) -> Option<RoutedModel> {
        let (name, route) = self.by_name.get_key_value(model)?;
        Some(RoutedModel {
            requested_name: name.clone(),
            route: Arc::clone(route),
        })
    }

    /// Every name that a client may use, with its model: each id followed by its aliases, in the order of the configuration.
    pub fn names(&self) -> Vec<(&Name, &Route)> {
        let mut names: Vec<_> = self
            .by_name
            .iter()
            .map(|(name, route)| (name, route.as_ref()))
            .collect();
        let position = |route: &Route| {
            self.routes
                .iter()
                .position(|known| std::ptr::eq(known.as_ref(), route))
        };
        names
            .sort_by_key(|(name, route)| (position(route), **name != route.model, (*name).clone()));
        names
    }

    /// The body of `GET /v1/models` with the names that `shown` accepts. `created` is a constant: the time is not known.
    pub fn models(&self, shown: impl Fn(&str, &Route) -> bool) -> Value {
        let data: Vec<Value> = self
            .names()
            .into_iter()
            .filter(|(name, route)| shown(name, route))
            .map(|(name, route)| model_object(name, route))
            .collect();
        json!({ "object": "list", "data": data })
    }

    /// The body of `GET /v1/models/{model}`, if `shown` accepts it.
    pub fn model(&self, name: &str, shown: impl Fn(&str, &Route) -> bool) -> Option<Value> {
        self.by_name
            .get_key_value(name)
            .filter(|(name, route)| shown(name, route))
            .map(|(name, route)| model_object(name, route))
    }

    /// Current sessions, optionally of one upstream name and of the upstreams of one model (ACI §8.1).
    pub fn sessions(&self, upstream_name: Option<&str>, model: Option<&str>) -> Vec<Arc<Session>> {
        let of_model = |enclave: &Arc<Enclave>| {
            let Some(model) = model else { return true };
            let route = self.find(model);
            route.is_some_and(|route| route.enclaves().any(|behind| Arc::ptr_eq(behind, enclave)))
        };
        self.enclaves
            .iter()
            .filter(|enclave| upstream_name.is_none_or(|name| **enclave.name() == *name))
            .filter(|enclave| of_model(enclave))
            .flat_map(|enclave| enclave.sessions())
            .collect()
    }
}

/// `confidential`: its prompts are sent only to this enclave, or to upstreams whose evidence was verified.
fn model_object(name: &Name, route: &Route) -> Value {
    json!({
        "id": name.as_str(),
        "object": "model",
        "created": 0,
        "owned_by": "sealgate",
        "confidential": route.confidential,
    })
}

fn route(model: &Model, serving: Serving, builder: &mut Builder<'_>) -> Result<Route, RouteError> {
    let candidates = model
        .upstreams
        .iter()
        .map(|upstream| candidate(model, upstream, serving, builder))
        .collect::<Result<_, _>>()?;
    Ok(Route {
        model: model.id.clone(),
        confidential: model.confidential,
        serving,
        candidates,
        states: model
            .upstreams
            .iter()
            .map(|upstream| CandidateState::from_config(upstream))
            .collect(),
    })
}

fn candidate(
    model: &Model,
    upstream: &Upstream,
    serving: Serving,
    builder: &mut Builder<'_>,
) -> Result<Candidate, RouteError> {
    let built = match (serving, model.confidential, &model.attestation) {
        (Serving::Direct, _, _) => builder.local(upstream, &model.id).map(Candidate::Local),
        (Serving::Aggregator, _, Some(trust)) => builder
            .verified(upstream, &model.id, trust)
            .map(Candidate::Verified),
        (Serving::Aggregator, true, None) => {
            return Err(RouteError::NoAttestation {
                model: model.id.clone(),
            });
        }
        (Serving::Aggregator, false, None) => {
            builder.plain(upstream, &model.id).map(Candidate::Plain)
        }
    };
    built.map_err(|source| upstream_error(model, upstream, source))
}

fn upstream_error(model: &Model, upstream: &Upstream, source: BuildError) -> RouteError {
    RouteError::Upstream {
        model: model.id.clone(),
        upstream: upstream.name.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::PlainError;
    use attest_channel::SystemClock;
    use gateway_base::config::{BaseUrl, Timeouts};
    use std::time::Duration;

    fn name(text: &str) -> Name {
        Name::from_operator(text).expect("a name")
    }

    fn model(confidential: bool, url: &str) -> Model {
        let upstream = Upstream {
            name: name("up"),
            url: BaseUrl::parse(url).expect("a URL"),
            model: None,
            api_key: None,
            region: None,
            cache_salt: false,
            stream_usage: true,
        };
        Model {
            id: name("m"),
            aliases: Vec::new(),
            confidential,
            attestation: None,
            upstreams: vec![Arc::new(upstream)],
        }
    }

    fn timeouts() -> Timeouts {
        let second = Duration::from_secs(1);
        Timeouts {
            connect: second,
            report: second,
            first_byte: second,
            idle: second,
            stream_comment: second,
            client_header: second,
            client_body: second,
            client_write: second,
            pool_idle: second,
        }
    }

    async fn built(serving: Serving, model: &Model) -> Result<Route, RouteError> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("sealgate-route-{}-{number}", std::process::id()));
        let ledger = Ledger::open(&directory, Duration::from_secs(1))
            .await
            .expect("a ledger");
        let (timeouts, clock) = (timeouts(), Arc::new(SystemClock));
        let mut builder = Builder::new(&timeouts, Arc::new(ledger), Arc::default(), clock);
        let built = route(model, serving, &mut builder);
        let _ = std::fs::remove_dir_all(directory);
        built
    }

    #[tokio::test]
    async fn rejects_a_confidential_model_without_an_attestation_policy() {
        for url in ["https://a.example", "http://127.0.0.1:1"] {
            let refused = built(Serving::Aggregator, &model(true, url)).await.err();
            assert_eq!(
                refused,
                Some(RouteError::NoAttestation { model: name("m") }),
                "{url}"
            );
        }
    }

    #[tokio::test]
    async fn rejects_an_engine_on_another_machine_in_direct_mode() {
        for confidential in [true, false] {
            let here = built(Serving::Direct, &model(confidential, "http://127.0.0.1:1")).await;
            let here = here.map(|route| matches!(route.candidates[..], [Candidate::Local(_)]));
            assert_eq!(here, Ok(true));
            let elsewhere =
                built(Serving::Direct, &model(confidential, "http://192.0.2.1:1")).await;
            let source = BuildError::Plain(PlainError::NotLocal);
            let refused = RouteError::Upstream {
                model: name("m"),
                upstream: name("up"),
                source,
            };
            assert_eq!(elsewhere.err(), Some(refused));
        }
    }

    #[tokio::test]
    async fn a_model_that_is_not_confidential_gets_a_plain_upstream() {
        let route = built(Serving::Aggregator, &model(false, "http://192.0.2.1:1")).await;
        let route = route.map(|route| matches!(route.candidates[..], [Candidate::Plain(_)]));
        assert_eq!(route, Ok(true));
    }
}
