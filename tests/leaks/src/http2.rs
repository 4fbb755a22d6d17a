//! Checks that no service offers HTTP/2, which the search does not cover.

use anyhow::{Result, ensure};

use crate::stage::Stage;
use testkit::client::TlsClient;

/// The names of the services that agree to speak HTTP/2 when a client offers it, beside HTTP/1.1 or alone.
pub async fn offered_by(stage: &Stage) -> Result<Vec<&'static str>> {
    let enclave = stage.enclave_door()?;
    let mut offering = Vec::new();
    for door in stage.doors.iter().chain([&enclave]).filter(|door| door.tls) {
        let either = TlsClient::observing().offering(&["h2", "http/1.1"]);
        let connection = either.raw(door.address).await?;
        let chosen = connection.get_ref().1.alpn_protocol();
        let only = TlsClient::observing().offering(&["h2"]);
        if chosen == Some(b"h2") || only.raw(door.address).await.is_ok() {
            offering.push(door.name);
        } else {
            ensure!(
                chosen == Some(b"http/1.1"),
                "{} chose {chosen:?}",
                door.name
            );
        }
    }
    Ok(offering)
}
