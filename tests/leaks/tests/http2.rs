//! HTTP/2 is off until the hunt covers it.

use anyhow::Result;
use leaks::stage::Stage;
use testkit::client::TlsClient;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_wants_http2_gets_http1_or_nothing() -> Result<()> {
    let stage = Stage::leaving().await?;
    for address in [stage.aggregator.address(), stage.enclave.address()] {
        let either = TlsClient::observing().offering(&["h2", "http/1.1"]);
        let connection = either.raw(address).await?;
        let (_, session) = connection.get_ref();
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        let only = TlsClient::observing().offering(&["h2"]);
        assert!(only.raw(address).await.is_err(), "a handshake for HTTP/2");
    }
    Ok(())
}
