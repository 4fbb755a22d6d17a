//! Embeddings of the same weights.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::path::RealPath;
use blackbox::world::MODEL;
use engines::Serving;

fn vector(answer: &Value, index: usize) -> Result<Vec<f64>> {
    let numbers = answer["data"][index]["embedding"]
        .as_array()
        .context("no vector")?;
    numbers
        .iter()
        .map(|number| number.as_f64().context("no number"))
        .collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

#[tokio::test(flavor = "multi_thread")]
async fn real_embeddings_come_with_a_receipt() -> Result<()> {
    let Some(path) = RealPath::new("embeddings", Serving::Embeddings).await? else {
        return Ok(());
    };
    let texts = [
        "The cat sleeps.",
        "A quarterly report on steel prices",
        "The cat sleeps.",
    ];
    let request = json!({"model": MODEL, "input": texts});
    let answer = path.answer_json("/v1/embeddings", &request).await?;
    let (cat, steel, again) = (
        vector(&answer, 0)?,
        vector(&answer, 1)?,
        vector(&answer, 2)?,
    );
    assert_eq!(cat.len(), 576);
    assert!(cosine(&cat, &again) > 0.999, "{}", cosine(&cat, &again));
    assert!(cosine(&cat, &steel) < 0.99, "{}", cosine(&cat, &steel));
    Ok(())
}
