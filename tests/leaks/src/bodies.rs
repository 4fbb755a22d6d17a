//! Request bodies full of canaries, and the answers the engine gives to them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::canary::Canary;
use testkit::engine::{Engine, Script};

pub const CHAT: &str = "/v1/chat/completions";
/// What the engine calls every answer of a chat.
pub const ANSWER_ID: &str = "chatcmpl-leaks-engine-names-it";
pub const EMBEDDINGS: &str = "/v1/embeddings";

/// Models the engine answers for, by name. Those below that name a fault are the engine's own.
pub const MODELS: [&str; 13] = [
    "short",
    "long",
    "huge",
    "stream-short",
    "stream-long",
    "tools",
    "embed",
    "odd-type",
    "fail-400",
    "fail-500",
    "hang",
    "reset-mid-stream",
    "slow-stream",
];

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// Text of this many bytes.
    Chat(usize),
    /// The same with every character beyond ASCII escaped.
    EscapedChat(usize),
    Streamed(usize),
    Embeddings(usize),
    Tools,
    /// Three images as data URLs, one for each alignment, of this many bytes.
    Images(usize),
    /// With a constraint that nothing can meet.
    Constrained,
    /// Cut short, so that it is not JSON.
    NotJson(usize),
}

impl Ask {
    pub fn path(self) -> &'static str {
        match self {
            Ask::Embeddings(_) => EMBEDDINGS,
            _ => CHAT,
        }
    }

    pub fn body(self, model: &str, canary: &Canary) -> Vec<u8> {
        let said = |content: Value| json!({"model": model, "messages": [{"role": "user", "content": content}]});
        let body = match self {
            Ask::Chat(size) => said(canary.text(size).into()),
            Ask::EscapedChat(size) => {
                let body = said(canary.text(size).into()).to_string();
                return body.replace('é', "\\u00e9").into_bytes();
            }
            Ask::Streamed(size) => {
                let mut body = said(canary.text(size).into());
                body["stream"] = json!(true);
                body["stream_options"] = json!({"include_usage": true});
                body
            }
            Ask::Embeddings(size) => {
                json!({"model": model, "input": [canary.text(size), canary.text(size)]})
            }
            Ask::Tools => tools(said(canary.text(8 << 10).into()), canary),
            Ask::Images(size) => said(images(canary, size)),
            Ask::Constrained => {
                let mut body = said(canary.text(8 << 10).into());
                body["provider"] = json!({"aci_session_ids": ["0".repeat(64)]});
                body
            }
            Ask::NotJson(size) => {
                let mut body = said(canary.text(size).into()).to_string().into_bytes();
                body.truncate(body.len() - 3);
                return body;
            }
        };
        body.to_string().into_bytes()
    }
}

fn tools(mut body: Value, canary: &Canary) -> Value {
    body["tools"] = json!([{"type": "function", "function": {
        "name": "look_up",
        "description": canary.text(2000),
        "parameters": {"type": "object", "properties": {"what": {"type": "string", "description": canary.text(500)}}},
    }}]);
    let earlier = json!({"role": "assistant", "content": null, "tool_calls": [{
        "id": "call_0", "type": "function",
        "function": {"name": "look_up", "arguments": json!({"what": canary.text(2000)}).to_string()},
    }]});
    if let Some(messages) = body["messages"].as_array_mut() {
        messages.push(earlier);
        messages
            .push(json!({"role": "tool", "tool_call_id": "call_0", "content": canary.text(4000)}));
    }
    body
}

fn images(canary: &Canary, size: usize) -> Value {
    let image = |shift: usize| {
        let mut bytes = vec![0xff; shift];
        bytes.extend_from_slice(canary.text(size / 3).as_bytes());
        json!({"type": "image_url", "image_url": {
            "url": format!("data:image/png;base64,{}", STANDARD.encode(bytes)),
        }})
    };
    let text = json!({"type": "text", "text": canary.text(1000)});
    json!([text, image(0), image(1), image(2)])
}

/// A question without a canary whose answer takes half a minute: it keeps a stopping process alive.
pub fn holder() -> Vec<u8> {
    let words = "a ".repeat(120);
    json!({"model": "slow-stream", "stream": true, "messages": [{"role": "user", "content": words}]})
        .to_string()
        .into_bytes()
}

/// Tells the engine what to say for each model.
pub fn teach(engine: &Engine, canary: &Canary) {
    for (model, size) in [("short", 8 << 10), ("long", 200 << 10), ("huge", 8 << 20)] {
        let message = json!({"role": "assistant", "content": canary.text(size)});
        let answer = chat_answer(message).to_string();
        engine.script(model, Script::json(200, answer));
    }
    for (model, size) in [("stream-short", 8 << 10), ("stream-long", 200 << 10)] {
        engine.script(model, Script::event_stream(stream(canary, size)));
    }
    let arguments = json!({"what": canary.text(4000)}).to_string();
    let message = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": arguments}}]});
    engine.script("tools", Script::json(200, chat_answer(message).to_string()));
    // An engine that quotes the prompt in the head of its answer.
    let message = json!({"role": "assistant", "content": canary.text(8 << 10)});
    let mut odd = Script::json(200, chat_answer(message).to_string());
    odd.content_type = format!("application/json; note={}", canary.word());
    engine.script("odd-type", odd);
    engine.script("embed", Script::json(200, embeddings(canary).to_string()));
}

/// Tells the engine to answer for one model more.
pub fn teach_short(engine: &Engine, model: &str, canary: &Canary) {
    let message = json!({"role": "assistant", "content": canary.text(8 << 10)});
    engine.script(model, Script::json(200, chat_answer(message).to_string()));
}

fn chat_answer(message: Value) -> Value {
    json!({
        "id": ANSWER_ID, "object": "chat.completion", "created": 0, "model": "leaks",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    })
}

fn stream(canary: &Canary, size: usize) -> Vec<String> {
    let event = |choices: Value, usage: Value| {
        let chunk = json!({"id": ANSWER_ID, "object": "chat.completion.chunk", "created": 0,
            "model": "leaks", "choices": choices, "usage": usage});
        format!("data: {chunk}\n\n")
    };
    let delta = json!([{"index": 0, "delta": {"content": canary.text(crate::canary::PERIOD)}}]);
    let piece = event(delta, Value::Null);
    let mut pieces = vec![piece; size / crate::canary::PERIOD];
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
    pieces.push(event(json!([]), usage));
    pieces.push("data: [DONE]\n\n".to_owned());
    pieces
}

fn embeddings(canary: &Canary) -> Value {
    let vector = |index: usize| {
        let mut bytes = vec![0; index];
        bytes.extend_from_slice(canary.text(8 << 10).as_bytes());
        json!({"object": "embedding", "index": index, "embedding": STANDARD.encode(bytes)})
    };
    json!({"object": "list", "data": [vector(0), vector(1), vector(2)], "model": "leaks",
        "usage": {"prompt_tokens": 1, "total_tokens": 1}})
}
