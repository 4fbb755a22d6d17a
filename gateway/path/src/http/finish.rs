//! Headers that every response gets.

use http::Response;
use http::header::{HeaderValue, SERVER};

use gateway_base::request::{ACI_VERSION, KEYSET_DIGEST};
use gateway_contract::epoch::Epoch;

/// Adds the ACI headers of the epoch the connection was opened under (ACI/1 §5.2).
pub(crate) fn finish<B>(mut response: Response<B>, epoch: &Epoch) -> Response<B> {
    let headers = response.headers_mut();
    headers.insert(ACI_VERSION, HeaderValue::from_static("aci/1"));
    headers.insert(KEYSET_DIGEST, epoch.keyset_header.clone());
    headers.insert(SERVER, HeaderValue::from_static("sealgate"));
    response
}
