//! Requests, and checks of their answers.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use testkit::client::{Answer, Connection};

pub const CHAT: &str = "/v1/chat/completions";

/// Longer than anything that is meant to happen takes.
pub const TIMEOUT: Duration = Duration::from_secs(20);
/// Long enough to be sure that nothing happens.
pub const SILENCE: Duration = Duration::from_millis(250);

pub fn chat(model: &str, question: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": question}]})
}

pub fn streamed(model: &str, question: &str) -> Value {
    let mut request = chat(model, question);
    request["stream"] = json!(true);
    request
}

/// An OpenAI-shaped error, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenAiError {
    pub status: u16,
    pub kind: String,
    pub code: Option<String>,
    pub param: Option<String>,
    pub message: String,
}

/// Reads an error answer and insists on the shape that OpenAI's clients expect.
pub async fn error(answer: Answer) -> Result<OpenAiError> {
    let status = answer.status.as_u16();
    let content_type = answer.header("content-type").unwrap_or_default().to_owned();
    anyhow::ensure!(
        content_type.starts_with("application/json"),
        "content type {content_type:?}"
    );
    let body = answer.json().await?;
    let members = body.as_object().context("not an object")?;
    anyhow::ensure!(members.len() == 1, "more than `error`: {body}");
    let error = body["error"]
        .as_object()
        .with_context(|| format!("no error object: {body}"))?;
    for name in ["message", "type", "param", "code"] {
        anyhow::ensure!(error.contains_key(name), "no {name}: {body}");
    }
    let text = |name: &str| error[name].as_str().map(str::to_owned);
    Ok(OpenAiError {
        status,
        kind: text("type").context("the type is not text")?,
        code: text("code"),
        param: text("param"),
        message: text("message").context("the message is not text")?,
    })
}

/// The receipt of `id`, once it is there: it is written when the exchange is over.
pub async fn receipt(connection: &mut Connection, key: &str, id: &str) -> Result<Vec<u8>> {
    let path = format!("/v1/aci/receipts/{id}");
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let answer = connection.get_as(key, &path).await?;
        let status = answer.status;
        let body = answer.bytes().await?;
        if status == 200 {
            return Ok(body);
        }
        anyhow::ensure!(Instant::now() < deadline, "no receipt {id}: {status}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until `holds` gives true.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The next chunk, or a panic that says what was waited for.
pub async fn next_chunk(answer: &mut Answer, what: &str) -> Option<Vec<u8>> {
    match timeout(TIMEOUT, answer.chunk()).await {
        Ok(chunk) => chunk
            .unwrap_or_else(|error| panic!("{what}: {error:#}"))
            .map(|c| c.to_vec()),
        Err(_) => panic!("waited too long for {what}"),
    }
}

/// Insists that nothing arrives for a while.
pub async fn nothing_arrives(answer: &mut Answer, why: &str) {
    let early = timeout(SILENCE, answer.chunk()).await;
    assert!(early.is_err(), "{why}: {early:?}");
}
