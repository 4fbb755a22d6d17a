//! From an admitted request to the last byte of its response.
//!
//! [`serve_inference`] picks an upstream ([`failover`]), sends it the prompt as it was received but for the rewrites
//! in [`rewrite`], and passes the response on byte for byte as it arrives ([`body`]): nothing is buffered, the client's
//! pace is the upstream's, and a response that broke off upstream breaks off here too instead of ending politely.
//! Whatever happens, a receipt says so.

mod body;
mod failover;
mod head;
mod object_spans;
mod patience;
mod refusal;
mod rewrite;
mod scan;
mod upstream_refusal;

pub use crate::receipt::Tools as Back;
pub use refusal::Refusal;
pub use scan::Usage;
pub use upstream_refusal::{RefusalKind, UpstreamRefusal};

use axum::body::Body;
use http::Response;

use crate::admit::AdmittedRequest;
use crate::http::RECEIPT_ID;
use crate::receipt::Recorder;
use failover::Ask;

/// Serves an admitted request. Errors become responses, with receipts of their own.
pub async fn serve_inference(back: &Back, request: AdmittedRequest) -> Response<Body> {
    let mut recorder = Recorder::begin(back, &request);
    let receipt_id = http::HeaderValue::try_from(request.receipt_id.as_str());
    let outcome = match Ask::prepare(request, &mut recorder) {
        Ok(ask) => ask.serve(&mut recorder).await,
        Err(refusal) => Err(refusal),
    };
    let mut response = match outcome {
        Ok(answer) => body::relay(answer, recorder),
        Err(refusal) => refusal.answer(recorder),
    };
    if let Ok(receipt_id) = receipt_id {
        response.headers_mut().insert(RECEIPT_ID, receipt_id);
    }
    response
}
