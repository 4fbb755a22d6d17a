//! HTTP/2 is off until the hunt covers it.

use anyhow::Result;

use leaks::http2::offered_by;
use leaks::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_offers_http2_gets_http1_or_no_connection() -> Result<()> {
    let stage = Stage::leaving().await?;
    let offering = offered_by(&stage).await?;
    assert!(offering.is_empty(), "HTTP/2 is offered by {offering:?}");
    Ok(())
}
