//! Headers that every response gets.

use axum::body::Body;
use http::Response;
use http::header::{HeaderValue, SERVER};

use gateway_base::request::{ACI_VERSION, KEYSET_DIGEST};
use gateway_contract::epoch::Epoch;

/// Adds the ACI headers of the epoch the connection was opened under (ACI/1 §5.2).
pub(crate) fn finish(mut response: Response<Body>, epoch: &Epoch) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(ACI_VERSION, HeaderValue::from_static("aci/1"));
    headers.insert(KEYSET_DIGEST, epoch.keyset_header.clone());
    headers.insert(SERVER, HeaderValue::from_static("sealgate"));
    response
}
