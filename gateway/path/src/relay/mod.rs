//! From an admitted request to the last byte of its response.
//!
//! [`serve_inference`] picks an upstream ([`failover`]), sends it the prompt as it was received but for the rewrites
//! in [`rewrite`], and passes the answer on as it comes ([`answer`], [`body`]): bytes are not changed but for what we
//! asked for ourselves and for the upstream's errors, an event of a stream goes on when its last byte is here, the
//! client's pace is the upstream's, and a response that broke off upstream breaks off here too instead of ending
//! politely, after everything that came of it has been written. Whatever happens, a receipt says so.

mod answer;
mod body;
mod decode;
mod error_body;
mod failover;
mod head;
mod object_spans;
mod overflow;
mod patience;
mod refusal;
mod retry_after;
mod rewrite;
mod upstream_refusal;

pub use refusal::{Refusal, shown_refusals};
pub use upstream_refusal::{OperatorFault, RefusalKind, UpstreamRefusal};

use crate::receipt::RequestServices;
use axum::body::Body;
use http::Response;

use crate::admit::AdmittedRequest;
use crate::flushes::Flushes;
use crate::receipt::Recorder;
use answer::Answer;
use failover::Ask;
use gateway_base::request::RECEIPT_ID;
use gateway_retention::{self as retention, Tape};

/// Serves an admitted request on a connection. Errors become responses, with receipts of their own.
pub async fn serve_inference(
    services: &RequestServices,
    request: AdmittedRequest,
    flushes: Flushes,
) -> Response<Body> {
    let mut recorder = Recorder::begin(services, &request);
    let receipt_id = http::HeaderValue::try_from(request.receipt_id.as_str());
    let mut response = match answer(services, request, &mut recorder).await {
        Ok((answer, tape)) => body::relay(answer, tape, recorder, flushes),
        Err(refusal) => refusal.answer(recorder),
    };
    if let Ok(receipt_id) = receipt_id {
        response.headers_mut().insert(RECEIPT_ID, receipt_id);
    }
    response
}

/// An upstream's answer, and what records it where the policy wants that.
async fn answer(
    services: &RequestServices,
    request: AdmittedRequest,
    recorder: &mut Recorder,
) -> Result<(Answer, Option<Tape>), Refusal> {
    let terms = request.retention.clone();
    let caller = request.caller.clone();
    let receipt_id = request.receipt_id.clone();
    let policy = request.epoch.retention.policy().digest();
    let ask = Ask::prepare(request, &services.clock, recorder)?;
    let subject = retention::Subject {
        receipt_id: &receipt_id,
        caller: &caller,
        policy,
        terms: &terms,
        row_before: recorder.row_before(),
    };
    let unkept = recorder.unkept();
    let tape = retention::keep(
        &services.records,
        &services.ledger,
        subject,
        || ask.body(),
        &unkept,
    )
    .await?;
    Ok((ask.serve(recorder).await?, tape))
}
