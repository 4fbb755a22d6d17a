//! The fake engine, spoken to over the wire.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use testkit::client::Connection;
use testkit::engine::{CHAT_MODEL, EMBEDDING_MODEL, Engine, Script};

const CHAT: &str = "/v1/chat/completions";

fn question(text: &str) -> Value {
    json!({"model": CHAT_MODEL, "messages": [{"role": "user", "content": text}]})
}

fn with(mut request: Value, member: &str, value: Value) -> Value {
    request[member] = value;
    request
}

async fn ask(engine: &Engine, path: &str, request: &Value) -> (u16, Value) {
    let mut connection = Connection::plain(engine.address()).await.expect("connect");
    let answer = connection.post("", path, request).await.expect("an answer");
    (answer.status.as_u16(), answer.json().await.expect("JSON"))
}

/// The `data:` payloads of a streamed answer.
async fn stream(engine: &Engine, path: &str, request: &Value) -> Vec<String> {
    let mut connection = Connection::plain(engine.address()).await.expect("connect");
    let answer = connection.post("", path, request).await.expect("an answer");
    let text = String::from_utf8(answer.bytes().await.expect("a whole body")).expect("UTF-8");
    text.split_terminator("\n\n")
        .map(|event| {
            event
                .strip_prefix("data: ")
                .expect("a data event")
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn it_answers_deterministically_and_reflects_the_question() {
    let engine = Engine::start().await.unwrap();
    let (status, first) = ask(&engine, CHAT, &question("What is sealed?")).await;
    assert_eq!(status, 200);
    let text = first["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(
        text.contains("What is sealed?") && text.contains("3 words"),
        "{text}"
    );
    assert_eq!(first["usage"]["prompt_tokens"], 4);
    assert_eq!(
        ask(&engine, CHAT, &question("What is sealed?")).await.1,
        first
    );
    assert_eq!(engine.stats().prompts, 2);
}

#[tokio::test]
async fn a_stream_carries_the_same_text_and_usage_only_when_asked() {
    let engine = Engine::start().await.unwrap();
    let (_, whole) = ask(&engine, CHAT, &question("Same text?")).await;
    let request = with(question("Same text?"), "stream", json!(true));
    let events = stream(&engine, CHAT, &request).await;
    assert_eq!(events.last().unwrap(), "[DONE]");
    let frames: Vec<Value> = events[..events.len() - 1]
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let text: String = frames
        .iter()
        .filter_map(|frame| frame["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(whole["choices"][0]["message"]["content"], text);
    assert!(frames.iter().all(|frame| frame.get("usage").is_none()));

    let request = with(request, "stream_options", json!({"include_usage": true}));
    let events = stream(&engine, CHAT, &request).await;
    let last: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"], whole["usage"]);
}

#[tokio::test]
async fn it_calls_a_tool_only_when_the_message_names_one() {
    let engine = Engine::start().await.unwrap();
    let tools = json!([{"type": "function", "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }}]);
    let request = with(
        question("How is the weather in Paris?"),
        "tools",
        tools.clone(),
    );
    let (_, called) = ask(&engine, CHAT, &request).await;
    assert_eq!(called["choices"][0]["finish_reason"], "tool_calls");
    let call = &called["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(
        *call,
        json!({"name": "get_weather", "arguments": "{\"city\":\"Paris\"}"})
    );

    let (_, said) = ask(
        &engine,
        CHAT,
        &with(question("Hello"), "tools", tools.clone()),
    )
    .await;
    assert_eq!(said["choices"][0]["finish_reason"], "stop");

    let events = stream(&engine, CHAT, &with(request, "stream", json!(true))).await;
    let arguments: String = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .filter_map(|frame| {
            let call = &frame["choices"][0]["delta"]["tool_calls"][0];
            call["function"]["arguments"].as_str().map(str::to_owned)
        })
        .collect();
    assert_eq!(arguments, "{\"city\":\"Paris\"}");
}

#[tokio::test]
async fn it_takes_images_as_data_urls_only() {
    let engine = Engine::start().await.unwrap();
    let picture = |url: &str| {
        json!({"model": CHAT_MODEL, "messages": [{"role": "user", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": url}},
        ]}]})
    };
    let (status, seen) = ask(&engine, CHAT, &picture("data:image/png;base64,AAAA")).await;
    assert_eq!(status, 200);
    assert!(
        seen["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .contains("one image")
    );
    assert_eq!(
        ask(&engine, CHAT, &picture("https://example.com/a.png"))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn completions_and_embeddings_are_served() {
    let engine = Engine::start().await.unwrap();
    let request = json!({"model": CHAT_MODEL, "prompt": "Once upon", "max_tokens": 3});
    let (_, completed) = ask(&engine, "/v1/completions", &request).await;
    assert_eq!(completed["choices"][0]["finish_reason"], "length");
    assert_eq!(completed["usage"]["completion_tokens"], 3);

    let request = json!({"model": EMBEDDING_MODEL, "input": ["a", "b"], "dimensions": 8});
    let (_, embedded) = ask(&engine, "/v1/embeddings", &request).await;
    let vector = embedded["data"][1]["embedding"].as_array().unwrap();
    assert_eq!(vector.len(), 8);
    let length: f64 = vector.iter().map(|x| x.as_f64().unwrap().powi(2)).sum();
    assert!((length - 1.0).abs() < 1e-4, "{length}");
    assert_ne!(
        embedded["data"][0]["embedding"],
        embedded["data"][1]["embedding"]
    );
    let packed = with(request, "encoding_format", json!("base64"));
    let (_, packed) = ask(&engine, "/v1/embeddings", &packed).await;
    assert_eq!(packed["data"][0]["embedding"].as_str().unwrap().len(), 44);
}

#[tokio::test]
async fn faults_are_injected_by_model_name_and_quote_the_prompt() {
    let engine = Engine::start().await.unwrap();
    for status in [400, 429, 500] {
        let request = with(question("secret"), "model", json!(format!("fail-{status}")));
        let (got, error) = ask(&engine, CHAT, &request).await;
        assert_eq!(got, status);
        assert!(
            error["error"]["message"]
                .as_str()
                .unwrap()
                .contains("secret")
        );
    }
    let unknown = with(question("hello"), "model", json!("nothing"));
    assert_eq!(ask(&engine, CHAT, &unknown).await.0, 404);
}

#[tokio::test]
async fn a_reset_aborts_the_answer() {
    let engine = Engine::start().await.unwrap();
    let mut connection = Connection::plain(engine.address()).await.unwrap();
    let request = with(question("hello"), "stream", json!(true));
    let request = with(request, "model", json!("reset-mid-stream"));
    let answer = connection.post("", CHAT, &request).await.unwrap();
    assert!(answer.bytes().await.is_err());
}

#[tokio::test]
async fn stepping_holds_every_chunk_back_until_it_is_released() {
    let engine = Engine::start().await.unwrap();
    let stepper = engine.stepping();
    let mut connection = Connection::plain(engine.address()).await.unwrap();
    let request = with(question("step by step"), "stream", json!(true));
    let mut answer = connection.post("", CHAT, &request).await.unwrap();
    for sent in 1..=3 {
        let early = timeout(Duration::from_millis(50), answer.chunk()).await;
        assert!(early.is_err(), "a chunk left before it was released");
        stepper.release(1);
        let chunk = timeout(Duration::from_secs(5), answer.chunk())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert!(chunk.starts_with(b"data: ") && chunk.ends_with(b"\n\n"));
        assert_eq!(engine.stats().chunks_sent, sent);
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_is_noticed() {
    let engine = Engine::start().await.unwrap();
    let _stepper = engine.stepping();
    let mut connection = Connection::plain(engine.address()).await.unwrap();
    let request = with(question("bye"), "stream", json!(true));
    let answer = connection.post("", CHAT, &request).await.unwrap();
    assert_eq!(engine.stats().hang_ups, 0);
    drop((answer, connection));
    for _ in 0..100 {
        if engine.stats().hang_ups == 1 {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("the hang-up went unnoticed");
}

#[tokio::test]
async fn a_script_is_sent_byte_for_byte() {
    let engine = Engine::start().await.unwrap();
    engine.script(
        "scripted",
        Script::event_stream(["data: a\r", "\n\r\n: note\n\ndata: b\n\n"]),
    );
    let mut connection = Connection::plain(engine.address()).await.unwrap();
    let request = with(question("x"), "model", json!("scripted"));
    let answer = connection.post("", CHAT, &request).await.unwrap();
    assert_eq!(
        answer.bytes().await.unwrap(),
        b"data: a\r\n\r\n: note\n\ndata: b\n\n"
    );
}
