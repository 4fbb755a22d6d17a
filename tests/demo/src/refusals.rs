//! Requests that must be refused, each with its reason.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::stage::{IMPOSTOR_MODEL, MODEL, Stage};
use crate::tour::chat;
use crate::verifier::Detail;
use crate::{say, verifier};
use testkit::client::{Connection, TlsClient};
use testkit::relay::Relay;

const KEYSET_DIGEST: &str = "x-aci-keyset-digest";
const RECEIPT_ID: &str = "x-receipt-id";

pub async fn a_relay_in_the_middle(stage: &Stage) -> Result<()> {
    say::step("Refused: a relay in the middle that presents another key");
    let relay = Relay::start(stage.gateway.address()).await?;
    let url = format!("https://{}", relay.address());
    say::note("It relays the genuine report, but its TLS key is not the attested one.");
    verifier::shows(
        stage,
        &["endpoint", &url],
        Detail::Brief,
        verifier::REJECTED,
    )
    .await?;
    let failed = verifier::failed_checks(stage, &url).await?;
    ensure!(failed == ["channel.spki"], "failed checks: {failed:?}");
    say::holds("rejected for channel.spki, and for nothing else: the evidence itself is genuine");
    Ok(())
}

pub async fn an_enclave_with_another_measurement(stage: &Stage) -> Result<()> {
    say::step("Refused: an enclave with another measurement behind a confidential model");
    let before = stage.impostor_engine.stats().prompts;
    let mut connection = stage.gateway.connect().await?;
    let body = chat(IMPOSTOR_MODEL, "This must not reach the impostor.");
    let answer = connection
        .post(&stage.key, "/v1/chat/completions", &body)
        .await?;
    let status = answer.status;
    let id = answer
        .header(RECEIPT_ID)
        .context("the refusal has no receipt")?
        .to_owned();
    let response = answer.bytes().await?;
    say::command(&format!(
        "POST /v1/chat/completions  model {IMPOSTOR_MODEL}"
    ));
    say::output(&format!("{status}\n{}", String::from_utf8_lossy(&response)));
    ensure!(status == 503, "the gateway answered {status}");
    let error: Value = serde_json::from_slice(&response)?;
    let kind = &error["error"]["type"];
    ensure!(
        kind == "upstream_verification_failed",
        "the error's type is {kind}"
    );
    say::holds("503 upstream_verification_failed");

    let after = stage.impostor_engine.stats().prompts;
    ensure!(after == before, "the prompt was sent");
    say::holds("the engine behind the impostor has seen no prompt");

    let path = format!("/v1/aci/receipts/{id}");
    let receipt = connection.get_as(&stage.key, &path).await?.bytes().await?;
    stage.directory.write("refusal.json", &receipt)?;
    stage
        .directory
        .write("refused-request.json", body.to_string())?;
    stage.directory.write("refused-response.json", &response)?;
    let url = stage.gateway.url();
    let arguments = [
        "receipt",
        "refusal.json",
        "--endpoint",
        &url,
        "--request",
        "refused-request.json",
        "--response",
        "refused-response.json",
    ];
    verifier::shows(stage, &arguments, Detail::Brief, verifier::ACCEPTED).await?;
    let receipt: Value = serde_json::from_slice(&receipt)?;
    let events: Vec<&str> = receipt["event_log"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|e| e["type"].as_str())
        .collect();
    ensure!(
        !events.contains(&"request.forwarded"),
        "the receipt says it was forwarded: {events:?}"
    );
    say::holds("the refusal has a receipt too, signed, and it says that nothing was forwarded");
    Ok(())
}

pub async fn a_client_that_pins_a_replaced_keyset(stage: &mut Stage) -> Result<()> {
    say::step("Refused: a client that pins a keyset that was replaced");
    let mut old = stage.gateway.connect().await?;
    let answer = old.get("/v1/models").await?;
    let pinned = answer
        .header(KEYSET_DIGEST)
        .context("there is no X-ACI-Keyset-Digest")?
        .to_owned();
    drop(answer);
    let pinned_key = old.spki_sha256().context("no key was seen")?;
    say::note(&format!("pinned: {pinned}"));
    ask_pinned(stage, &mut old, &pinned, 200).await?;
    say::holds("while the epoch lasts, a request that insists on this keyset is answered");
    drop(old);

    say::command("kill -HUP <gateway>     # the operator reloads: a new epoch, new keys");
    stage.gateway.reload().await?;
    let refused = TlsClient::pinning(pinned_key)
        .connect(stage.gateway.address())
        .await;
    ensure!(refused.is_err(), "the pinned key still answers");
    say::holds("the pinned TLS key no longer answers: not a byte can be sent to it");

    let mut new = stage.gateway.connect().await?;
    ask_pinned(stage, &mut new, &pinned, 412).await?;
    say::holds("412 for the old X-ACI-Keyset-Digest, before the body is read");

    let (whole, _) = crate::sdk::ask(stage).await?;
    ensure!(
        !whole.trim().is_empty(),
        "the proxy does not answer any more"
    );
    say::holds("sealgate-verify proxy has verified the new epoch and carries on");
    Ok(())
}

async fn ask_pinned(
    stage: &Stage,
    connection: &mut Connection,
    pinned: &str,
    expected: u16,
) -> Result<()> {
    let request =
        testkit::client::post("/v1/chat/completions", &stage.key).header(KEYSET_DIGEST, pinned);
    let body = chat(MODEL, "Only under the contract that I have checked.").to_string();
    let answer = connection.send(request, body.into()).await?;
    let status = answer.status.as_u16();
    let text = String::from_utf8_lossy(&answer.bytes().await?).into_owned();
    ensure!(
        status == expected,
        "the gateway answered {status}, not {expected}: {text}"
    );
    if expected != 200 {
        say::output(&format!("{status} {text}"));
    }
    Ok(())
}
