//! From an admitted request to the last byte of its response.
//!
//! [`serve_inference`] chooses an upstream ([`failover`]), sends it the prompt as received except for the rewrites in
//! [`rewrite`], and passes the answer on as it arrives ([`answer`], [`body`]). Bytes are not changed, except that usage
//! which only we requested and the upstream's errors are removed. An event of a stream is passed on when it is complete. A
//! slow client slows the upstream down. A response that the upstream interrupts is aborted here too, after everything that
//! arrived has been written. Whatever happens, there is a receipt.

mod answer;
mod body;
mod decode;
mod error_body;
mod failover;
mod head;
mod idle_timeout;
mod object_spans;
mod overflow;
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
use crate::receipt::ReceiptBuilder;
use answer::Answer;
use failover::RoutedRequest;
use gateway_base::request::RECEIPT_ID;
use gateway_retention::{self as retention, SealingRecord};

/// Serves an admitted request. Errors become responses, which have receipts too.
pub async fn serve_inference(
    services: &RequestServices,
    request: AdmittedRequest,
    flushes: Flushes,
) -> Response<Body> {
    let mut receipt = ReceiptBuilder::new(services, &request);
    let receipt_id = http::HeaderValue::try_from(request.receipt_id.as_str());
    let mut response = match answer(services, request, &mut receipt).await {
        Ok((answer, sealing)) => body::relay(answer, sealing, receipt, flushes),
        Err(refusal) => refusal.into_response(receipt),
    };
    if let Ok(receipt_id) = receipt_id {
        response.headers_mut().insert(RECEIPT_ID, receipt_id);
    }
    response
}

/// An upstream's answer, and its recording if the policy requires one.
async fn answer(
    services: &RequestServices,
    request: AdmittedRequest,
    receipt: &mut ReceiptBuilder,
) -> Result<(Answer, Option<SealingRecord>), Refusal> {
    let terms = request.retention.clone();
    let caller = request.caller.clone();
    let receipt_id = request.receipt_id.clone();
    let policy = request.epoch.retention.policy().digest();
    let ask = RoutedRequest::prepare(request, &services.clock, receipt)?;
    let subject = retention::RecordRequest {
        receipt_id: &receipt_id,
        caller: &caller,
        policy,
        terms: &terms,
        row_before: receipt.row_before_forwarding(),
    };
    let retention_failure = receipt.retention_failure();
    let sealing = retention::prepare_record(
        &services.records,
        &services.ledger,
        subject,
        || ask.body(),
        &retention_failure,
    )
    .await?;
    Ok((ask.serve(receipt).await?, sealing))
}
