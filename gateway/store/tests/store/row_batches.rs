//! Rows that are durable in a batch and not in their tables yet: they are found, counted, expired and never twice.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::budgets::{spent, with_budget};
use crate::ledger::{KEEP, all_fields, database, later, receipt, usage};
use crate::usage_sums::differences;
use attest_core::{SessionId, Sha256Digest, UnixTime};
use gateway_base::metering::{Outcome, RowRetention, UsageRow};
use gateway_base::quota::AccountKey;
use gateway_store::StoreError;
use gateway_store::ledger::{Ledger, SessionRow};
use testkit::scratch::ScratchDir;

/// More than a quiet service writes at once.
const BUSY: usize = 200;
const TIMEOUT: Duration = Duration::from_secs(30);
/// No row of usage can be written to its table while that has another name.
const BREAK: &str = "ALTER TABLE usage RENAME TO elsewhere";
const REPAIR: &str = "ALTER TABLE elsewhere RENAME TO usage";

async fn count(state: &Path, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    let mut database = database(state).await;
    let count = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut database);
    count.await.expect("a count")
}

async fn change(state: &Path, statements: &'static str) {
    let mut database = database(state).await;
    let changed = sqlx::raw_sql(statements).execute(&mut database).await;
    changed.expect("changed");
}

/// Waits until no row is in memory.
async fn until_durable(ledger: &Ledger) {
    let began = Instant::now();
    while ledger.rows_waiting().0 > 0 {
        assert!(began.elapsed() < TIMEOUT, "rows wait");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn session() -> SessionRow {
    SessionRow {
        id: SessionId::from_bytes([7; 32]),
        json: Bytes::from_static(b"{\"session\":7}"),
        expires_at: UnixTime::from_secs(1),
    }
}

/// A ledger whose tables accept no row, with many rows in stored batches.
async fn with_stored_rows(scratch: &ScratchDir) -> Ledger {
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    change(scratch.path(), BREAK).await;
    ledger.sessions().store(&session());
    for number in 0..BUSY {
        let (id, chat) = (format!("rcpt-{number}"), format!("chat-{}", number / 2));
        ledger
            .receipts()
            .store(&receipt(&id, Some(&chat), 1), later());
        ledger.usage().record(&usage(&id), &all_fields());
    }
    until_durable(&ledger).await;
    assert!(count(scratch.path(), "row_batches").await > 0);
    assert_eq!(count(scratch.path(), "receipts").await, 0);
    ledger
}

async fn find(ledger: &Ledger, id: &str, key: u8) -> Option<Bytes> {
    let found = ledger.receipts().find(id, &[key; 32]).await;
    found.expect("readable")
}

async fn has_everything(ledger: &Ledger) {
    let json = |id: &str| Some(Bytes::from(format!("{{\"receipt_id\":\"{id}\"}}")));
    for id in ["rcpt-0", "rcpt-77", "rcpt-199"] {
        assert_eq!(find(ledger, id, 1).await, json(id));
    }
    assert_eq!(
        find(ledger, "chat-99", 1).await,
        json("rcpt-199"),
        "the newest"
    );
    for (id, key) in [("rcpt-0", 2), ("chat-99", 2), ("rcpt-200", 1), ("", 1)] {
        assert_eq!(find(ledger, id, key).await, None, "{id} {key}");
    }
    let SessionRow { id, json, .. } = session();
    let found = ledger.sessions().find(&id).await.expect("readable");
    assert_eq!(found, Some(json));
    let other = SessionId::from_bytes([8; 32]);
    assert_eq!(
        ledger.sessions().find(&other).await.expect("readable"),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_a_batch_are_found_and_move_to_their_tables_once_those_accept_them() {
    let scratch = ScratchDir::new("batches-found").expect("a directory");
    let ledger = with_stored_rows(&scratch).await;
    has_everything(&ledger).await;
    let began = Instant::now();
    while !ledger.is_failing() {
        assert!(began.elapsed() < TIMEOUT, "no attempt failed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    has_everything(&ledger).await;
    change(scratch.path(), REPAIR).await;
    ledger.flush().await;
    assert!(!ledger.is_failing());
    has_everything(&ledger).await;
    ledger.close().await;
    for (table, rows) in [
        ("usage", 200),
        ("receipts", 200),
        ("sessions", 1),
        ("row_batches", 0),
    ] {
        assert_eq!(count(scratch.path(), table).await, rows, "{table}");
    }
    assert_eq!(ledger.rows_lost(), 0);
    assert_eq!(differences(scratch.path()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_a_batch_are_in_their_tables_before_the_next_start_serves() {
    let scratch = ScratchDir::new("batches-start").expect("a directory");
    // Dropped without a stop, as after a kill.
    drop(with_stored_rows(&scratch).await);
    change(scratch.path(), REPAIR).await;
    for _ in 0..2 {
        let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
        assert_eq!(count(scratch.path(), "row_batches").await, 0);
        assert_eq!(count(scratch.path(), "usage").await, 200);
        has_everything(&ledger).await;
        let logged = Sha256Digest::hash(b"{\"receipt_id\":\"rcpt-7\"}");
        ledger.audit().flush().await.expect("entered");
        let missing = ledger.audit().missing_receipts(vec![logged]).await;
        assert_eq!(missing.expect("readable"), []);
        ledger.close().await;
    }
    assert_eq!(differences(scratch.path()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_leaves_batches_to_the_next_start_if_the_tables_accept_no_rows() {
    let scratch = ScratchDir::new("batches-stop").expect("a directory");
    let ledger = Ledger::open_bounded(
        scratch.path(),
        KEEP,
        gateway_base::config::LedgerBounds {
            stop_timeout: Duration::from_millis(100),
            ..Default::default()
        },
    )
    .await
    .expect("a ledger");
    change(scratch.path(), BREAK).await;
    for number in 0..BUSY {
        ledger
            .usage()
            .record(&usage(&format!("rcpt-{number}")), &all_fields());
    }
    until_durable(&ledger).await;
    assert!(ledger.close().await.is_nothing(), "they are durable");
    change(scratch.path(), REPAIR).await;
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    ledger.close().await;
    assert_eq!(count(scratch.path(), "usage").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_reaches_expired_rows_in_batches_and_reports_that_it_could_not() {
    let scratch = ScratchDir::new("batches-expired").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    change(scratch.path(), BREAK).await;
    let now = ledger.clock().now();
    let expired = RowRetention {
        expires_at: now,
        ..all_fields()
    };
    for number in 0..BUSY {
        let id = format!("rcpt-{number}");
        let until = if number % 2 == 0 { now } else { later() };
        let keep = if number % 2 == 0 {
            &expired
        } else {
            &all_fields()
        };
        ledger.receipts().store(&receipt(&id, None, 1), until);
        ledger.usage().record(&usage(&id), keep);
    }
    until_durable(&ledger).await;
    for (id, is_there) in [("rcpt-0", false), ("rcpt-1", true)] {
        assert_eq!(find(&ledger, id, 1).await.is_some(), is_there, "{id}");
    }
    let refused = ledger.expiry().purge().await;
    assert!(
        matches!(
            refused,
            Err(StoreError::Database { .. } | StoreError::NotWritten { .. })
        ),
        "{refused:?}"
    );
    change(scratch.path(), REPAIR).await;
    // The first one may still be answered with the failure of the attempt before.
    let began = Instant::now();
    let purged = loop {
        match ledger.expiry().purge().await {
            Ok(purged) => break purged,
            Err(error) => assert!(began.elapsed() < TIMEOUT, "{error}"),
        }
    };
    assert_eq!((purged.usage, purged.receipts), (100, 100));
    for (table, rows) in [("usage", 100), ("receipts", 100), ("row_batches", 0)] {
        assert_eq!(count(scratch.path(), table).await, rows, "{table}");
    }
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_reaches_expired_rows_in_memory() {
    let scratch = ScratchDir::new("batches-memory").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let expired = RowRetention {
        expires_at: ledger.clock().now(),
        ..all_fields()
    };
    ledger.usage().record(&usage("r"), &expired);
    assert_eq!(ledger.expiry().purge().await.expect("a purge").usage, 1);
    assert_eq!(count(scratch.path(), "usage").await, 0);
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_contain_rows_that_were_added_just_before() {
    let scratch = ScratchDir::new("batches-sums").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let (since, until) = (UnixTime::from_secs(0), UnixTime::from_secs(2_000_000_000));
    for requests in [1, 301] {
        for _ in 0..requests {
            ledger.usage().record(&usage("r"), &all_fields());
        }
        let sums = ledger.usage().sums(since, until).await.expect("sums");
        assert_eq!(sums[0].requests, if requests == 1 { 1 } else { 302 });
    }
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_of_a_batch_is_dropped_alone() {
    let scratch = ScratchDir::new("batches-refused").expect("a directory");
    let ledger = with_stored_rows(&scratch).await;
    change(
        scratch.path(),
        "ALTER TABLE elsewhere RENAME TO usage; \
         CREATE TRIGGER refuses BEFORE INSERT ON usage WHEN NEW.receipt_id IN ('rcpt-0', 'rcpt-77') BEGIN \
         SELECT RAISE(ABORT, 'not this one'); END",
    )
    .await;
    ledger.flush().await;
    assert_eq!(ledger.rows_lost(), 2);
    ledger.close().await;
    for (table, rows) in [("usage", 198), ("receipts", 200), ("row_batches", 0)] {
        assert_eq!(count(scratch.path(), table).await, rows, "{table}");
    }
    assert_eq!(differences(scratch.path()).await, 0);
}

/// A ledger as the version before wrote it: random receipt ids, an index over all response ids.
#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_an_earlier_schema_are_found_by_both_ids() {
    let scratch = ScratchDir::new("batches-earlier").expect("a directory");
    std::fs::write(scratch.path().join("ledger.sqlite"), "").expect("a file");
    let steps = [
        include_str!("../../src/ledger/schema.sql"),
        include_str!("../../src/ledger/schema_retention.sql"),
        include_str!("../../src/ledger/admins.sql"),
        include_str!("../../src/ledger/unfinished.sql"),
        include_str!("../../src/ledger/usage_sums.sql"),
        include_str!("../../src/ledger/usage_cause.sql"),
        "PRAGMA user_version = 6;",
        "INSERT INTO receipts SELECT 'rcpt-' || value, 'chat-' || (value / 2), zeroblob(32), 'json-' || value, 1, 1 << 40 \
         FROM (WITH RECURSIVE n(value) AS (SELECT 0 UNION ALL SELECT value + 1 FROM n WHERE value < 70000) SELECT * FROM n);",
    ]
    .concat()
    .replace("'json-' || value", "CAST('json-' || value AS BLOB)");
    let mut earlier: SqliteConnection = database(scratch.path()).await;
    let made = sqlx::raw_sql(AssertSqlSafe(steps))
        .execute(&mut earlier)
        .await;
    made.expect("an earlier ledger");
    earlier.close().await.expect("closed");

    let ledger = Ledger::open(scratch.path(), KEEP)
        .await
        .expect("an upgrade");
    ledger
        .receipts()
        .store(&receipt("new", Some("chat-5"), 0), later());
    ledger
        .receipts()
        .store(&receipt("newer", Some("chat-70001"), 0), later());
    ledger.flush().await;
    let json = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    for (id, expected) in [
        ("rcpt-0", json("json-0")),
        ("rcpt-70000", json("json-70000")),
        ("chat-0", json("json-1")),
        ("chat-34999", json("json-69999")),
        ("chat-5", json("{\"receipt_id\":\"new\"}")),
        ("chat-70001", json("{\"receipt_id\":\"newer\"}")),
        ("chat-70002", None),
    ] {
        assert_eq!(find(&ledger, id, 0).await, expected, "{id}");
    }
    assert_eq!(find(&ledger, "chat-0", 1).await, None, "another key");
    ledger.close().await;
}

const DIRECTORY: &str = "SEALGATE_ROWS_DIRECTORY";
const KILLS: u64 = 30;

/// Prints one acknowledgement as a line. A killed writer may leave the last line incomplete.
fn acknowledge(id: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(format!("\ndurable {id}.\n").as_bytes());
    let _ = out.flush();
}

/// Not a test: the service that the test below runs as a separate process and kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process that is started to be killed"]
async fn child_process_that_adds_rows_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
        return;
    };
    let ledger = Ledger::open(&directory, KEEP).await.expect("a ledger");
    let budgets = ledger.budgets().all().await.expect("budgets");
    let budget = AccountKey::Budget(budgets[0].number);
    let life = std::process::id();
    for turn in 0.. {
        // Busy for some ticks, then quiet for some, so that rows are stored and moved.
        let rows = if turn / 40 % 2 == 0 { 40 } else { 1 };
        for number in 0..rows {
            let id = format!("rcpt-{life}-{turn}-{number}");
            let retention = RowRetention {
                replaces: (number == 0).then(|| ledger.usage().next_unfinished()),
                ..all_fields()
            };
            let unfinished = UsageRow {
                outcome: Outcome::Unfinished,
                ..usage(&id)
            };
            if number == 0 && ledger.usage().begin(&unfinished, &retention).await.is_ok() {
                acknowledge(&id);
            }
            ledger
                .receipts()
                .store(&receipt(&id, Some(&id), 1), later());
            let one = spent(budget, UnixTime::from_secs(0), 1, 1);
            let row = usage(&id);
            ledger
                .usage()
                .record_ended(Some((&row, &retention)), &[one]);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The ids that the child process acknowledged before it was killed after `life`.
fn killed_after(directory: &Path, life: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("row_batches::child_process_that_adds_rows_until_it_is_killed")
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process");
    let output = child.stdout.take().expect("its output");
    let lines = std::thread::spawn(move || {
        BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .collect()
    });
    std::thread::sleep(life);
    child.kill().expect("killed");
    child.wait().expect("ended");
    let lines: Vec<String> = lines.join().expect("read");
    let ids = lines
        .iter()
        .filter_map(|line| line.strip_prefix("durable ")?.strip_suffix('.'));
    ids.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_loses_no_acknowledged_row_and_writes_none_twice() {
    let scratch = ScratchDir::new("batches-killed").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    with_budget(&ledger, "b").await;
    ledger.close().await;
    let mut durable = Vec::new();
    for kill in 0..KILLS {
        let life = Duration::from_millis(200 + kill * 53 % 700);
        durable.extend(killed_after(scratch.path(), life));
    }
    assert!(!durable.is_empty(), "no process lived long enough");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let mut rows = database(scratch.path()).await;
    for id in &durable {
        let found: i64 = sqlx::query_scalar("SELECT count(*) FROM usage WHERE receipt_id = ?")
            .bind(id)
            .fetch_one(&mut rows)
            .await
            .expect("a count");
        assert_eq!(found, 1, "rows of {id}");
    }
    let twice: i64 = sqlx::query_scalar("SELECT count(*) - count(DISTINCT receipt_id) FROM usage")
        .fetch_one(&mut rows)
        .await
        .expect("a count");
    assert_eq!(twice, 0, "rows that were written twice");
    assert_eq!(count(scratch.path(), "unfinished").await, 0);
    assert_eq!(differences(scratch.path()).await, 0);
    // Each request spent one token: what is stored of the budget is what the rows say.
    let ended: i64 = sqlx::query_scalar("SELECT count(*) FROM usage WHERE outcome <> 'unfinished'")
        .fetch_one(&mut rows)
        .await
        .expect("a count");
    let spent = ledger.budgets().spent().await.expect("spent");
    assert_eq!(spent.len(), 1);
    assert_eq!(spent[0].amount.tokens, ended.unsigned_abs());
    ledger.close().await;
}
