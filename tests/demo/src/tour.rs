//! Requests that must work, and the evidence for each.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::stage::{GPUS, MODEL, Stage};
use crate::verifier::Detail;
use crate::{say, sdk, verifier};
use attest_core::Sha256Digest;

pub fn chat(model: &str, question: &str) -> Value {
    json!({
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": 48,
    })
}

pub async fn gateway_verifies_before_it_forwards(stage: &Stage) -> Result<()> {
    say::step("The gateway verifies the enclave before it forwards anything");
    let before = stage.engine.prompts();
    let body = chat(MODEL, "What is the capital of Italy?");
    let mut connection = stage.gateway.connect().await?;
    let answer = connection
        .post(&stage.key, "/v1/chat/completions", &body)
        .await?;
    let status = answer.status;
    let id = answer
        .header("x-receipt-id")
        .context("there is no X-Receipt-Id")?
        .to_owned();
    let answer = answer.json().await?;
    ensure!(status == 200, "the gateway answered {status}: {answer}");
    let text = answer["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_default();
    say::note(&format!("answer: {text}"));

    let path = format!("/v1/aci/receipts/{id}");
    let receipt = connection.get_as(&stage.key, &path).await?.json().await?;
    let events: Vec<&str> = receipt["event_log"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|e| e["type"].as_str())
        .collect();
    say::note(&format!("the receipt's events: {}", events.join(" → ")));
    let place = |name| events.iter().position(|event| *event == name);
    let (verified, forwarded) = (place("upstream.verified"), place("request.forwarded"));
    ensure!(
        verified.is_some() && verified < forwarded,
        "nothing says it was verified first"
    );
    say::holds("upstream.verified stands before request.forwarded");

    let session = receipt["event_log"][verified.unwrap_or_default()]["session_id"]
        .as_str()
        .context("the receipt cites no session")?;
    let path = format!("/v1/aci/sessions/{session}");
    let answer = connection.get_as(&stage.key, &path).await?;
    ensure!(
        answer.status == 200,
        "the session cannot be fetched: {}",
        answer.status
    );
    let session_record = answer.json().await?;
    say::note(&format!(
        "session {}…: upstream {}, verified by {}",
        &session[..16.min(session.len())],
        session_record["upstream_name"].as_str().unwrap_or_default(),
        session_record["verifier_id"].as_str().unwrap_or_default(),
    ));
    say::holds("what was verified about the enclave can be fetched and checked again");
    if let (Some(before), Some(after)) = (before, stage.engine.prompts()) {
        ensure!(
            after == before + 1,
            "the engine saw {} prompts",
            after - before
        );
        say::holds("the engine has seen exactly one prompt");
    }
    Ok(())
}

pub async fn anyone_can_check_the_gateway(stage: &Stage) -> Result<()> {
    say::step("A client checks the gateway before the first prompt");
    let url = stage.gateway.url();
    let arguments = [
        "endpoint",
        &url,
        "--save-cert",
        "gateway.pem",
        "--save-report",
        "report.json",
    ];
    let text = verifier::shows(stage, &arguments, Detail::Whole, verifier::ACCEPTED).await?;
    ensure!(
        text.to_lowercase().contains("supplied"),
        "the verdict does not say that its root was supplied"
    );
    say::holds("accepted, and the verdict says that its root is a supplied one, not Intel's");
    Ok(())
}

pub async fn the_enclave_shows_its_gpus_too(stage: &Stage) -> Result<()> {
    say::step("What the gateway asked of the enclave: its CPU, its event log and its GPUs");
    let url = stage.enclave.url();
    let text = verifier::shows_of_enclave(stage, &["endpoint", &url]).await?;
    for family in ["event_log.*", "nvidia.*"] {
        ensure!(
            text.contains(family),
            "the verdict says nothing of {family}"
        );
    }
    say::holds(&format!(
        "{GPUS} GPUs signed a nonce that follows from ours and the keyset, and measure what their vendor lists"
    ));
    Ok(())
}

pub async fn an_unmodified_sdk_through_the_proxy(stage: &Stage) -> Result<()> {
    say::step("An unmodified OpenAI SDK, through sealgate-verify proxy");
    let (whole, streamed) = sdk::ask(stage).await?;
    ensure!(!whole.trim().is_empty(), "the answer is empty");
    ensure!(!streamed.trim().is_empty(), "the streamed answer is empty");
    say::holds("answered, whole and streamed, over a channel that was verified first");
    Ok(())
}

pub async fn a_receipt_is_verified(stage: &Stage) -> Result<()> {
    say::step("The receipt of an exchange, checked against the bytes that were exchanged");
    let request = chat(MODEL, "What is this receipt for?").to_string();
    let mut connection = stage.gateway.connect().await?;
    let answer = connection
        .post_bytes(&stage.key, "/v1/chat/completions", request.clone())
        .await?;
    let id = answer
        .header("x-receipt-id")
        .context("there is no X-Receipt-Id")?
        .to_owned();
    let response = answer.bytes().await?;
    let path = format!("/v1/aci/receipts/{id}");
    let receipt = connection.get_as(&stage.key, &path).await?.bytes().await?;
    stage.directory.write("request.json", &request)?;
    stage.directory.write("response.json", &response)?;
    stage.directory.write("receipt.json", &receipt)?;
    let url = stage.gateway.url();
    let arguments = [
        "receipt",
        "receipt.json",
        "--endpoint",
        &url,
        "--request",
        "request.json",
        "--response",
        "response.json",
    ];
    verifier::shows(stage, &arguments, Detail::Brief, verifier::ACCEPTED).await?;
    say::holds(&format!(
        "it covers exactly these bytes ({})",
        Sha256Digest::hash(request.as_bytes())
    ));

    stage
        .directory
        .write("altered.json", request.replace("this", "that"))?;
    let altered = arguments.map(|argument| {
        if argument == "request.json" {
            "altered.json"
        } else {
            argument
        }
    });
    verifier::shows(stage, &altered, Detail::Brief, verifier::REJECTED).await?;
    say::holds("one altered word, and it is refused");
    Ok(())
}
