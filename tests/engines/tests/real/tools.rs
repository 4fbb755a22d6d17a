//! Calls of tools. A model as small as this one hardly ever calls one by itself, so the request makes the first tokens
//! of a call more likely; the engine's grammar does the rest.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::path::{RealPath, events, question};
use blackbox::asking::CHAT;
use engines::Serving;

const CITIES: [&str; 2] = ["Paris", "Rome"];

fn with_tools(mut request: Value) -> Value {
    request["tools"] = json!([{"type": "function", "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": CITIES}},
            "required": ["city"],
            "additionalProperties": false,
        },
    }}]);
    request
}

fn insisting_on_a_call() -> Value {
    let mut request = with_tools(question("What is the weather in Paris?"));
    request["tool_choice"] = json!("required");
    request["logit_bias"] = json!([["<tool_call>\n", 12]]);
    request["max_tokens"] = json!(96);
    request
}

/// The arguments that the model has written, as far as the grammar lets it choose.
fn check_arguments(text: &str) -> Result<()> {
    let arguments: Value = serde_json::from_str(text).with_context(|| text.to_owned())?;
    let city = arguments["city"].as_str().context("no city")?;
    ensure!(CITIES.contains(&city), "{arguments}");
    ensure!(
        arguments.as_object().is_some_and(|all| all.len() == 1),
        "{arguments}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_tool_call_comes_whole_and_its_result_is_answered() -> Result<()> {
    let Some(path) = RealPath::new("tools", Serving::Chats).await? else {
        return Ok(());
    };
    let asked = insisting_on_a_call();
    let answer = path.answer_json(CHAT, &asked).await?;
    let message = &answer["choices"][0]["message"];
    let call = &message["tool_calls"][0];
    assert_eq!(call["type"], "function");
    assert_eq!(call["function"]["name"], "weather");
    let arguments = call["function"]["arguments"]
        .as_str()
        .with_context(|| message.to_string())?;
    check_arguments(arguments)?;

    let mut request = with_tools(question(""));
    request["messages"] = json!([
        asked["messages"][0],
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "18 degrees, sunny"},
    ]);
    let answer = path.answer_json(CHAT, &request).await?;
    let text = answer["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_default();
    assert!(!text.trim().is_empty(), "{answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_tool_call_comes_in_pieces() -> Result<()> {
    let Some(path) = RealPath::new("streamed tools", Serving::Chats).await? else {
        return Ok(());
    };
    let mut request = insisting_on_a_call();
    request["stream"] = json!(true);
    let (mut name, mut arguments) = (String::new(), String::new());
    for event in events(&path.answer(CHAT, &request).await?)? {
        let Ok(chunk) = serde_json::from_str::<Value>(&event) else {
            assert_eq!(event, "[DONE]");
            continue;
        };
        for call in chunk["choices"][0]["delta"]["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
        {
            // With the bias it may begin a second one.
            if call["index"] != 0 {
                continue;
            }
            name += call["function"]["name"].as_str().unwrap_or_default();
            arguments += call["function"]["arguments"].as_str().unwrap_or_default();
        }
    }
    assert_eq!(name, "weather");
    check_arguments(&arguments)
}
