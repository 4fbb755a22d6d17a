//! From an admitted request to the last byte of its response.
//!
//! [`serve_inference`] chooses an upstream ([`failover`]), sends it the prompt as received except for the rewrites in
//! [`rewrite`], and passes the answer on as it arrives ([`answer`], [`body`]). Bytes are not changed, except that usage
//! which only we requested and the upstream's errors are removed. An event of a stream is passed on when it is complete. A
//! slow client slows the upstream down. A response that the upstream interrupts is aborted here too, after everything that
//! arrived has been written. Whatever happens, there is a receipt.

mod answer;
mod body;
mod deadline;
mod decode;
mod error_body;
mod failover;
mod head;
mod object_spans;
mod overflow;
mod refusal;
mod retry_after;
mod rewrite;
mod upstream_refusal;

use std::sync::Arc;

use http::header::InvalidHeaderValue;
use http::{HeaderValue, Response};

use crate::admit::{AdmittedRequest, NotAuthorized, UnknownModel};
use crate::flushes::Flushes;
use crate::receipt::RequestServices;
use crate::receipt::{Routed, Unfinished};
use answer::Answer;
use attest_core::Serving;
use failover::RoutedRequest;
use gateway_authorization::{Denied, Effect};
use gateway_base::errors::ApiError;
use gateway_base::request::{BUDGET_REMAINING, RECEIPT_ID};
use gateway_quota::Remaining;
use gateway_retention::{self as retention, SealingRecord};
use refusal::Refusal;
use upstream_refusal::UpstreamRefusal;

pub use body::{Aborted, ResponseBody};
pub use refusal::shown_refusals;

/// Serves an admitted request. Errors become responses, which have receipts too.
pub async fn serve_inference(
    services: &Arc<RequestServices>,
    mut request: Box<AdmittedRequest>,
    flushes: Flushes,
) -> Response<ResponseBody> {
    let receipt_id = HeaderValue::try_from(&request.context.receipt_id);
    let remaining = remaining_budget(request.context.reservation.remaining());
    let mut receipt = Unfinished::received(services, &mut request.context)
        .routed(&request.model.route.model, &request.model.requested_name);
    if let Some(code) = request.permit.code() {
        receipt.authorized(Effect::Allow, code);
    }
    let response = match answer(services, request, &mut receipt).await {
        Ok((answer, sealing)) => body::relay(answer, sealing, receipt, flushes),
        Err(refusal) => refusal.into_response(receipt),
    };
    let mut response = with_receipt_id(response, receipt_id);
    if let Some(remaining) = remaining {
        response.headers_mut().insert(BUDGET_REMAINING, remaining);
    }
    response
}

/// What remains of the budgets that callers are shown: `ID=12.5, ID=300 tokens`. `None` if there is no such budget.
fn remaining_budget(remaining: &[Remaining]) -> Option<HeaderValue> {
    if remaining.is_empty() {
        return None;
    }
    let each = remaining.iter();
    let each = each.map(|one| format!("{}={}", one.budget, one.amount));
    HeaderValue::try_from(each.collect::<Vec<_>>().join(", ")).ok()
}

/// Refuses a request whose model is unknown. The refusal has a receipt too.
pub fn refuse_unknown_model(
    services: &Arc<RequestServices>,
    request: UnknownModel,
) -> Response<ResponseBody> {
    let UnknownModel {
        mut context,
        verification_required,
    } = request;
    let mut receipt = Unfinished::received(services, &mut context).not_routed();
    if context.epoch.config.server.mode == Serving::Aggregator {
        receipt.unverified(verification_required, "", "model_not_found", None);
    }
    let response = Refusal::from(ApiError::ModelNotFound).into_response(receipt);
    with_receipt_id(response, HeaderValue::try_from(&context.receipt_id))
}

/// Refuses a request that the authorization policy does not allow. The refusal has a receipt too.
pub fn refuse_not_authorized(
    services: &Arc<RequestServices>,
    request: NotAuthorized,
) -> Response<ResponseBody> {
    let NotAuthorized {
        mut context,
        model,
        denied: Denied { code },
    } = request;
    let mut receipt = Unfinished::received(services, &mut context)
        .routed(&model.route.model, &model.requested_name);
    receipt.authorized(Effect::Deny, &code);
    let response = Refusal::from(ApiError::NotAuthorized { code }).into_response(receipt);
    with_receipt_id(response, HeaderValue::try_from(&context.receipt_id))
}

fn with_receipt_id(
    mut response: Response<ResponseBody>,
    receipt_id: Result<HeaderValue, InvalidHeaderValue>,
) -> Response<ResponseBody> {
    if let Ok(receipt_id) = receipt_id {
        response.headers_mut().insert(RECEIPT_ID, receipt_id);
    }
    response
}

/// An upstream's answer, and its recording if the policy requires one.
async fn answer(
    services: &RequestServices,
    request: Box<AdmittedRequest>,
    receipt: &mut Unfinished<Routed>,
) -> Result<(Answer, Option<SealingRecord>), Refusal> {
    let request = RoutedRequest::new(request, &services.clock);
    let context = request.context();
    let subject = retention::RecordRequest {
        receipt_id: &context.receipt_id,
        caller: &context.caller,
        policy: context.epoch.retention.policy().digest(),
        terms: &context.retention,
        row_before: receipt.row_before_forwarding(),
    };
    let retention_failure = receipt.retention_failure();
    // Before any candidate is contacted: if the row or the record that the policy requires cannot be written, the
    // prompt is not forwarded.
    let sealing = retention::prepare_record(
        &services.records,
        &services.ledger,
        subject,
        || request.sealable(),
        &retention_failure,
    )
    .await?;
    Ok((request.serve(receipt).await?, sealing))
}
