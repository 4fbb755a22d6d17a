//! Answers that follow a JSON Schema.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::path::{RealPath, question};
use blackbox::asking::CHAT;
use engines::Serving;

#[tokio::test(flavor = "multi_thread")]
async fn a_real_answer_follows_the_schema_that_was_asked_for() -> Result<()> {
    let Some(path) = RealPath::new("structured output", Serving::Chats).await? else {
        return Ok(());
    };
    let mut request = question("Name a city and how many people live there.");
    let free = path.answer_json(CHAT, &request).await?;
    let free = free["choices"][0]["message"]["content"]
        .as_str()
        .context("no text")?;
    assert!(
        serde_json::from_str::<Value>(free).is_err(),
        "JSON without being asked: {free}"
    );

    request["response_format"] = json!({
        "type": "json_schema",
        "json_schema": {"name": "city", "strict": true, "schema": {
            "type": "object",
            "properties": {
                "country": {"type": "string", "enum": ["France", "Italy", "Norway"]},
                "capital": {"type": "boolean"},
            },
            "required": ["country", "capital"],
            "additionalProperties": false,
        }},
    });
    let answer = path.answer_json(CHAT, &request).await?;
    let text = answer["choices"][0]["message"]["content"]
        .as_str()
        .context("no text")?;
    let city: Value = serde_json::from_str(text).with_context(|| text.to_owned())?;
    let members = city.as_object().context("no object")?;
    assert_eq!(members.len(), 2, "{city}");
    assert!(city["capital"].is_boolean(), "{city}");
    let country = city["country"].as_str().context("no country")?;
    assert!(["France", "Italy", "Norway"].contains(&country), "{city}");
    Ok(())
}
