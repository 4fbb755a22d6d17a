//! `/v1/completions`, the older text interface.

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Value, json};

use super::answer as words;
use super::fault::Fault;
use super::reply::{self, done, event};
use super::state::Shared;

/// Token counts of one exchange.
pub struct Usage {
    pub prompt: usize,
    pub completion: usize,
}

impl Usage {
    pub fn to_json(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        })
    }
}

pub fn answer(
    shared: &Arc<Shared>,
    model: &str,
    request: &Value,
    fault: Option<Fault>,
) -> Response {
    let prompt = match &request["prompt"] {
        Value::String(prompt) => prompt.clone(),
        Value::Array(prompts) => match prompts.first().and_then(Value::as_str) {
            Some(first) if prompts.len() == 1 => first.to_owned(),
            _ => return reply::error(400, "this engine takes one text prompt at a time"),
        },
        _ => return reply::error(400, "prompt must be text"),
    };
    let (text, finish) = words::limited(&words::to(&prompt, 0), request["max_tokens"].as_u64());
    let usage = Usage {
        prompt: words::tokens(&prompt).len(),
        completion: words::tokens(&text).len(),
    };
    let frame = |text: &str, finish: Value| {
        json!({
            "id": "cmpl-demo",
            "object": "text_completion",
            "created": 0,
            "model": model,
            "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": finish}],
        })
    };
    if request["stream"].as_bool() != Some(true) {
        let mut whole = frame(&text, json!(finish));
        whole["usage"] = usage.to_json();
        return reply::json(200, &whole);
    }
    let mut chunks: Vec<_> = words::tokens(&text)
        .into_iter()
        .map(|token| event(&frame(token, Value::Null)))
        .collect();
    chunks.push(event(&frame("", json!(finish))));
    if request["stream_options"]["include_usage"].as_bool() == Some(true) {
        let mut last = frame("", Value::Null);
        last["choices"] = json!([]);
        last["usage"] = usage.to_json();
        chunks.push(event(&last));
    }
    chunks.push(done());
    reply::event_stream(shared, chunks, fault)
}
