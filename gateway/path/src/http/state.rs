//! What handlers are given.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::admit::Admission;
use crate::flushes::Flushes;
use crate::places::{NoPlace, Place};
use crate::receipt::RequestServices;
use gateway_base::errors::ApiError;
use gateway_base::metrics::Metrics;
use gateway_contract::attestation::ReportQueue;
use gateway_contract::epoch::Epoch;
use gateway_contract::rotation::EpochRotation;
use gateway_store::ledger::Ledger;

/// The rooms behind the door.
pub struct Front {
    pub admission: Admission,
    pub services: RequestServices,
    pub report_queue: Arc<ReportQueue>,
    pub rotation: Arc<EpochRotation>,
    pub ledger: Arc<Ledger>,
    pub metrics: Arc<Metrics>,
}

/// The connection a request came in on: the epoch it was opened under, and whether a body was left unread on it.
#[derive(Clone)]
pub struct Connection {
    pub epoch: Arc<Epoch>,
    /// The address at the other end, if the system still knew it.
    pub peer: Option<IpAddr>,
    place: Arc<Place>,
    /// How often it has been flushed.
    pub flushes: Flushes,
    unread: Arc<AtomicBool>,
}

impl Connection {
    pub fn new(epoch: Arc<Epoch>, peer: Option<IpAddr>, place: Arc<Place>) -> Self {
        Self {
            epoch,
            peer,
            place,
            flushes: Flushes::counted(),
            unread: Arc::default(),
        }
    }

    /// Notes that a request was authenticated. Fails where the service has no place for one more such connection; the
    /// request is not served then, nor its body read.
    pub fn authenticated(&self) -> Result<(), ApiError> {
        self.place.authenticated().map_err(|NoPlace| {
            self.leave_body_unread();
            ApiError::ServiceBusy
        })
    }

    /// Notes that a request had a credential that is not valid.
    pub fn not_authenticated(&self) {
        self.place.not_authenticated();
    }

    /// Notes that a request was answered although its body was not read to the end.
    pub fn leave_body_unread(&self) {
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
