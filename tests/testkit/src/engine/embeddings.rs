//! `/v1/embeddings`: unit vectors that follow from the text.

use std::sync::Arc;

use axum::response::Response;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::answer as words;
use super::fault::Fault;
use super::reply;
use super::state::Shared;
use crate::base64::base64;

const DIMENSIONS: usize = 64;
const MOST_DIMENSIONS: usize = 2048;

pub fn answer(_: &Arc<Shared>, model: &str, request: &Value, _: Option<Fault>) -> Response {
    let inputs: Option<Vec<&str>> = match &request["input"] {
        Value::String(text) => Some(vec![text]),
        Value::Array(texts) => texts.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let Some(inputs) = inputs.filter(|inputs| !inputs.is_empty()) else {
        return reply::error(400, "input must be text or a non-empty array of texts");
    };
    let dimensions = request["dimensions"]
        .as_u64()
        .and_then(|wanted| usize::try_from(wanted).ok())
        .unwrap_or(DIMENSIONS);
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        return reply::error(400, "dimensions is out of range");
    }
    let packed = request["encoding_format"] == "base64";
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = embedding(text, dimensions);
            let embedding = if packed {
                json!(pack(&vector))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens: usize = inputs.iter().map(|text| words::tokens(text).len()).sum();
    reply::json(
        200,
        &json!({
            "object": "list",
            "data": data,
            "model": model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }),
    )
}

fn embedding(text: &str, dimensions: usize) -> Vec<f32> {
    let raw: Vec<f32> = (0u32..)
        .flat_map(|block| {
            let hash = digest(&SHA256, format!("{block}:{text}").as_bytes());
            hash.as_ref()
                .iter()
                .map(|byte| f32::from(*byte) - 127.5)
                .collect::<Vec<_>>()
        })
        .take(dimensions)
        .collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.into_iter().map(|x| x / length).collect()
}

/// Little-endian floats in base64, which is what OpenAI's own clients ask for.
fn pack(vector: &[f32]) -> String {
    base64(
        &vector
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect::<Vec<u8>>(),
    )
}
