//! `/v1/chat/completions`.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use super::fault::Fault;
use super::reply::{self, done, event};
use super::state::Shared;
use super::{answer as words, completions::Usage};

const ID: &str = "chatcmpl-demo";

/// What the assistant does.
enum Turn {
    Says { text: String, finish: &'static str },
    Calls { tool: String, arguments: String },
}

pub fn answer(
    shared: &Arc<Shared>,
    model: &str,
    request: &Value,
    fault: Option<Fault>,
) -> Response {
    let Some(messages) = request["messages"]
        .as_array()
        .filter(|list| !list.is_empty())
    else {
        return reply::error(400, "messages must be a non-empty array");
    };
    let conversation = match Conversation::read(messages) {
        Ok(conversation) => conversation,
        Err(complaint) => return reply::error(400, complaint),
    };
    let turn = tool_call(request, &conversation).unwrap_or_else(|| {
        let limit = ["max_completion_tokens", "max_tokens"]
            .iter()
            .find_map(|name| request[name].as_u64());
        let (text, finish) =
            words::limited(&words::to(&conversation.last, conversation.images), limit);
        Turn::Says { text, finish }
    });
    let usage = Usage {
        prompt: words::tokens(&conversation.all).len(),
        completion: match &turn {
            Turn::Says { text, .. } => words::tokens(text).len(),
            Turn::Calls { arguments, .. } => words::tokens(arguments).len(),
        },
    };
    if request["stream"].as_bool() == Some(true) {
        let with_usage = request["stream_options"]["include_usage"].as_bool() == Some(true);
        let chunks = streamed(model, &turn, with_usage.then_some(&usage));
        return reply::event_stream(shared, chunks, fault);
    }
    reply::json(200, &whole(model, &turn, &usage))
}

struct Conversation {
    /// The text of the last message.
    last: String,
    last_role: String,
    /// The text of all messages, for counting.
    all: String,
    images: usize,
}

impl Conversation {
    fn read(messages: &[Value]) -> Result<Self, &'static str> {
        let mut conversation = Self {
            last: String::new(),
            last_role: String::new(),
            all: String::new(),
            images: 0,
        };
        for message in messages {
            let role = message["role"]
                .as_str()
                .ok_or("every message needs a role")?;
            conversation.last_role = role.to_owned();
            conversation.last = match &message["content"] {
                Value::String(text) => text.clone(),
                Value::Null if role == "assistant" => String::new(),
                Value::Array(parts) => conversation.read_parts(parts)?,
                _ => return Err("a message's content must be text or an array of parts"),
            };
            conversation.all.push_str(&conversation.last);
            conversation.all.push('\n');
        }
        Ok(conversation)
    }

    fn read_parts(&mut self, parts: &[Value]) -> Result<String, &'static str> {
        let mut text = String::new();
        for part in parts {
            match part["type"].as_str() {
                Some("text") => text.push_str(part["text"].as_str().ok_or("text is missing")?),
                Some("image_url") => {
                    let url = part["image_url"]["url"]
                        .as_str()
                        .ok_or("an image needs a url")?;
                    if !url.starts_with("data:image/") {
                        return Err("this engine takes images as data URLs only");
                    }
                    self.images += 1;
                }
                _ => return Err("unknown content part"),
            }
        }
        Ok(text)
    }
}

/// A call, if the request offers tools and either demands one or speaks of one.
fn tool_call(request: &Value, conversation: &Conversation) -> Option<Turn> {
    let tools = request["tools"].as_array()?;
    let choice = &request["tool_choice"];
    if choice == "none" || conversation.last_role == "tool" {
        return None;
    }
    let said = conversation.last.to_lowercase();
    let name = |tool: &Value| tool["function"]["name"].as_str().map(str::to_owned);
    let wanted = choice["function"]["name"].as_str();
    let tool = tools.iter().find(|tool| match (wanted, name(tool)) {
        (Some(wanted), Some(name)) => wanted == name,
        (None, Some(name)) => {
            choice == "required"
                || said.contains("tool")
                || name
                    .split('_')
                    .any(|word| word.len() > 3 && said.contains(word))
        }
        _ => false,
    })?;
    let arguments = arguments(&tool["function"]["parameters"], &conversation.last);
    Some(Turn::Calls {
        tool: name(tool)?,
        arguments,
    })
}

/// Fills each declared property from the last word of the question.
fn arguments(parameters: &Value, question: &str) -> String {
    let last_word = question
        .split(|character: char| !character.is_alphanumeric())
        .rfind(|word| !word.is_empty())
        .unwrap_or_default();
    let filled = parameters["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let value = match schema["type"].as_str() {
                Some("integer" | "number") => json!(question.split_whitespace().count()),
                Some("boolean") => json!(true),
                _ => schema["enum"]
                    .get(0)
                    .cloned()
                    .unwrap_or_else(|| json!(last_word)),
            };
            (name.clone(), value)
        });
    Value::Object(filled.collect()).to_string()
}

fn call(tool: &str, arguments: &str) -> Value {
    json!({
        "id": "call_demo_0",
        "type": "function",
        "function": {"name": tool, "arguments": arguments},
    })
}

fn whole(model: &str, turn: &Turn, usage: &Usage) -> Value {
    let (message, finish) = match turn {
        Turn::Says { text, finish } => (json!({"role": "assistant", "content": text}), *finish),
        Turn::Calls { tool, arguments } => (
            json!({"role": "assistant", "content": null, "tool_calls": [call(tool, arguments)]}),
            "tool_calls",
        ),
    };
    json!({
        "id": ID,
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
        "usage": usage.to_json(),
    })
}

fn streamed(model: &str, turn: &Turn, usage: Option<&Usage>) -> Vec<Bytes> {
    let frame = |choices: Value| {
        let mut frame = json!({
            "id": ID,
            "object": "chat.completion.chunk",
            "created": 0,
            "model": model,
            "choices": choices,
        });
        if usage.is_some() {
            frame["usage"] = Value::Null;
        }
        frame
    };
    let delta = |delta: Value, finish: Value| {
        event(&frame(
            json!([{"index": 0, "delta": delta, "finish_reason": finish}]),
        ))
    };
    let mut chunks = Vec::new();
    let finish = match turn {
        Turn::Says { text, finish } => {
            chunks.push(delta(
                json!({"role": "assistant", "content": ""}),
                Value::Null,
            ));
            for token in words::tokens(text) {
                chunks.push(delta(json!({"content": token}), Value::Null));
            }
            *finish
        }
        Turn::Calls { tool, arguments } => {
            let mut opening = call(tool, "");
            opening["index"] = json!(0);
            let first = json!({"role": "assistant", "content": null, "tool_calls": [opening]});
            chunks.push(delta(first, Value::Null));
            for token in words::tokens(arguments) {
                let piece = json!({"index": 0, "function": {"arguments": token}});
                chunks.push(delta(json!({"tool_calls": [piece]}), Value::Null));
            }
            "tool_calls"
        }
    };
    chunks.push(delta(json!({}), json!(finish)));
    if let Some(usage) = usage {
        let mut last = frame(json!([]));
        last["usage"] = usage.to_json();
        chunks.push(event(&last));
    }
    chunks.push(done());
    chunks
}
