//! What a real engine refuses reaches the client as our error, without a word of the engine's.

use anyhow::Result;
use serde_json::json;

use crate::path::{RealPath, question};
use blackbox::asking::{CHAT, OpenAiError, error};
use engines::Serving;

/// Words of llama.cpp's messages and error bodies.
const ENGINE_WORDS: [&str; 7] = [
    "n_ctx",
    "n_prompt_tokens",
    "context size",
    "exceed_context_size",
    "parser",
    "template",
    "llama",
];

fn has_words_of_the_engine(error: &OpenAiError) -> bool {
    let text = format!("{error:?}").to_lowercase();
    ENGINE_WORDS.iter().any(|word| text.contains(word))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_beyond_the_real_context_is_refused_with_our_error() -> Result<()> {
    let Some(path) = RealPath::new("context overflow", Serving::Chats).await? else {
        return Ok(());
    };
    let refused = error(path.send(CHAT, &question(&"word ".repeat(5000))).await?).await?;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.code.as_deref(), Some("context_length_exceeded"));
    assert!(!has_words_of_the_engine(&refused), "{refused:?}");
    assert!(
        path.engine
            .log()
            .contains("exceeds the available context size"),
        "the engine did not refuse it"
    );

    let answer = path.answer_json(CHAT, &question("Hello")).await?;
    assert!(answer["choices"][0]["message"]["content"].is_string());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_the_real_engine_refuses_is_our_error() -> Result<()> {
    let Some(path) = RealPath::new("refused schema", Serving::Chats).await? else {
        return Ok(());
    };
    let mut request = question("Hello");
    request["response_format"] = json!({
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {"type": "no such type"}},
    });
    let refused = error(path.send(CHAT, &request).await?).await?;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.code.as_deref(), Some("upstream_rejected"));
    assert!(!has_words_of_the_engine(&refused), "{refused:?}");
    Ok(())
}
