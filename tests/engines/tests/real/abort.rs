//! A client that closes its connection stops the real engine.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::time::sleep;

use crate::path::{RealPath, question};
use blackbox::asking::CHAT;
use engines::Serving;

/// An answer of this length fits into the engine's context and takes many seconds.
const LONG: u32 = 1900;

#[tokio::test(flavor = "multi_thread")]
async fn the_real_engine_stops_when_the_client_closes() -> Result<()> {
    let Some(path) = RealPath::new("abort", Serving::Chats).await? else {
        return Ok(());
    };
    let mut request = question("Tell me a long story.");
    request["stream"] = json!(true);
    request["ignore_eos"] = json!(true);
    request["max_tokens"] = json!(LONG);
    let mut answer = path.send(CHAT, &request).await?;
    for _ in 0..3 {
        answer.chunk().await?.context("the stream has ended")?;
    }
    assert_eq!(path.engine.metric("requests_processing").await?, 1.0);
    drop(answer);
    while path.engine.metric("requests_processing").await? > 0.0 {
        sleep(Duration::from_millis(50)).await;
    }
    let generated = path.engine.metric("tokens_predicted_total").await?;
    assert!(
        generated < f64::from(LONG),
        "it generated all {generated} tokens"
    );
    assert!(
        path.engine.log().contains("cancel task"),
        "{}",
        path.engine.log()
    );
    Ok(())
}
