//! Budgets and credits: refused, reserved, settled, shown, changed and kept over a restart.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::support::{PRICES, Priced, decimal, question};
use blackbox::asking::{OpenAiError, error, eventually, streamed};
use blackbox::world::MODEL;

const REMAINING: &str = "x-sealgate-budget-remaining";

/// Costs 0.0012 by the table.
fn usage() -> Value {
    json!({ "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150 })
}

/// A question whose answer has 50 tokens at most.
fn bounded() -> Value {
    let mut body = question();
    body["max_tokens"] = json!(50);
    body
}

/// What is reserved for a body, in billionths.
fn estimate(body: &Value, output: i64) -> i64 {
    1_000_000 + crate::support::tokens_by_length(body) * 1000 + output * 4000
}

async fn refusal(service: &Priced, body: &Value) -> Result<OpenAiError> {
    error(service.ask(body).await?).await
}

async fn ok(service: &Priced, body: &Value) -> Result<()> {
    let answer = service.ask(body).await?;
    let status = answer.status.as_u16();
    let body = String::from_utf8(answer.bytes().await?)?;
    anyhow::ensure!(status == 200, "{status}: {body}");
    Ok(())
}

async fn state(service: &Priced, id: &str) -> Result<Value> {
    let all = service
        .administer("GET", "/admin/v1/budgets", None)
        .await?
        .json()
        .await?;
    let budgets = all["budgets"].as_array().context("budgets")?;
    let found = budgets.iter().find(|budget| budget["id"] == id);
    found.cloned().with_context(|| format!("{id} in {all}"))
}

async fn create(service: &Priced, budget: Value) -> Result<()> {
    let answer = service
        .administer("POST", "/admin/v1/budgets", Some(budget))
        .await?;
    let status = answer.status.as_u16();
    let said = answer.json().await?;
    anyhow::ensure!(status == 201, "{status}: {said}");
    Ok(())
}

async fn cli(service: &Priced, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let output = service.world.enclave.cli(arguments).await?;
    let said = String::from_utf8(output.stderr)? + &String::from_utf8(output.stdout)?;
    Ok((output.status.code(), said))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_at_once_reserve_what_the_budget_has_and_no_more() -> Result<()> {
    const REQUESTS: usize = 1000;
    let more = "[limits]\nmax_concurrent = 2000\nmax_concurrent_per_key = 2000\nmax_connections = 3000\nmax_unauthenticated = 3000";
    let service = Priced::with("budget-race", PRICES, more).await?;
    let mut body = streamed(MODEL, "one two three four five six");
    body["max_tokens"] = json!(40);
    let estimate = estimate(&body, 40);
    // Room for some more than 300 estimates.
    let limit = estimate * 300 + estimate / 2;
    create(
        &service,
        json!({ "id": "race", "scope": "tenant:tests", "period": "day", "money": decimal(limit) }),
    )
    .await?;
    let stepper = service.world.engine.stepping();
    let mut connections = Vec::new();
    for _ in 0..REQUESTS {
        connections.push(service.world.enclave.connect().await?);
    }
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|mut connection| {
            let (key, body) = (service.world.key.clone(), body.clone());
            tokio::spawn(async move {
                let answer = connection.post(&key, blackbox::asking::CHAT, &body).await?;
                let status = answer.status.as_u16();
                answer.keeping(connection).bytes().await?;
                Ok::<u16, anyhow::Error>(status)
            })
        })
        .collect();
    // Those that are admitted wait for their first chunk; all others are refused at once.
    eventually("the others are refused", || async {
        let state = state(&service, "race").await;
        state.is_ok_and(|state| state["refused"] == json!(REQUESTS - 300))
    })
    .await;
    let held = state(&service, "race").await?;
    let reserved = held["reserved"]["money"]
        .as_str()
        .context("an amount")?
        .to_owned();
    stepper.release(100_000);
    let mut admitted = 0;
    for task in tasks {
        match task.await?? {
            200 => admitted += 1,
            status => assert_eq!(status, 402),
        }
    }
    let ended = state(&service, "race").await?;
    let settled = ended["spent"]["money"]
        .as_str()
        .context("an amount")?
        .to_owned();
    let nanos = |amount: &str| -> Result<i64> {
        let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
        Ok(whole.parse::<i64>()? * 1_000_000_000 + format!("{fraction:0<9}").parse::<i64>()?)
    };
    let overshoot = (nanos(&settled)? - limit).max(0);
    println!(
        "race report: {REQUESTS} requests, {admitted} admitted, limit {}, reserved {reserved}, settled {settled}, overshoot {}",
        decimal(limit),
        decimal(overshoot)
    );
    assert_eq!((admitted, nanos(&reserved)?), (300, estimate * 300));
    assert_eq!(
        (ended["reserved"]["money"].as_str(), overshoot),
        (Some("0"), 0)
    );
    let costs = service.costs(300).await?;
    let costs: Result<Vec<i64>> = costs.iter().flatten().map(|cost| nanos(cost)).collect();
    assert_eq!(
        costs?.into_iter().sum::<i64>(),
        nanos(&settled)?,
        "the rows say the same"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_budget_refuses_with_its_id_and_reset_and_a_restart_changes_nothing()
-> Result<()> {
    let mut service = Priced::new("budget-exhausted").await?;
    service.answers_with(usage());
    create(
        &service,
        json!({ "id": "acme/day", "scope": "tenant:tests", "period": "day", "money": "0.0033", "visible": true }),
    )
    .await?;
    let answer = service.ask(&bounded()).await?;
    let remaining = decimal(3_300_000 - estimate(&bounded(), 50));
    let shown = format!("acme/day={}", remaining.trim_end_matches('0'));
    assert_eq!(answer.header(REMAINING), Some(shown.as_str()));
    answer.bytes().await?;
    ok(&service, &bounded()).await?;
    let refused = refusal(&service, &bounded()).await?;
    let expected = (402, "insufficient_quota", Some("budget_exceeded"));
    assert_eq!(
        (refused.status, &*refused.kind, refused.code.as_deref()),
        expected
    );
    let reset = state(&service, "acme/day").await?["window"]["end"].clone();
    let reset = reset.as_str().context("a time")?;
    assert!(refused.message.contains("acme/day"), "{refused:?}");
    assert!(refused.message.contains(reset), "{refused:?}");
    assert_eq!(
        service.world.engine.stats().prompts,
        2,
        "it was not forwarded"
    );
    // 36 % after the first, 72 % after the second.
    let log = service.world.enclave.log();
    assert_eq!(
        log.matches(" budget_threshold budget=acme/day percent=70 ")
            .count(),
        1,
        "{log}"
    );
    assert_eq!(
        log.matches(" budget_exhausted budget=acme/day ").count(),
        1,
        "{log}"
    );
    let sample = |name: &str| format!("sealgate_{name}_total{{budget=\"acme/day\"}}");
    assert_eq!(service.metric(&sample("budget_refusals")).await? as u64, 1);
    assert_eq!(
        service.metric(&sample("budget_thresholds")).await? as u64,
        1
    );
    service.world.enclave.restart().await?;
    let after = state(&service, "acme/day").await?;
    assert_eq!(
        (&after["spent"]["money"], &after["spent"]["tokens"]),
        (&json!("0.0024"), &json!(300))
    );
    assert_eq!(refusal(&service, &bounded()).await?.status, 402);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_applies_when_its_answer_arrives_over_http_and_on_the_command_line() -> Result<()>
{
    let service = Priced::new("budget-changes").await?;
    service.answers_with(usage());
    let set = [
        "budgets", "set", "b", "--scope", "total", "--period", "total", "--tokens", "60",
    ];
    let (exit, said) = cli(&service, &set).await?;
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(refusal(&service, &bounded()).await?.status, 402);
    let path = "/admin/v1/budgets/b";
    let more = json!({ "tokens": 1000 });
    let answer = service.administer("PATCH", path, Some(more)).await?;
    assert_eq!(answer.status.as_u16(), 200);
    answer.bytes().await?;
    ok(&service, &bounded()).await?;
    let (exit, said) = cli(&service, &["budgets", "set", "b", "--tokens", "151"]).await?;
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(refusal(&service, &bounded()).await?.status, 402);
    let (_, listed) = cli(&service, &["budgets", "list"]).await?;
    let line = listed
        .lines()
        .find(|line| line.starts_with("b "))
        .context("b")?;
    assert!(
        line.contains("151 tokens") && line.ends_with("150 tokens"),
        "{listed}"
    );
    let (exit, said) = cli(
        &service,
        &["budgets", "set", "b", "--period", "day", "--tokens", "9"],
    )
    .await?;
    assert_eq!(exit, Some(2), "{said}");
    assert!(
        said.contains("the period of a budget cannot be changed"),
        "{said}"
    );
    let answer = service.administer("DELETE", path, None).await?;
    assert_eq!(answer.status.as_u16(), 204);
    ok(&service, &bounded()).await?;
    let (exit, _) = cli(&service, &["budgets", "remove", "b"]).await?;
    assert_eq!(exit, Some(2));
    let log = service
        .administer("GET", "/admin/v1/log", None)
        .await?
        .json()
        .await?
        .to_string();
    for action in ["budget.created", "budget.changed", "budget.removed"] {
        assert!(log.contains(action), "{action}: {log}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_refused_or_abandoned_returns_what_it_did_not_use() -> Result<()> {
    let service = Priced::new("budget-returned").await?;
    create(
        &service,
        json!({ "id": "b", "scope": "total", "period": "month", "money": "5" }),
    )
    .await?;
    // The engine refuses: nothing is charged.
    let refused = service.ask(&blackbox::asking::chat("unknown", "?")).await?;
    refused.bytes().await?;
    let untouched = state(&service, "b").await?;
    assert_eq!(
        (
            &untouched["spent"]["money"],
            &untouched["reserved"]["money"]
        ),
        (&json!("0"), &json!("0"))
    );
    let stepper = service.world.engine.stepping();
    let body = streamed(MODEL, "one two three four five six seven eight");
    let mut answer = service.ask(&body).await?;
    stepper.release(3);
    let mut read = 0;
    while read < 3 {
        let chunk = answer.chunk().await?.context("more")?;
        read += String::from_utf8(chunk.to_vec())?.matches("data: ").count();
    }
    let running = state(&service, "b").await?;
    let reserved = running["reserved"]["money"].as_str().context("an amount")?;
    assert_eq!(
        reserved,
        decimal(estimate(&body, 4096)).trim_end_matches('0')
    );
    drop(answer);
    let charged = service.costs(2).await?.pop().flatten().context("a cost")?;
    let ended = state(&service, "b").await?;
    assert_eq!(ended["reserved"]["money"], "0");
    assert_eq!(
        ended["spent"]["money"].as_str(),
        Some(charged.trim_end_matches('0'))
    );
    assert!(charged.as_str() > "0.001", "{charged}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_credit_is_served_until_it_is_spent_and_again_after_more_was_added()
-> Result<()> {
    let service = Priced::new("budget-credit").await?;
    service.answers_with(usage());
    let credit = json!({ "scope": "tenant:tests", "amount": "0.002", "expires_at": "90d" });
    let answer = service
        .administer("POST", "/admin/v1/credits", Some(credit))
        .await?;
    assert_eq!(answer.status.as_u16(), 201);
    answer.bytes().await?;
    ok(&service, &bounded()).await?;
    let refused = refusal(&service, &bounded()).await?;
    assert_eq!(
        (refused.status, refused.code.as_deref()),
        (402, Some("credit_exhausted"))
    );
    assert!(
        service
            .world
            .enclave
            .log()
            .contains(" credit_exhausted scope=tenant:tests")
    );
    let (exit, said) = cli(
        &service,
        &[
            "credits",
            "add",
            "--scope",
            "tenant:tests",
            "--amount",
            "1.50",
        ],
    )
    .await?;
    assert_eq!(exit, Some(0), "{said}");
    ok(&service, &bounded()).await?;
    let listed = service
        .administer("GET", "/admin/v1/credits", None)
        .await?
        .json()
        .await?;
    let remaining = |index: usize| listed["credits"][index]["remaining"].clone();
    assert_eq!(
        (remaining(0), remaining(1)),
        (json!("0"), json!("1.4996")),
        "{listed}"
    );
    // Tenants without credit are not limited by it.
    let other = service.world.enclave.create_key("another").await?;
    let mut connection = service.world.enclave.connect().await?;
    let answer = connection
        .post(&other, blackbox::asking::CHAT, &bounded())
        .await?;
    assert_eq!(answer.status.as_u16(), 200);
    let (_, said) = cli(&service, &["credits", "list"]).await?;
    assert!(said.contains("1.5") && said.contains("never"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_of_requests_is_spent_all_the_same() -> Result<()> {
    let policy = format!(
        "{}/../../policies/retention/zero.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    let more = format!("[retention]\npolicy = {policy:?}");
    let mut service = Priced::with("budget-zero", PRICES, &more).await?;
    service.answers_with(usage());
    create(
        &service,
        json!({ "id": "b", "scope": "total", "period": "total", "money": "5" }),
    )
    .await?;
    for _ in 0..3 {
        ok(&service, &bounded()).await?;
    }
    service.world.enclave.restart().await?;
    let after = state(&service, "b").await?;
    assert_eq!(after["spent"]["money"], "0.0036");
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM usage")
        .fetch_one(&mut service.database().await?)
        .await?;
    assert_eq!(rows, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn money_limits_nothing_that_has_no_price() -> Result<()> {
    let prices = PRICES.replace("sealed-model", "another-model");
    let service = Priced::with("budget-unpriced", &prices, "").await?;
    service.answers_with(usage());
    create(
        &service,
        json!({ "id": "b", "scope": "total", "period": "day", "money": "5" }),
    )
    .await?;
    let refused = refusal(&service, &bounded()).await?;
    assert_eq!(
        (refused.status, refused.code.as_deref()),
        (402, Some("model_not_priced"))
    );
    let soft = json!({ "hard": false });
    service
        .administer("PATCH", "/admin/v1/budgets/b", Some(soft))
        .await?
        .bytes()
        .await?;
    ok(&service, &bounded()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_budgets_and_credits_with_the_member_that_is_wrong() -> Result<()> {
    let service = Priced::new("budget-bad").await?;
    let good = json!({ "id": "b", "scope": "total", "period": "day", "money": "5" });
    for (member, value, reason) in [
        ("limt", json!("5"), "\"limt\" is not a member here"),
        (
            "money",
            json!(5.5),
            "money must be a text such as \"12.50\"",
        ),
        ("money", json!("-5"), "money must be more than zero"),
        ("money", json!("9999999999"), "money is out of range"),
        (
            "money",
            json!("5000000000"),
            "money must be 1000000000 at most",
        ),
        ("money", json!("1e3"), "money is not a decimal number"),
        ("scope", json!("tenant"), "scope is not \"total\""),
        ("period", json!("fortnight"), "period must be \"day\""),
        (
            "time_zone",
            json!("Europe/Berlin"),
            "time_zone is not \"UTC\" or an offset",
        ),
        (
            "soft_percent",
            json!(0),
            "soft_percent must be from 1 to 100",
        ),
        ("tokens", json!(5), "needs exactly one of money and tokens"),
    ] {
        let mut budget = good.clone();
        budget[member] = value;
        let answer = service
            .administer("POST", "/admin/v1/budgets", Some(budget))
            .await?;
        let refused = error(answer).await?;
        assert_eq!(
            (refused.status, refused.code.as_deref()),
            (400, Some("budget_unreadable"))
        );
        assert!(
            refused.message.contains(reason),
            "{reason}: {}",
            refused.message
        );
    }
    create(&service, good.clone()).await?;
    let again = service
        .administer("POST", "/admin/v1/budgets", Some(good))
        .await?;
    assert_eq!(error(again).await?.code.as_deref(), Some("budget_exists"));
    let nothing = service
        .administer("PATCH", "/admin/v1/budgets/b", Some(json!({})))
        .await?;
    assert!(
        error(nothing)
            .await?
            .message
            .contains("has nothing to change")
    );
    let unknown = service
        .administer("DELETE", "/admin/v1/budgets/c", None)
        .await?;
    assert_eq!(error(unknown).await?.status, 404);
    let credit = json!({ "scope": "total", "amount": "5" });
    let refused = service
        .administer("POST", "/admin/v1/credits", Some(credit))
        .await?;
    assert!(
        error(refused)
            .await?
            .message
            .contains("tenant or an organisation")
    );
    for arguments in [
        &[
            "budgets", "set", "c", "--scope", "total", "--period", "day", "--money", "-1",
        ][..],
        &[
            "budgets", "set", "c", "--scope", "total", "--period", "day", "--tokens", "0",
        ],
        &["budgets", "set", "c", "--money", "5"],
        &[
            "credits",
            "add",
            "--scope",
            "tenant:tests",
            "--amount",
            "1.0000000001",
        ],
        &[
            "credits",
            "add",
            "--scope",
            "tenant:tests",
            "--amount",
            "1",
            "--expires",
            "soon",
        ],
    ] {
        let (exit, said) = cli(&service, arguments).await?;
        assert_eq!(exit, Some(2), "{arguments:?}: {said}");
    }
    Ok(())
}
