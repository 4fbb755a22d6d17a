//! What handlers of the public API get: shared services, and the connection of the request.

use std::net::IpAddr;
use std::sync::Arc;

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
    pub services: Arc<RequestServices>,
    pub report_queue: Arc<ReportQueue>,
    pub rotation: Arc<EpochRotation>,
    pub ledger: Arc<Ledger>,
    pub metrics: Arc<Metrics>,
}

/// The connection of a request: its epoch and its slot.
#[derive(Clone)]
pub struct Connection {
    pub epoch: Arc<Epoch>,
    /// The peer's address, if the system still knew it.
    pub peer: Option<IpAddr>,
    slot: Arc<ConnectionSlot>,
    /// Its completed flushes.
    pub flushes: Flushes,
}

impl Connection {
    pub fn new(epoch: Arc<Epoch>, peer: Option<IpAddr>, slot: Arc<ConnectionSlot>) -> Self {
        Self {
            epoch,
            peer,
            slot,
            flushes: Flushes::counted(),
        }
    }

    /// A request was authenticated. Fails if there is no slot for one more such connection; then the request is not served.
    pub fn authenticated(&self) -> Result<(), ApiError> {
        let slot = self.slot.authenticated();
        slot.map_err(|NoSlot| ApiError::ServiceBusy)
    }

    /// A request had an invalid credential.
    pub fn not_authenticated(&self) {
        self.slot.not_authenticated();
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
