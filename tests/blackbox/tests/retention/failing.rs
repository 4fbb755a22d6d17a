//! Records that a policy requires and the machine cannot store, because the disk is full or the database fails.
//!
//! The law, whatever the cause: where a policy says `refuse`, a request that was answered has its record, also when the
//! process is killed a moment later; where it says `serve`, the receipt says what could not be kept.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::SqliteConnection;
use tokio::time::{Duration, Instant, sleep};

use crate::content::content;
use crate::disk::SmallDisk;
use crate::operated::{CANARY, Operated, files_below, holds};
use blackbox::asking::{CHAT, TIMEOUT, chat, eventually, next_chunk, receipt, streamed};
use blackbox::world::{MODEL, trusting_directory};
use testkit::engine::{CHAT_MODEL, Script};

/// No test here opens what is sealed.
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
const STRICT_METADATA: &str =
    "[default]\nmode = \"metadata\"\nttl = \"30d\"\non_failure = \"refuse\"\n";
const LAX_METADATA: &str =
    "[default]\nmode = \"metadata\"\nttl = \"30d\"\non_failure = \"serve\"\n";
const UNKEPT: &str = "sealgate.retention.failed";

/// A service whose state is on a disk that the test can fill.
async fn on_a_small_disk(name: &str, terms: &str) -> Result<Option<(Operated, SmallDisk)>> {
    let directory = trusting_directory(name)?;
    let Some(disk) = SmallDisk::at(&directory.path().join("enclave/state"))? else {
        return Ok(None);
    };
    let world = Operated::in_directory(directory, terms, |config| config).await?;
    Ok(Some((world, disk)))
}

/// How a request ended.
struct Ended {
    status: u16,
    code: Option<String>,
    id: String,
    /// Its response came to its end.
    whole: bool,
}

impl Ended {
    fn is_refused_for_retention(&self) -> bool {
        (self.status, self.code.as_deref()) == (503, Some("retention_failed"))
    }

    fn is_served(&self) -> bool {
        self.status == 200 && self.whole
    }
}

async fn ask(world: &Operated, request: &Value) -> Result<Ended> {
    let mut connection = world.service.connect().await?;
    let answer = connection.post(&world.key, CHAT, request).await?;
    let status = answer.status.as_u16();
    let id = answer.header("x-receipt-id").context("an id")?.to_owned();
    let body = answer.bytes().await;
    let said = body.as_ref().ok().filter(|_| status != 200);
    let said = said.and_then(|body| serde_json::from_slice::<Value>(body).ok());
    Ok(Ended {
        status,
        code: said.and_then(|said| said["error"]["code"].as_str().map(str::to_owned)),
        id,
        whole: body.is_ok(),
    })
}

async fn receipt_text(world: &Operated, id: &str) -> Result<String> {
    let mut connection = world.service.connect().await?;
    Ok(String::from_utf8(
        receipt(&mut connection, &world.key, id).await?,
    )?)
}

/// How the usage row of a request says that it ended; none where there is no row.
async fn outcome(world: &Operated, id: &str) -> Result<Option<String>> {
    Ok(
        sqlx::query_scalar("SELECT outcome FROM usage WHERE receipt_id = ?")
            .bind(id)
            .fetch_optional(&mut world.ledger().await?)
            .await?,
    )
}

async fn record_state(world: &Operated, id: &str) -> Result<Option<String>> {
    Ok(
        sqlx::query_scalar("SELECT state FROM records WHERE receipt_id = ?")
            .bind(id)
            .fetch_optional(&mut world.ledger().await?)
            .await?,
    )
}

/// Holds the ledger against everybody who writes, until [`let_go`].
async fn take_down(world: &Operated) -> Result<SqliteConnection> {
    let mut connection = world.ledger().await?;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

async fn let_go(mut held: SqliteConnection) -> Result<()> {
    sqlx::raw_sql("ROLLBACK").execute(&mut held).await?;
    Ok(())
}

/// Asks until it is answered; the id of that request.
async fn served_again(world: &Operated) -> Result<String> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let ended = ask(world, &chat(MODEL, "and now?")).await?;
        if ended.is_served() {
            return Ok(ended.id);
        }
        ensure!(
            Instant::now() < deadline,
            "not served again: {} {:?}, whole: {}. The service said:\n{}",
            ended.status,
            ended.code,
            ended.whole,
            world.service.log()
        );
        sleep(Duration::from_millis(100)).await;
    }
}

fn nothing_unsealed(world: &Operated) -> Result<()> {
    for (place, bytes) in files_below(&world.state())? {
        ensure!(!holds(&bytes, CANARY), "{place} holds what was said");
    }
    Ok(())
}

/// Four megabytes, in pieces.
fn long_stream() -> Script {
    let piece = format!("data: {{\"filler\":\"{}\"}}\n\n", "x".repeat(64 << 10));
    let pieces = std::iter::repeat_n(piece, 64).chain(["data: [DONE]\n\n".to_owned()]);
    Script::event_stream(pieces)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_refuse_rejects_or_aborts_and_recovers_with_free_space() -> Result<()> {
    let Some((world, disk)) = on_a_small_disk("full-content", &content(RECIPIENT, "")).await?
    else {
        return Ok(());
    };
    let first = ask(&world, &chat(MODEL, CANARY)).await?;
    ensure!(first.is_served());
    disk.fill()?;
    let forwarded = world.engine.stats().prompts;
    for request in [
        chat(MODEL, CANARY),
        streamed(MODEL, CANARY),
        chat(MODEL, &CANARY.repeat(10_000)),
    ] {
        let ended = ask(&world, &request).await?;
        ensure!(
            ended.is_refused_for_retention(),
            "{} {:?}",
            ended.status,
            ended.code
        );
        receipt_text(&world, &ended.id).await?;
    }
    assert_eq!(world.engine.stats().prompts, forwarded, "forwarded");
    nothing_unsealed(&world)?;

    // Room for the request and the beginning of the response.
    disk.free()?;
    served_again(&world).await?;
    disk.fill_but(600 << 10)?;
    world.engine.script(CHAT_MODEL, long_stream());
    let cut = ask(&world, &streamed(MODEL, CANARY)).await?;
    ensure!(
        cut.status == 200 && !cut.whole,
        "{} {}",
        cut.status,
        cut.whole
    );
    let said = receipt_text(&world, &cut.id).await?;
    ensure!(
        said.contains("sealgate.response.incomplete") && said.contains("retention_failed"),
        "{said}"
    );
    nothing_unsealed(&world)?;

    disk.free()?;
    world.engine.script(CHAT_MODEL, Script::json(200, "{}"));
    let id = served_again(&world).await?;
    let deadline = Instant::now() + TIMEOUT;
    while record_state(&world, &id).await?.as_deref() != Some("whole") {
        let state = record_state(&world, &id).await?;
        let log = world.service.log();
        ensure!(Instant::now() < deadline, "the record is {state:?}:\n{log}");
        sleep(Duration::from_millis(50)).await;
    }
    eventually("the audit log goes on, too", async || {
        let path = format!("/v1/aci/receipts/{id}/proof");
        let Ok(mut connection) = world.service.connect().await else {
            return false;
        };
        let proof = connection.get_as(&world.key, &path).await;
        proof.is_ok_and(|proof| proof.status == 200)
    })
    .await;
    let names = files_below(&world.state().join("records"))?;
    assert_eq!(
        names.iter().filter(|(name, _)| name.contains(&id)).count(),
        2
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_serve_marks_answers_as_unrecorded() -> Result<()> {
    let terms = content(RECIPIENT, "on_failure = \"serve\"");
    let Some((world, disk)) = on_a_small_disk("full-served", &terms).await? else {
        return Ok(());
    };
    let recorded = ask(&world, &chat(MODEL, CANARY)).await?;
    ensure!(recorded.is_served());
    let said = receipt_text(&world, &recorded.id).await?;
    ensure!(!said.contains(UNKEPT), "while there is room: {said}");
    disk.fill()?;
    for request in [chat(MODEL, CANARY), streamed(MODEL, CANARY)] {
        let ended = ask(&world, &request).await?;
        ensure!(ended.is_served(), "{} {:?}", ended.status, ended.code);
        let said = receipt_text(&world, &ended.id).await?;
        ensure!(said.contains(UNKEPT), "{said}");
    }
    // What the write-ahead log has room for already is still taken.
    let full = |what| format!("ledger_failed what={what} cause=full sqlite_code=13");
    for what in ["commit", "audit"] {
        let deadline = Instant::now() + TIMEOUT;
        while !world.service.log().contains(&full(what)) {
            let log = world.service.log();
            ensure!(Instant::now() < deadline, "no {what} failed:\n{log}");
            ask(&world, &chat(MODEL, CANARY)).await?;
        }
    }
    nothing_unsealed(&world)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_every_answer_under_refuse_has_its_row_after_a_kill() -> Result<()> {
    let Some((mut world, disk)) = on_a_small_disk("full-metadata", STRICT_METADATA).await? else {
        return Ok(());
    };
    let mut answered = vec![ask(&world, &chat(MODEL, "with room")).await?.id];
    disk.fill()?;
    // What the write-ahead log has room for already is still taken.
    let mut refused = 0;
    for _ in 0..2000 {
        let ended = ask(&world, &chat(MODEL, "without")).await?;
        if ended.is_served() {
            answered.push(ended.id);
            continue;
        }
        ensure!(
            ended.is_refused_for_retention(),
            "{} {:?}",
            ended.status,
            ended.code
        );
        refused += 1;
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3, "{} were answered", answered.len());
    assert_eq!(world.engine.stats().prompts, answered.len() as u64);
    world.service.end("KILL").await?;
    disk.free()?;
    world.service.start_again().await?;
    for id in &answered {
        let found = outcome(&world, id).await?;
        ensure!(found.is_some(), "{id} was answered and left no row");
    }
    served_again(&world).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_fails_refuse_rejects_and_answers_in_flight_keep_their_rows()
-> Result<()> {
    let mut world = Operated::new("down-metadata", STRICT_METADATA).await?;
    let stepper = world.engine.stepping();
    let mut connection = world.service.connect().await?;
    let mut in_flight = connection
        .post(&world.key, CHAT, &streamed(MODEL, "I was here before"))
        .await?;
    let id = in_flight
        .header("x-receipt-id")
        .context("an id")?
        .to_owned();
    stepper.release(1);
    next_chunk(&mut in_flight, "the first chunk").await;

    let held = take_down(&world).await?;
    let forwarded = world.engine.stats().prompts;
    let ended = ask(&world, &chat(MODEL, "and I?")).await?;
    ensure!(
        ended.is_refused_for_retention(),
        "{} {:?}",
        ended.status,
        ended.code
    );
    assert_eq!(world.engine.stats().prompts, forwarded, "forwarded");
    stepper.release(10_000);
    in_flight
        .bytes()
        .await
        .context("it is answered to its end")?;
    world.service.end("KILL").await?;
    let_go(held).await?;

    world.service.start_again().await?;
    assert_eq!(outcome(&world, &id).await?.as_deref(), Some("unfinished"));
    let id = served_again(&world).await?;
    eventually("its row is there, and is the only one", async || {
        outcome(&world, &id).await.ok().flatten().as_deref() == Some("completed")
    })
    .await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM unfinished")
        .fetch_one(&mut world.ledger().await?)
        .await?;
    assert_eq!(left, 0, "what ended is not unfinished");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_fails_serve_reports_it_and_writes_the_rows_after_recovery() -> Result<()>
{
    let world = Operated::new("down-served", LAX_METADATA).await?;
    let held = take_down(&world).await?;
    let before = ask(&world, &chat(MODEL, "before anybody knows")).await?;
    ensure!(before.is_served());
    eventually("the database is known to be down", async || {
        world.service.log().contains("ledger_failed")
    })
    .await;
    let knowing = ask(&world, &chat(MODEL, "knowing")).await?;
    ensure!(knowing.is_served());
    let said = receipt_text(&world, &knowing.id).await?;
    ensure!(said.contains(UNKEPT), "{said}");
    let_go(held).await?;
    for id in [&before.id, &knowing.id] {
        eventually("the row is written after all", async || {
            outcome(&world, id).await.ok().flatten().is_some()
        })
        .await;
    }
    let after = ask(&world, &chat(MODEL, "afterwards")).await?;
    let said = receipt_text(&world, &after.id).await?;
    ensure!(!said.contains(UNKEPT), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_fails_content_is_refused_or_marked_as_unrecorded() -> Result<()> {
    let world = Operated::new("down-content", &content(RECIPIENT, "")).await?;
    let held = take_down(&world).await?;
    let forwarded = world.engine.stats().prompts;
    let ended = ask(&world, &chat(MODEL, CANARY)).await?;
    ensure!(
        ended.is_refused_for_retention(),
        "{} {:?}",
        ended.status,
        ended.code
    );
    assert_eq!(world.engine.stats().prompts, forwarded, "forwarded");
    ensure!(
        !world.state().join("records").exists(),
        "there is a file that no row tells of"
    );
    let_go(held).await?;
    served_again(&world).await?;

    let policy = world.policy().await?;
    let terms = content(RECIPIENT, "on_failure = \"serve\"");
    world.toggle(2, &policy, &terms).await?;
    let held = take_down(&world).await?;
    let ended = ask(&world, &chat(MODEL, CANARY)).await?;
    ensure!(ended.is_served(), "{} {:?}", ended.status, ended.code);
    let said = receipt_text(&world, &ended.id).await?;
    ensure!(said.contains(UNKEPT), "{said}");
    nothing_unsealed(&world)?;
    let_go(held).await
}
