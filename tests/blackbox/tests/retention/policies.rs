//! Policies set on the command line, and what the mode `zero` stores.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::operated::{CANARY, METADATA, Operated, ZERO, files_below, holds, mode_of};
use attest_core::Receipt;
use blackbox::asking::{CHAT, chat, error, eventually, receipt, streamed};
use blackbox::world::MODEL;
use testkit::client::Answer;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_plans_signs_and_activates_a_policy() -> Result<()> {
    let world = Operated::new("retention-cli", METADATA).await?;
    let first = world.policy().await?;
    let (code, said) = world.cli(&["retention", "show"]).await?;
    ensure!(
        code == 0 && said.contains(&first.digest().to_string()),
        "{said}"
    );

    let terms = format!("{METADATA}[[rule]]\ntenants = [\"bank\"]\nmode = \"zero\"\n");
    let next = world.operator().write(2, Some(first.digest()), &terms)?;
    let file = next.display().to_string();
    let (code, plan) = world.cli(&["retention", "plan", &file]).await?;
    ensure!(code == 0, "{plan}");
    for part in [
        "bank, every model",
        "now   metadata for 30d",
        "then  zero",
        "is not signed by any policy key",
    ] {
        ensure!(plan.contains(part), "no {part:?} in\n{plan}");
    }
    ensure!(!plan.contains("every other tenant"), "{plan}");
    let (code, said) = world.cli(&["retention", "set", &file]).await?;
    ensure!(
        code == 2 && said.contains("is not signed by any policy key"),
        "{code} {said}"
    );
    assert_eq!(world.policy().await?, first);

    let second = world.toggle(2, &first, &terms).await?;
    ensure!(second.epoch() == 2, "{}", second.text());
    let (code, said) = world.cli(&["retention", "set", &file]).await?;
    ensure!(
        code == 0 && said.contains("active already"),
        "{code} {said}"
    );
    let (_, history) = world.cli(&["retention", "history"]).await?;
    for policy in [&first, &second] {
        ensure!(history.contains(&policy.digest().to_string()), "{history}");
    }
    for (epoch, before, says) in [
        (
            2,
            first.digest(),
            "the policy is of epoch 2, the active one of epoch 2",
        ),
        (4, second.digest(), "and 3 comes next"),
        (3, first.digest(), "as its predecessor, but"),
    ] {
        let file = world.operator().write(epoch, Some(before), ZERO)?;
        world.operator().sign(&file).await?;
        let (code, said) = world
            .cli(&["retention", "set", &file.display().to_string()])
            .await?;
        ensure!(code == 2 && said.contains(says), "{code} {said}");
    }
    assert_eq!(world.policy().await?, second);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_mode_zero_no_row_log_line_or_file_identifies_a_request() -> Result<()> {
    let world = Operated::new("retention-zero", ZERO).await?;
    let key_id = world.key.split('-').nth(2).context("a key id")?.to_owned();
    let mut ids = Vec::new();
    for request in [
        chat(MODEL, CANARY),
        streamed(MODEL, CANARY),
        chat("no-such-model", CANARY),
    ] {
        let mut connection = world.service.connect().await?;
        let answer = connection.post(&world.key, CHAT, &request).await?;
        let id = answer
            .header("x-receipt-id")
            .context("a receipt id")?
            .to_owned();
        answer.bytes().await?;
        // Signed as always, and available to the client that made the request.
        let found = receipt(&mut connection, &world.key, &id).await?;
        assert_eq!(mode_of(&found)?, "zero");
        let chat_id = Receipt::parse(&found)?.body().chat_id.clone();
        ids.push(id);
        ids.extend(chat_id);
    }
    // Long enough for whatever is written in batches.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let kept = world.everything_kept().await?;
    for (place, bytes) in &kept {
        for id in ids.iter().map(String::as_str).chain([CANARY]) {
            ensure!(!holds(bytes, id), "{place} holds {id}");
        }
        // The key is registered, of course; that it was used is not.
        let is_register = place.contains("ledger.sqlite") || place.contains("audit.sqlite");
        ensure!(
            is_register || !holds(bytes, &key_id),
            "{place} names the key"
        );
    }
    let metrics = kept
        .last()
        .map(|(_, bytes)| String::from_utf8_lossy(bytes))
        .unwrap_or_default();
    ensure!(
        metrics.contains("outcome=\"completed\"} 2"),
        "counters count: {metrics}"
    );

    // The control: the same search finds the next request, once metadata is kept.
    let before = world.policy().await?;
    world.toggle(2, &before, METADATA).await?;
    let mut connection = world.service.connect().await?;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, "kept"))
        .await?;
    let id = answer
        .header("x-receipt-id")
        .context("a receipt id")?
        .to_owned();
    answer.bytes().await?;
    eventually("the row is written", async || {
        let files = files_below(&world.state()).unwrap_or_default();
        files.iter().any(|(_, bytes)| holds(bytes, &id))
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_apply_in_mode_zero() -> Result<()> {
    let limits = "[limits]\nmax_concurrent_per_key = 1\nmax_concurrent = 2";
    let world =
        Operated::serving("retention-zero-limits", ZERO, |config| config.and(limits)).await?;
    let keys = [
        world.key.clone(),
        world.service.create_key("clinic").await?,
        world.service.create_key("school").await?,
    ];
    let stepper = world.engine.stepping();
    let begin = async |key: &str| -> Result<Answer> {
        let mut connection = world.service.connect().await?;
        let answer = connection
            .post(key, CHAT, &streamed(MODEL, "slowly"))
            .await?;
        ensure!(answer.status == 200, "{}", answer.status);
        Ok(answer.keeping(connection))
    };
    let is_refused = async |key: &str, status: u16, code: &str, message: &str| -> Result<()> {
        let mut connection = world.service.connect().await?;
        let refused = connection.post(key, CHAT, &chat(MODEL, "me too")).await?;
        let refused = error(refused).await?;
        assert_eq!(
            (refused.status, refused.code.as_deref()),
            (status, Some(code))
        );
        ensure!(refused.message.contains(message), "{}", refused.message);
        Ok(())
    };
    let first = begin(&keys[0]).await?;
    is_refused(
        &keys[0],
        429,
        "rate_limit_exceeded",
        "in flight for this API key",
    )
    .await?;
    let second = begin(&keys[1]).await?;
    is_refused(
        &keys[2],
        503,
        "service_overloaded",
        "The service has as many requests in flight",
    )
    .await?;
    drop((first, second));
    stepper.release(10_000);
    eventually("there is room again", async || {
        let Ok(mut connection) = world.service.connect().await else {
            return false;
        };
        let again = connection.post(&keys[2], CHAT, &chat(MODEL, "now?")).await;
        again.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM usage")
        .fetch_one(&mut world.ledger().await?)
        .await?;
    assert_eq!(rows, 0, "and none of it was written down");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_mode_zero_are_not_available_after_a_restart() -> Result<()> {
    let mut world = Operated::new("retention-zero-restart", ZERO).await?;
    let mut connection = world.service.connect().await?;
    let answer = connection.post(&world.key, CHAT, &chat(MODEL, "x")).await?;
    let id = answer
        .header("x-receipt-id")
        .context("a receipt id")?
        .to_owned();
    answer.bytes().await?;
    receipt(&mut connection, &world.key, &id).await?;
    world.service.restart().await?;
    let mut connection = world.service.connect().await?;
    let path = format!("/v1/aci/receipts/{id}");
    assert_eq!(connection.get_as(&world.key, &path).await?.status, 404);
    Ok(())
}
