//! What handlers of the public API get: shared services, and the connection of the request.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::admit::Admission;
use crate::flushes::Flushes;
use crate::receipt::RequestServices;
use crate::slots::{ConnectionSlot, NoSlot};
use gateway_base::errors::ApiError;
use gateway_base::metrics::Metrics;
use gateway_contract::attestation::ReportQueue;
use gateway_contract::epoch::Epoch;
use gateway_contract::rotation::EpochRotation;
use gateway_store::ledger::Ledger;

/// What handlers of the public API share.
pub struct PublicState {
    pub admission: Admission,
    pub services: RequestServices,
    pub report_queue: Arc<ReportQueue>,
    pub rotation: Arc<EpochRotation>,
    pub ledger: Arc<Ledger>,
    pub metrics: Arc<Metrics>,
}

/// The connection of a request: its epoch, its slot, and whether a body was left unread on it.
#[derive(Clone)]
pub struct Connection {
    pub epoch: Arc<Epoch>,
    /// The peer's address, if the system still knew it.
    pub peer: Option<IpAddr>,
    slot: Arc<ConnectionSlot>,
    /// Its completed flushes.
    pub flushes: Flushes,
    /// Set by a handler, read by the connection's task when the response is done. Nothing else is ordered by it.
    unread: Arc<AtomicBool>,
}

impl Connection {
    pub fn new(epoch: Arc<Epoch>, peer: Option<IpAddr>, slot: Arc<ConnectionSlot>) -> Self {
        Self {
            epoch,
            peer,
            slot,
            flushes: Flushes::counted(),
            unread: Arc::default(),
        }
    }

    /// A request was authenticated. Fails if there is no slot for one more such connection; then the request is not served
    /// and its body not read.
    pub fn authenticated(&self) -> Result<(), ApiError> {
        self.slot.authenticated().map_err(|NoSlot| {
            self.leave_body_unread();
            ApiError::ServiceBusy
        })
    }

    /// A request had an invalid credential.
    pub fn not_authenticated(&self) {
        self.slot.not_authenticated();
    }

    /// A request was answered although its body was not read to the end.
    pub fn leave_body_unread(&self) {
        // Relaxed: the flag publishes no other data, and handlers run inside the connection's task, which reads it.
        self.unread.store(true, Ordering::Relaxed);
    }

    pub fn left_body_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Connection {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Connection>()
            .cloned()
            .ok_or(ApiError::Internal)
    }
}
