//! Every check of a request, in order.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use tokio::sync::watch;

use super::authorized::{Purpose, authorize};
use super::body::BodyLimits;
use super::budget::BudgetRequest;
use super::credential::{digest, token};
use super::estimate::estimate;
use super::images::count_images;
use super::keyring::ActiveKey;
use super::limit_share::LimitShare;
use super::token_callers::{TokenCaller, TokenCallers};
use super::{
    AdmittedRequest, Fields, Keyring, NotAuthorized, RequestContext, UnknownModel, Unserved, body,
    preconditions, salt,
};
use attest_channel::Clock;
use attest_core::UnixTime;
use gateway_base::config::Limits;
use gateway_base::descriptors;
use gateway_base::errors::ApiError;
use gateway_base::quota::RateState;
use gateway_base::random::random;
use gateway_base::request::{BodyBudget, Caller, Endpoint, KeyId, Labels};
use gateway_contract::epoch::Epoch;
use gateway_quota::Reservation;
use gateway_store::ledger::Ledger;
use gateway_upstream::route::{Route, RoutedModel};
use harden as hardening;

/// What the checks need.
pub struct Admission {
    keyring: Arc<Keyring>,
    token_callers: TokenCallers,
    /// For its clock, by which the windows of budgets begin and end.
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    /// The number of [`RequestSlot`]s.
    in_flight: Arc<AtomicUsize>,
    /// As many as there are file descriptors for.
    max_in_flight: usize,
    /// The memory budget of bodies.
    bodies: BodyBudget,
}

/// An admitted request and its slot.
pub struct Admitted {
    /// Boxed: it is moved several times on its way.
    pub request: Result<Box<AdmittedRequest>, Box<Unserved>>,
    pub slot: RequestSlot,
}

impl Admitted {
    /// What is left of the caller's limits after this request, if any apply.
    pub fn rate_state(&self) -> Option<RateState> {
        let context = match &self.request {
            Ok(request) => &request.context,
            Err(unserved) => unserved.context(),
        };
        context.limit_share.as_ref().map(LimitShare::state)
    }
}

/// Counts a request in flight, for the whole service and for one key, until it is dropped. Owned by the response, so that
/// a request counts until its last byte.
pub struct RequestSlot {
    /// The service's count, which [`Admission`] compares with its limit.
    all: Arc<AtomicUsize>,
    key: Arc<ActiveKey>,
}

/// The API key of a request that is not an inference request.
pub struct ApiKey(Arc<ActiveKey>);

impl ApiKey {
    pub fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// Whether the key's restrictions let requests name this model and be served then.
    fn may_use(&self, name: &str, route: &Route) -> bool {
        let restrictions = &self.0.restrictions;
        restrictions.allow_model(name) && (route.serves_verified() || !restrictions.verified_only)
    }
}

impl Admission {
    pub fn new(keyring: Arc<Keyring>, ledger: Arc<Ledger>, clock: Arc<dyn Clock>) -> Self {
        Self {
            keyring,
            token_callers: TokenCallers::new(),
            ledger,
            clock,
            in_flight: Arc::default(),
            max_in_flight: descriptors::max_requests(hardening::descriptor_limit()),
            bodies: BodyBudget::default(),
        }
    }

    /// The owner of a request's API key, which may be used now and from this address, or of its token.
    pub fn authenticate(
        &self,
        epoch: &Epoch,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<ApiKey, ApiError> {
        if let Some(caller) = TokenCaller::verify(&epoch.identities, token(headers)?) {
            let key = self.token_callers.active_key(caller?, &self.keyring);
            key.check(self.clock.now(), peer)?;
            return Ok(ApiKey(Arc::new(key)));
        }
        let key = self.keyring.authenticate(headers)?;
        key.check(self.clock.now(), peer)?;
        Ok(ApiKey(key))
    }

    /// Whether requests of a caller may name this model, for any endpoint, and can be served now.
    pub fn may_use(&self, epoch: &Epoch, caller: &ApiKey, name: &str, route: &Route) -> bool {
        if !caller.may_use(name, route) {
            return false;
        }
        let ApiKey(key) = caller;
        let policy = epoch.retention.policy();
        let retention = policy.effective(&key.caller.tenant, Some(route.model.as_str()));
        let mut endpoints = Endpoint::ALL
            .into_iter()
            .filter(|endpoint| key.restrictions.allow_endpoint(*endpoint));
        endpoints.any(|endpoint| {
            let purpose = Purpose {
                route,
                endpoint,
                retention: retention.mode(),
                verification_required: route.confidential || key.restrictions.verified_only,
                at: self.clock.now(),
            };
            authorize(epoch, key, &purpose).is_ok()
        })
    }

    /// The digest that receipts and records of a request's caller are bound to. An API key is not looked up: one that was
    /// revoked still has it. A token has to be valid.
    pub fn digest(&self, epoch: &Epoch, headers: &HeaderMap) -> Result<[u8; 32], ApiError> {
        let token = token(headers)?;
        match TokenCaller::verify(&epoch.identities, token) {
            Some(caller) => caller.map(|caller| caller.digest()),
            None => Ok(digest(token)),
        }
    }

    /// The id of a usable API key, or of a token's subject, in a request that needs none.
    pub fn key_id(
        &self,
        epoch: &Epoch,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Option<KeyId> {
        let ApiKey(key) = self.authenticate(epoch, headers, peer).ok()?;
        // The public id of a subject is longer than a key's.
        let [a, b, c, d, e, f, ..] = key.caller.key_digest;
        KeyId::parse(&key.caller.key_id).or(Some(KeyId::from_bytes([a, b, c, d, e, f])))
    }

    /// Admits or refuses an inference request that came in under `epoch`, with its authentication and its headers.
    pub async fn admit<B>(
        &self,
        epoch: Arc<Epoch>,
        endpoint: Endpoint,
        (key, headers): (Result<ApiKey, ApiError>, &HeaderMap),
        body: B,
    ) -> Result<Admitted, ApiError>
    where
        B: Body<Data = Bytes>,
    {
        let Checked {
            key,
            slot,
            labels,
            limit_share,
            announced,
        } = self.check_head(&epoch, endpoint, (key?, headers), &body)?;
        // The slot is taken before the body is read: slow bodies count as requests in flight.
        let limits = self.body_limits(&epoch, &key);
        let (prompt, received_hash) = body::read(body, limits).await?;
        // The key may have been revoked while the body arrived.
        if key.is_revoked() {
            return Err(ApiError::InvalidKey);
        }
        let mut fields = Fields::read(prompt.bytes(), endpoint)?;
        preconditions::check_model(headers, &fields.model)?;
        if !key.restrictions.allow_model(&fields.model) {
            return Err(ApiError::KeyModel);
        }
        // The key requires what the caller could have required.
        fields.constraints.verified |= key.restrictions.verified_only;
        // An announced model has just been checked to be this one.
        let model = announced.unwrap_or_else(|| epoch.routes.resolve(&fields.model));
        let retention = epoch
            .retention
            .policy()
            .effective(&key.caller.tenant, model_id(model.as_ref()));
        if retention.mode() > key.restrictions.retention {
            return Err(ApiError::KeyRetention);
        }
        let client_salt = salt::bound(
            prompt.bytes(),
            fields.cache_salt.as_ref(),
            epoch.config.limits.client_cache_salt,
        )?;
        let at = self.clock.now();
        let authorized = model.as_ref().map(|model| {
            let constraints = &fields.constraints;
            let purpose = Purpose {
                route: &model.route,
                endpoint,
                retention: retention.mode(),
                verification_required: model.route.confidential || constraints.require_verified(),
                at,
            };
            authorize(&epoch, &key, &purpose)
        });
        let images = priced_images(&epoch, model.as_ref(), prompt.bytes());
        let reservation = match (&model, &authorized) {
            (Some(model), Some(Ok(_))) => {
                let request = Estimated {
                    endpoint,
                    fields: &fields,
                    body_bytes: prompt.len() as u64,
                    images,
                    admitted_at: at,
                };
                self.reserve(&epoch, &key, &model.route, limit_share.as_ref(), &request)?
            }
            _ => Reservation::default(),
        };
        let context = RequestContext {
            receipt_id: receipt_id()?,
            caller: key.caller.clone(),
            labels,
            endpoint,
            stream: fields.stream,
            received_bytes: prompt.len() as u64,
            images,
            received_hash,
            epoch,
            retention: Arc::new(retention),
            reservation,
            admitted_at: at,
            limit_share,
        };
        let request = match (model, authorized) {
            (Some(model), Some(Ok(permit))) => Ok(Box::new(AdmittedRequest {
                context,
                model,
                fields,
                client_salt,
                prompt,
                permit,
            })),
            (Some(model), Some(Err(denied))) => {
                Err(Box::new(Unserved::NotAuthorized(NotAuthorized {
                    context,
                    model,
                    denied,
                })))
            }
            _ => Err(Box::new(Unserved::UnknownModel(UnknownModel {
                context,
                verification_required: fields.constraints.verified,
            }))),
        };
        Ok(Admitted { request, slot })
    }

    /// Reserves what a request may use in the budgets and limits of its caller.
    fn reserve(
        &self,
        epoch: &Epoch,
        key: &ActiveKey,
        route: &Route,
        limit_share: Option<&LimitShare>,
        request: &Estimated,
    ) -> Result<Reservation, ApiError> {
        let budgets = self.keyring.budgets();
        if budgets.is_empty() && limit_share.is_none() {
            return Ok(Reservation::default());
        }
        let estimate = estimate(request.endpoint, request.fields, request.body_bytes)?;
        let reservation = BudgetRequest {
            scopes: &key.scopes,
            estimate,
            images: request.images,
            route,
            prices: &epoch.config.prices,
            admitted_at: request.admitted_at,
            now: self.ledger.clock().now(),
        }
        .reserve(budgets)?;
        if let Some(share) = limit_share {
            share.reserve(&route.model, estimate)?;
        }
        Ok(reservation)
    }

    fn body_limits(&self, epoch: &Epoch, key: &ActiveKey) -> BodyLimits {
        let limits = &epoch.config.limits;
        // One key leaves half of the memory to the others.
        let share = (limits.max_body_total / 2).max(limits.max_body);
        BodyLimits {
            limit: limits.max_body,
            timeout: epoch.config.timeouts.client_body,
            service: (
                self.bodies.reservation(limits.max_body_total),
                ApiError::ServiceBusy,
            ),
            key: (key.shared.bodies.reservation(share), ApiError::KeyBusy),
        }
    }

    fn check_head(
        &self,
        epoch: &Epoch,
        endpoint: Endpoint,
        (ApiKey(key), headers): (ApiKey, &HeaderMap),
        body: &impl Body,
    ) -> Result<Checked, ApiError> {
        let limits = &epoch.config.limits;
        if !key.restrictions.allow_endpoint(endpoint) {
            return Err(ApiError::KeyEndpoint);
        }
        let labels = preconditions::labels(headers, &key.labels)?;
        preconditions::check_keyset(headers, &epoch.keyset_digest)?;
        let mut announced = None;
        preconditions::check_retention(headers, |model| {
            let policy = epoch.retention.policy();
            let tenant = &key.caller.tenant;
            match model {
                None => policy.most_for(tenant),
                Some(name) => {
                    let model = announced.insert(epoch.routes.resolve(name));
                    policy.effective(tenant, model_id(model.as_ref())).mode()
                }
            }
        })?;
        body::check_head(headers, body, limits.max_body)?;
        let slot = RequestSlot::take(&self.in_flight, self.max_in_flight, &key, limits)?;
        // The operator's limits last: what is refused for another reason does not count.
        let limit_share = self.keyring.enter(&key.scopes)?;
        Ok(Checked {
            key,
            slot,
            labels,
            limit_share,
            announced,
        })
    }
}

fn receipt_id() -> Result<String, ApiError> {
    let random = random().map_err(|_| ApiError::Internal)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(receipt_id_at(now.unwrap_or_default(), random))
}

/// 48 bits of time in milliseconds, and 80 random bits that keep it from being guessed. The time is in front, so that the
/// ledger adds each receipt at the end of an index.
fn receipt_id_at(since_epoch: Duration, random: [u8; 10]) -> String {
    let mut bytes = [0; 16];
    let (time, rest) = bytes.split_at_mut(6);
    time.copy_from_slice(&since_epoch.as_millis().to_be_bytes()[10..]);
    rest.copy_from_slice(&random);
    let mut id = String::with_capacity(37);
    id.push_str("rcpt-");
    attest_core::push_hex(&mut id, &bytes);
    id
}

/// What the estimate of a request depends on.
struct Estimated<'a> {
    endpoint: Endpoint,
    fields: &'a Fields,
    body_bytes: u64,
    images: u64,
    admitted_at: UnixTime,
}

/// What the head of a request is found to have.
struct Checked {
    key: Arc<ActiveKey>,
    slot: RequestSlot,
    labels: Labels,
    /// `None` if no limit applies to the caller.
    limit_share: Option<LimitShare>,
    /// The model that a header announces, if its retention had to be checked; the inner `None` is an unknown model.
    announced: Option<Option<RoutedModel>>,
}

/// The id that retention policies name a model by.
fn model_id(model: Option<&RoutedModel>) -> Option<&str> {
    model.map(|model| model.route.model.as_str())
}

/// How many images the prompt has, if they have a price.
fn priced_images(epoch: &Epoch, model: Option<&RoutedModel>, body: &[u8]) -> u64 {
    match (&epoch.config.prices.table, model) {
        (Some(table), Some(model)) if table.prices_images(&model.route.model) => count_images(body),
        _ => 0,
    }
}

impl RequestSlot {
    fn take(
        all: &Arc<AtomicUsize>,
        max: usize,
        key: &Arc<ActiveKey>,
        limits: &Limits,
    ) -> Result<Self, ApiError> {
        // Counted first and taken back on refusal: a check before counting would let two requests pass at once. The key's own
        // limit comes first, so that its client gets that answer however busy the service is.
        if key.shared.in_flight.fetch_add(1, Ordering::AcqRel) >= limits.max_concurrent_per_key {
            key.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
            return Err(ApiError::KeyBusy);
        }
        if all.fetch_add(1, Ordering::AcqRel) >= limits.max_concurrent.min(max) {
            all.fetch_sub(1, Ordering::AcqRel);
            key.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
            return Err(ApiError::ServiceBusy);
        }
        Ok(Self {
            all: all.clone(),
            key: key.clone(),
        })
    }
}

impl RequestSlot {
    /// Becomes true when the key that the request came with is revoked.
    pub fn revocation(&self) -> watch::Receiver<bool> {
        self.key.revocation()
    }
}

impl Drop for RequestSlot {
    fn drop(&mut self) {
        // The reverse order of taking does not matter: both only ever allow too few for an instant, never too many.
        self.key.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.all.fetch_sub(1, Ordering::AcqRel);
    }
}
