//! What the ledger stores, who can read it, for how long, and in which file.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sqlx::{Connection, SqliteConnection};

use attest_channel::Clock;
use attest_channel::SystemClock;
use attest_core::retention::Field;
use attest_core::{SessionId, Sha256Digest, UnixTime};
use gateway_base::metering::{Outcome, RowRetention, TokenDetails, UsageRow};
use gateway_base::request::{Endpoint, Labels, Name};
use gateway_store::StoreError;
use gateway_store::ledger::{EpochRow, Ledger, ReceiptRow, SessionRow};
use testkit::scratch::ScratchDir;

pub const KEEP: Duration = Duration::from_secs(3600);

pub fn receipt(id: &str, chat_id: Option<&str>, key: u8) -> ReceiptRow {
    ReceiptRow {
        receipt_id: id.into(),
        chat_id: chat_id.map(str::to_owned),
        key_digest: [key; 32],
        json: Bytes::from(format!("{{\"receipt_id\":\"{id}\"}}")),
        served_at: UnixTime::from_secs(1_800_000_000),
    }
}

pub fn usage(id: &str) -> UsageRow {
    let name = |text| Name::from_operator(text).expect("a name");
    UsageRow {
        at: UnixTime::from_secs(1_800_000_000),
        receipt_id: id.into(),
        key_id: Arc::from("00112233"),
        tenant: name("acme"),
        organisation: None,
        user: None,
        labels: Labels::default(),
        model: Some(name("demo-model")),
        upstream: None,
        endpoint: Endpoint::Chat,
        stream: true,
        status: 200,
        prompt_tokens: Some(3),
        completion_tokens: None,
        token_details: TokenDetails::default(),
        cost: None,
        latency: Duration::from_micros(1500),
        first_byte: None,
        bytes_in: 10,
        bytes_out: 20,
        outcome: Outcome::Completed,
        token_source: gateway_base::metering::TokenSource::Reported,
        cause: None,
    }
}

pub fn later() -> UnixTime {
    SystemClock.now().plus(KEEP)
}

/// Every field, for a while.
pub fn all_fields() -> RowRetention {
    RowRetention {
        expires_at: later(),
        fields: Field::ALL.into(),
        replaces: None,
    }
}

pub async fn database(state: &Path) -> SqliteConnection {
    let file = state.join("ledger.sqlite");
    SqliteConnection::connect(&format!("sqlite://{}", file.display()))
        .await
        .expect("a database")
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_and_files_are_accessible_to_their_owner_only() {
    let scratch = ScratchDir::new("ledger").expect("a directory");
    let state = scratch.path().join("state");
    let ledger = Ledger::open(&state, KEEP).await.expect("a ledger");
    ledger.receipts().store(&receipt("r", None, 1), later());
    ledger.flush().await;
    let mode = |path: &Path| {
        std::fs::metadata(path)
            .expect("metadata")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(&state), 0o700);
    let files: Vec<_> = std::fs::read_dir(&state)
        .expect("a listing")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert!(files.len() >= 2, "the write-ahead log is there: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_found_before_and_after_it_is_committed_and_only_with_its_key() {
    let scratch = ScratchDir::new("ledger").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    ledger
        .receipts()
        .store(&receipt("rcpt-1", Some("chat-1"), 1), later());
    ledger
        .receipts()
        .store(&receipt("rcpt-2", Some("chat-1"), 1), later());
    ledger
        .receipts()
        .store(&receipt("rcpt-3", Some("chat-1"), 2), later());
    for committed in [false, true] {
        if committed {
            ledger.flush().await;
        }
        let find = async |id: &str, key: u8| {
            ledger
                .receipts()
                .find(id, &[key; 32])
                .await
                .expect("readable")
        };
        let json = |id: &str| Some(Bytes::from(format!("{{\"receipt_id\":\"{id}\"}}")));
        assert_eq!(find("rcpt-1", 1).await, json("rcpt-1"), "{committed}");
        assert_eq!(
            find("chat-1", 1).await,
            json("rcpt-2"),
            "the newest of a response id: {committed}"
        );
        assert_eq!(find("chat-1", 2).await, json("rcpt-3"), "{committed}");
        for (id, key) in [
            ("rcpt-1", 2),
            ("rcpt-3", 1),
            ("rcpt-4", 1),
            ("chat-1", 3),
            ("", 1),
        ] {
            assert_eq!(find(id, key).await, None, "{id} {key} {committed}");
        }
    }
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_with_no_retention_is_not_found() {
    let scratch = ScratchDir::new("ledger").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    ledger
        .receipts()
        .store(&receipt("rcpt-1", None, 1), ledger.clock().now());
    ledger.flush().await;
    assert_eq!(
        ledger
            .receipts()
            .find("rcpt-1", &[1; 32])
            .await
            .expect("readable"),
        None
    );
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_outlive_their_validity_by_the_time_receipts_are_kept() {
    let scratch = ScratchDir::new("ledger").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let id = SessionId::from_bytes([1; 32]);
    let row = SessionRow {
        id,
        json: Bytes::from_static(b"{}"),
        expires_at: UnixTime::from_secs(1),
    };
    ledger.sessions().store(&row);
    assert_eq!(
        ledger.sessions().find(&id).await.expect("readable"),
        Some(Bytes::from_static(b"{}"))
    );
    ledger.flush().await;
    ledger.sessions().store(&row);
    ledger.close().await;
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    assert_eq!(
        ledger.sessions().find(&id).await.expect("readable"),
        Some(Bytes::from_static(b"{}"))
    );
    assert_eq!(
        ledger
            .sessions()
            .find(&SessionId::from_bytes([2; 32]))
            .await
            .expect("readable"),
        None
    );
    let mut database = database(scratch.path()).await;
    let (count, keep_until): (i64, i64) =
        sqlx::query_as("SELECT count(*), min(keep_until) FROM sessions")
            .fetch_one(&mut database)
            .await
            .expect("rows");
    assert_eq!(count, 1);
    assert!(
        keep_until > 1_700_000_000,
        "counted from now where the session has already expired"
    );
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_commits_everything_and_rows_contain_what_was_added() {
    let scratch = ScratchDir::new("ledger").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    for number in 0..1000 {
        ledger
            .usage()
            .record(&usage(&format!("r{number}")), &all_fields());
    }
    ledger.close().await;
    assert_eq!(ledger.rows_lost(), 0);
    let mut database = database(scratch.path()).await;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM usage")
        .fetch_one(&mut database)
        .await
        .expect("a count");
    assert_eq!(count, 1000);
    type Row = (
        String,
        String,
        Option<String>,
        String,
        bool,
        i64,
        String,
        Option<i64>,
        i64,
    );
    let row: Row = sqlx::query_as(
        "SELECT tenant, model, upstream, endpoint, stream, status, outcome, completion_tokens, latency_us \
         FROM usage WHERE receipt_id = 'r7'",
    )
    .fetch_one(&mut database)
    .await
    .expect("a row");
    let expected: Row = (
        "acme".into(),
        "demo-model".into(),
        None,
        "chat".into(),
        true,
        200,
        "completed".into(),
        None,
        1500,
    );
    assert_eq!(row, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_are_numbered_across_restarts() {
    let scratch = ScratchDir::new("ledger").expect("a directory");
    let digest = Sha256Digest::hash(b"x");
    let row = EpochRow {
        keyset_digest: digest,
        keyset: "{}",
        config: digest,
        retention: digest,
        began_at: UnixTime::from_secs(1),
    };
    for expected in [1, 2] {
        let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
        assert_eq!(
            ledger.epochs().begin(&row).await.expect("a number"),
            expected
        );
        ledger.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_service_on_one_state_directory_is_refused_until_the_first_has_ended() {
    let scratch = ScratchDir::new("ledger").expect("a directory");
    let first = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let second = Ledger::open(scratch.path(), KEEP).await.err();
    assert!(
        matches!(&second, Some(StoreError::InUse { state_dir }) if state_dir == scratch.path()),
        "{second:?}"
    );
    Ledger::open_for_keys(scratch.path())
        .await
        .expect("keys are administered beside a running service");
    first.close().await;
    Ledger::open(scratch.path(), KEEP)
        .await
        .expect("no service runs from it any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_a_newer_version_is_refused_unchanged() {
    let scratch = ScratchDir::new("ledger").expect("a directory");
    Ledger::open(scratch.path(), KEEP)
        .await
        .expect("a ledger")
        .close()
        .await;
    let mut database = database(scratch.path()).await;
    sqlx::raw_sql("PRAGMA user_version = 99")
        .execute(&mut database)
        .await
        .expect("set");
    database.close().await.expect("closed");
    let refused = Ledger::open(scratch.path(), KEEP)
        .await
        .err()
        .expect("a refusal");
    assert!(
        matches!(
            refused,
            StoreError::Newer {
                found: 99,
                known: ..99,
                ..
            }
        ),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_wait_while_another_process_locks_the_database() {
    let scratch = ScratchDir::new("ledger").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let mut other = database(scratch.path()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .expect("a lock");
    ledger.usage().record(&usage("r"), &all_fields());
    ledger
        .receipts()
        .store(&receipt("rcpt-1", None, 1), later());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(
        ledger
            .receipts()
            .find("rcpt-1", &[1; 32])
            .await
            .expect("readable")
            .is_some(),
        "found though not committed"
    );
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut other)
        .await
        .expect("released");
    ledger.flush().await;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM usage")
        .fetch_one(&mut other)
        .await
        .expect("a count");
    assert_eq!((count, ledger.rows_lost()), (1, 0));
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_excluded_by_a_policy_are_not_in_the_row() {
    let scratch = ScratchDir::new("ledger").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let nothing = RowRetention {
        expires_at: later(),
        fields: [].into(),
        replaces: None,
    };
    ledger.usage().record(&usage("all"), &all_fields());
    ledger.usage().record(&usage("none"), &nothing);
    ledger.close().await;
    type Row = (
        Option<String>,
        Option<String>,
        Option<String>,
        Option<i64>,
        Option<i64>,
        Option<i64>,
    );
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT receipt_id, key_id, model, prompt_tokens, latency_us, bytes_in FROM usage ORDER BY rowid",
    )
    .fetch_all(&mut database(scratch.path()).await)
    .await
    .expect("rows");
    let all = ("all", "00112233", "demo-model");
    assert_eq!(
        rows[0],
        (
            Some(all.0.into()),
            Some(all.1.into()),
            Some(all.2.into()),
            Some(3),
            Some(1500),
            Some(10)
        )
    );
    assert_eq!(rows[1], (None, None, None, None, None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_expired_rows_are_purged() {
    let scratch = ScratchDir::new("ledger").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let now = ledger.clock().now();
    let gone = RowRetention {
        expires_at: now,
        ..all_fields()
    };
    ledger.usage().record(&usage("old"), &gone);
    ledger.usage().record(&usage("new"), &all_fields());
    ledger.receipts().store(&receipt("old", None, 1), now);
    ledger.receipts().store(&receipt("new", None, 1), later());
    ledger.flush().await;
    let purged = ledger.expiry().purge().await.expect("a purge");
    assert_eq!((purged.usage, purged.receipts), (1, 1));
    assert!(ledger.expiry().purge().await.expect("a purge").is_nothing());
    ledger.close().await;
    let left: Vec<(String,)> =
        sqlx::query_as("SELECT receipt_id FROM usage UNION ALL SELECT receipt_id FROM receipts")
            .fetch_all(&mut database(scratch.path()).await)
            .await
            .expect("rows");
    assert_eq!(left, [("new".to_owned(),), ("new".to_owned(),)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_with_a_later_clock_expires_nothing_early_or_late() {
    let scratch = ScratchDir::new("ledger").expect("a directory");
    let year = Duration::from_secs(365 * 86_400);
    let ahead = SystemClock.now().plus(year);
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    ledger.expiry().accept_time(ahead).await.expect("noted");
    ledger.close().await;
    // The system's clock is a year behind what was noted, as after it was set back.
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    assert!(matches!(
        ledger.clock().system_clock_check(),
        gateway_store::ledger::SystemClockCheck::Behind(_)
    ));
    assert!(ledger.clock().now() >= ahead);
    ledger.close().await;
    let mut database = database(scratch.path()).await;
    sqlx::query("UPDATE retention_clock SET now = now - 2 * 365 * 86400")
        .execute(&mut database)
        .await
        .expect("changed");
    // And now a year ahead, as after it was set forward.
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    assert!(matches!(
        ledger.clock().system_clock_check(),
        gateway_store::ledger::SystemClockCheck::FarAhead(_)
    ));
    let soon = ledger.clock().now().plus(KEEP);
    ledger.receipts().store(&receipt("r", None, 1), soon);
    ledger.flush().await;
    assert!(ledger.expiry().purge().await.expect("a purge").is_nothing());
    // An operator's word, while it runs.
    ledger
        .expiry()
        .accept_time(SystemClock.now())
        .await
        .expect("noted");
    assert_eq!(ledger.expiry().purge().await.expect("a purge").receipts, 1);
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_count_excluded_fields_as_zero() {
    let scratch = ScratchDir::new("ledger").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let nothing = RowRetention {
        fields: [].into(),
        ..all_fields()
    };
    ledger.usage().record(&usage("r"), &nothing);
    ledger.flush().await;
    let (since, until) = (UnixTime::from_secs(0), UnixTime::from_secs(2_000_000_000));
    let sums = ledger.usage().sums(since, until).await.expect("sums");
    let [sum] = &sums[..] else {
        panic!("one tenant, one model: {sums:?}");
    };
    assert_eq!((sum.requests, sum.bytes_in, sum.bytes_out), (1, 0, 0));
    assert_eq!((sum.prompt_tokens, sum.model.as_ref()), (0, None));
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_request_gets_its_row_at_the_next_start_and_a_finished_one_only_one() {
    let scratch = ScratchDir::new("ledger").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let unfinished = |id: &str| UsageRow {
        outcome: Outcome::Unfinished,
        ..usage(id)
    };
    for id in ["ended", "cut"] {
        let keep = RowRetention {
            replaces: Some(ledger.usage().next_unfinished()),
            ..all_fields()
        };
        let begun = ledger.usage().begin(&unfinished(id), &keep).await;
        begun.expect("on the disk");
        if id == "ended" {
            ledger.usage().record(&usage(id), &keep);
        }
    }
    let fewer = RowRetention {
        fields: [].into(),
        replaces: Some(ledger.usage().next_unfinished()),
        ..all_fields()
    };
    let begun = ledger.usage().begin(&unfinished("unnamed"), &fewer).await;
    begun.expect("on the disk");
    ledger.flush().await;
    ledger.close().await;
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let rows: Vec<(Option<String>, String)> =
        sqlx::query_as("SELECT receipt_id, outcome FROM usage ORDER BY receipt_id")
            .fetch_all(&mut database(scratch.path()).await)
            .await
            .expect("rows");
    let row = |id: Option<&str>, outcome: &str| (id.map(str::to_owned), outcome.to_owned());
    let expected = [
        row(None, "unfinished"),
        row(Some("cut"), "unfinished"),
        row(Some("ended"), "completed"),
    ];
    assert_eq!(rows, expected);
    ledger.close().await;
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    ledger.close().await;
    let again: i64 = sqlx::query_scalar("SELECT count(*) FROM usage")
        .fetch_one(&mut database(scratch.path()).await)
        .await
        .expect("a count");
    assert_eq!(again, 3, "another start settles nothing twice");
}
