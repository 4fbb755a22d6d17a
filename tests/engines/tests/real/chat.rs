//! Chats, whole and streamed.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::path::{RealPath, events, question};
use blackbox::asking::CHAT;
use engines::Serving;

const QUESTION: &str = "What is the capital of France?";

#[tokio::test(flavor = "multi_thread")]
async fn a_real_answer_has_usage_and_a_receipt_over_its_exact_bytes() -> Result<()> {
    let Some(path) = RealPath::new("chat", Serving::Chats).await? else {
        return Ok(());
    };
    let answer = path.answer_json(CHAT, &question(QUESTION)).await?;
    let choice = &answer["choices"][0];
    let text = choice["message"]["content"].as_str().context("no text")?;
    assert!(text.contains("Paris"), "{text}");
    assert_eq!(choice["finish_reason"], "stop");
    let tokens = |name: &str| answer["usage"][name].as_u64().context("no usage");
    let (prompt, completion) = (tokens("prompt_tokens")?, tokens("completion_tokens")?);
    assert!(prompt > 0 && completion > 0, "{}", answer["usage"]);
    assert_eq!(tokens("total_tokens")?, prompt + completion);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_stream_ends_with_its_reason_then_usage_then_done() -> Result<()> {
    let Some(path) = RealPath::new("stream", Serving::Chats).await? else {
        return Ok(());
    };
    let mut request = question(QUESTION);
    request["stream"] = json!(true);
    request["stream_options"] = json!({"include_usage": true});
    let mut events = events(&path.answer(CHAT, &request).await?)?;
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    let chunks: Vec<Value> = events
        .iter()
        .map(|event| serde_json::from_str(event))
        .collect::<Result<_, _>>()?;
    let [first, pieces @ .., finish, usage] = &chunks[..] else {
        panic!("too few events: {events:?}");
    };
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
    let mut text = String::new();
    for piece in pieces {
        assert_eq!(piece["id"], first["id"]);
        assert_eq!(piece["choices"][0]["finish_reason"], Value::Null);
        text += piece["choices"][0]["delta"]["content"]
            .as_str()
            .context("no piece")?;
    }
    assert!(text.contains("Paris"), "{text}");
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(usage["choices"], json!([]));
    let completion = usage["usage"]["completion_tokens"]
        .as_u64()
        .context("no usage")?;
    assert!(
        completion >= pieces.len() as u64,
        "{completion} for {} pieces",
        pieces.len()
    );
    Ok(())
}
