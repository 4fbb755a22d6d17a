//! What requests cost, by a price table: in the row, the log, the metrics, the usage API and a header.

use anyhow::Result;
use serde_json::{Value, json};

use crate::support::{PRICES, Priced, decimal, question, summed, tokens_by_length};
use blackbox::asking::{eventually, streamed};
use blackbox::world::MODEL;
use testkit::engine::{CHAT_MODEL, Script};

const COST: &str = "x-sealgate-cost";
const METRIC: &str = "sealgate_cost_nanos_total{model=\"sealed-model\",upstream=\"upstream-0-0\"}";
const UNPRICED: &str =
    "sealgate_unpriced_answers_total{model=\"sealed-model\",upstream=\"upstream-0-0\"}";

fn detailed_usage() -> Value {
    json!({
        "prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200,
        "prompt_tokens_details": { "cached_tokens": 400 },
        "completion_tokens_details": { "reasoning_tokens": 50 },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_costs_what_its_usage_costs_by_the_table() -> Result<()> {
    let service = Priced::new("cost-usage").await?;
    service.answers_with(detailed_usage());
    let answer = service.ask(&question()).await?;
    // 0.001 + 600 × 1 + 400 × 0.25 + 150 × 2 + 50 × 4 millionths
    assert_eq!(answer.header(COST), Some("0.0022"));
    answer.bytes().await?;
    let mut with_image = question();
    with_image["messages"][0]["content"] =
        json!([{ "type": "image_url", "image_url": { "url": "data:," } }]);
    let answer = service.ask(&with_image).await?;
    assert_eq!(answer.header(COST), Some("0.0122"));
    answer.bytes().await?;
    let expected = ["0.002200000", "0.012200000"].map(|cost| Some(cost.to_owned()));
    assert_eq!(service.costs(2).await?, expected);
    let sum = summed(&service).await?;
    assert_eq!(
        (&sum["cost"], &sum["requests"]),
        (&json!("0.0144"), &json!(2))
    );
    assert_eq!(service.metric(METRIC).await? as u64, 14_400_000);
    let log = service.world.enclave.log();
    let line = log.lines().find(|line| line.contains(" request_finished "));
    let line = line.unwrap_or_default();
    for field in ["cached_tokens=400", "reasoning_tokens=50", "cost=0.0022"] {
        assert!(line.contains(field), "{field}: {line}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_usage_is_charged_by_its_events_and_the_length_of_its_prompt() -> Result<()>
{
    let service = Priced::new("cost-events").await?;
    let chunk = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let chunks = [chunk, chunk, chunk, "data: [DONE]\n\n"];
    service
        .world
        .engine
        .script(CHAT_MODEL, Script::event_stream(chunks));
    let body = streamed(MODEL, "what does it cost?");
    let answer = service.ask(&body).await?;
    assert_eq!(
        answer.header(COST),
        None,
        "a stream's cost comes after its head"
    );
    answer.bytes().await?;
    let nanos = 1_000_000 + tokens_by_length(&body) * 1000 + 3 * 2000;
    assert_eq!(service.costs(1).await?, [Some(decimal(nanos))]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_its_client_abandons_is_charged_for_what_was_relayed() -> Result<()> {
    let service = Priced::new("cost-abandoned").await?;
    let stepper = service.world.engine.stepping();
    let body = streamed(MODEL, "one two three four five six seven eight");
    let mut answer = service.ask(&body).await?;
    // The first chunk has a role and no text.
    stepper.release(3);
    let mut read = String::new();
    while read.matches("data: ").count() < 3 {
        let chunk = answer.chunk().await?.unwrap_or_default();
        read.push_str(&String::from_utf8(chunk.to_vec())?);
    }
    drop(answer);
    let costs = service.costs(1).await?;
    let events = |events: i64| {
        Some(decimal(
            1_000_000 + tokens_by_length(&body) * 1000 + events * 2000,
        ))
    };
    assert_eq!(costs, [events(2)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_answered_costs_nothing() -> Result<()> {
    let service = Priced::new("cost-nothing").await?;
    let refusal = Script::json(
        400,
        r#"{"error":{"message":"no","type":"x","param":null,"code":null}}"#,
    );
    service.world.engine.script(CHAT_MODEL, refusal);
    let refused = service.ask(&question()).await?;
    assert_eq!((refused.status.as_u16(), refused.header(COST)), (400, None));
    refused.bytes().await?;
    let unknown = service.ask(&blackbox::asking::chat("unknown", "?")).await?;
    assert_eq!(unknown.status.as_u16(), 404);
    unknown.bytes().await?;
    let nothing = Some(decimal(0));
    assert_eq!(service.costs(2).await?, [nothing.clone(), nothing]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cost_without_a_price_is_absent_and_counted() -> Result<()> {
    let prices = PRICES.replace("sealed-model", "another-model");
    let service = Priced::with("cost-unpriced", &prices, "cost_header = true").await?;
    service.answers_with(detailed_usage());
    let answer = service.ask(&question()).await?;
    assert_eq!((answer.status.as_u16(), answer.header(COST)), (200, None));
    answer.bytes().await?;
    assert_eq!(service.costs(1).await?, [None]);
    assert!(summed(&service).await?["cost"].is_null());
    assert_eq!(service.metric(UNPRICED).await? as u64, 1);
    assert!(!service.world.enclave.log().contains(" cost="));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_with_other_prices_begins_an_epoch_with_another_digest() -> Result<()> {
    let service = Priced::new("cost-reload").await?;
    service.answers_with(detailed_usage());
    let digest = || async {
        let mut connection = service.world.enclave.connect().await?;
        let answer = connection.get("/v1/aci/attestation").await?;
        anyhow::ensure!(answer.status.as_u16() == 200, "{}", answer.status);
        Ok::<_, anyhow::Error>(
            answer
                .header("x-aci-keyset-digest")
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let before = digest().await?;
    service.write_prices(&PRICES.replace("request = \"0.001\"", "request = \"5\""))?;
    service.world.enclave.reload().await?;
    eventually("another epoch", || async {
        digest().await.is_ok_and(|now| now != before)
    })
    .await;
    let answer = service.ask(&question()).await?;
    assert_eq!(answer.header(COST), Some("5.0012"));
    answer.bytes().await?;
    service.write_prices(
        "currency = \"USD\"\n[[price]]\nmodel = \"m\"\ninput = 1.5\noutput = \"1\"\n",
    )?;
    let output = service.world.enclave.cli(&["reload"]).await?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("prices.toml:4: price[1].input: is a number"),
        "{said}"
    );
    assert_eq!(service.ask(&question()).await?.header(COST), Some("5.0012"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn litellms_list_becomes_a_table_that_the_service_accepts() -> Result<()> {
    let list = json!({
        "sealed-model": { "input_cost_per_token": 1e-6, "output_cost_per_token": 2.5e-6, "mode": "chat" },
        "dall-e": { "input_cost_per_pixel": 1e-8 },
    });
    let service = Priced::new("cost-import").await?;
    let file = service
        .world
        .directory
        .write("litellm.json", list.to_string())?;
    let file = file.display().to_string();
    let output = service
        .world
        .enclave
        .cli(&["import", "prices", "litellm", &file])
        .await?;
    let (table, left) = (
        String::from_utf8(output.stdout)?,
        String::from_utf8(output.stderr)?,
    );
    assert!(
        output.status.success() && left.contains("\"dall-e\": has no price of tokens"),
        "{left}"
    );
    service.write_prices(&table)?;
    service.world.enclave.reload().await?;
    service.answers_with(detailed_usage());
    eventually("the new price", || async {
        match service.ask(&question()).await {
            Ok(answer) => answer.header(COST) == Some("0.0015"),
            Err(_) => false,
        }
    })
    .await;
    let output = service
        .world
        .enclave
        .cli(&["import", "prices", "litellm", "missing.json"])
        .await?;
    assert_eq!(output.status.code(), Some(1));
    Ok(())
}
