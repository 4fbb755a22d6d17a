//! The sums of usage by minute and hour equal what a scan of the rows gives, whatever is added, purged or upgraded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use sqlx::{Connection, SqliteConnection};

use attest_core::UnixTime;
use attest_core::retention::Field;
use gateway_base::metering::TokenSource;
use gateway_base::metering::{Outcome, RowRetention, TokenDetails, UsageRow};
use gateway_base::quota::Money;
use gateway_base::request::{Endpoint, Labels, Name};
use gateway_store::ledger::{Ledger, UsageSum};
use testkit::scratch::ScratchDir;

const KEEP: Duration = Duration::from_secs(3600);
/// When the first row may be, in the middle of a minute.
const BEGIN: u64 = 1_800_000_017;
const SPAN: u64 = 4 * 3600;

fn name(text: &str) -> Name {
    Name::from_operator(text).expect("a name")
}

/// A row, and whether it has expired at the purge.
#[derive(Clone, Debug)]
struct Written {
    row: UsageRow,
    fields: Vec<Field>,
    expired: bool,
}

fn written() -> impl Strategy<Value = Written> {
    let number = || prop_oneof![0..5u64, 0..100_000u64];
    (
        (
            BEGIN..BEGIN + SPAN,
            0..3usize,
            proptest::option::of(0..3usize),
        ),
        (
            any::<bool>(),
            proptest::option::of(number()),
            proptest::option::of(number()),
        ),
        (
            number(),
            number(),
            any::<[bool; 3]>(),
            any::<bool>(),
            proptest::option::of(0..1_000_000_000_i64),
        ),
    )
        .prop_map(
            |(
                (at, tenant, model),
                (completed, prompt, completion),
                (bytes_in, bytes_out, kept, expired, cost),
            )| {
                let fields = [Field::Model, Field::Tokens, Field::Sizes];
                Written {
                    row: UsageRow {
                        at: UnixTime::from_secs(at),
                        receipt_id: "rcpt".to_owned(),
                        key_id: Arc::from("00112233"),
                        tenant: name(["acme", "bank", "clinic"][tenant]),
                        organisation: None,
                        user: None,
                        labels: Labels::default(),
                        model: model.map(|model| name(["large", "medium", "small"][model])),
                        upstream: None,
                        endpoint: Endpoint::Chat,
                        stream: false,
                        status: 200,
                        prompt_tokens: prompt,
                        completion_tokens: completion,
                        token_details: TokenDetails::default(),
                        cost: cost.map(Money::from_nanos),
                        latency: Duration::ZERO,
                        first_byte: None,
                        bytes_in,
                        bytes_out,
                        outcome: if completed {
                            Outcome::Completed
                        } else {
                            Outcome::Failed
                        },
                        token_source: TokenSource::Reported,
                        cause: None,
                    },
                    fields: fields
                        .into_iter()
                        .zip(kept)
                        .filter_map(|(field, kept)| kept.then_some(field))
                        .collect(),
                    expired,
                }
            },
        )
}

/// What a scan of these rows gives.
fn scanned<'a>(rows: impl Iterator<Item = &'a Written>, since: u64, until: u64) -> Vec<UsageSum> {
    let mut sums: BTreeMap<(String, Option<String>), UsageSum> = BTreeMap::new();
    for Written { row, fields, .. } in
        rows.filter(|row| (since..until).contains(&row.row.at.secs()))
    {
        let kept = |field| fields.contains(&field);
        let model = row.model.clone().filter(|_| kept(Field::Model));
        let key = (row.tenant.to_string(), model.as_ref().map(Name::to_string));
        let sum = sums.entry(key).or_insert_with(|| UsageSum {
            tenant: row.tenant.clone(),
            model,
            requests: 0,
            failed: 0,
            prompt_tokens: 0,
            completion_tokens: 0,
            cost: None,
            bytes_in: 0,
            bytes_out: 0,
        });
        sum.requests += 1;
        sum.failed += u64::from(row.outcome != Outcome::Completed);
        if kept(Field::Tokens) {
            sum.prompt_tokens += row.prompt_tokens.unwrap_or(0);
            sum.completion_tokens += row.completion_tokens.unwrap_or(0);
            if let Some(cost) = row.cost {
                sum.cost = Some(sum.cost.unwrap_or_default().plus(cost));
            }
        }
        if kept(Field::Sizes) {
            sum.bytes_in += row.bytes_in;
            sum.bytes_out += row.bytes_out;
        }
    }
    sums.into_values().collect()
}

async fn database(state: &Path) -> SqliteConnection {
    let file = state.join("ledger.sqlite");
    SqliteConnection::connect(&format!("sqlite://{}", file.display()))
        .await
        .expect("a database")
}

/// Rows of sums that the rows of usage do not give, and the other way round.
pub async fn differences(state: &Path) -> i64 {
    const SCAN: &str = "SELECT width, at / width, tenant, coalesce(model, ''), count(*), sum(outcome <> 'completed'), \
        coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), \
        coalesce(sum(bytes_in), 0), coalesce(sum(bytes_out), 0), coalesce(sum(cost_nanos), 0), count(cost_nanos) \
        FROM usage, (SELECT 60 AS width UNION ALL SELECT 3600) GROUP BY 1, 2, 3, 4";
    let query = format!(
        "SELECT (SELECT count(*) FROM (SELECT * FROM usage_sums EXCEPT {SCAN})) \
         + (SELECT count(*) FROM (SELECT * FROM ({SCAN}) EXCEPT SELECT * FROM usage_sums))"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .fetch_one(&mut database(state).await)
        .await
        .expect("a count")
}

/// The same rows of usage in a ledger of the last schema without sums.
async fn as_left_by_an_earlier_version(state: &Path) -> ScratchDir {
    const COLUMNS: &str = "receipt_id, at, key_id, tenant, model, upstream, endpoint, stream, status, outcome, \
        prompt_tokens, completion_tokens, latency_us, first_byte_us, bytes_in, bytes_out, expires_at";
    let earlier = ScratchDir::new("sums-earlier").expect("a directory");
    std::fs::write(earlier.path().join("ledger.sqlite"), "").expect("a file");
    let steps = [
        include_str!("../../src/ledger/schema.sql"),
        include_str!("../../src/ledger/schema_retention.sql"),
        include_str!("../../src/ledger/admins.sql"),
        include_str!("../../src/ledger/unfinished.sql"),
    ];
    let statements = format!(
        "{} PRAGMA user_version = 4; ATTACH '{}' AS now; \
         INSERT INTO usage ({COLUMNS}) SELECT {COLUMNS} FROM now.usage;",
        steps.concat(),
        state.join("ledger.sqlite").display()
    );
    let mut database = database(earlier.path()).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements))
        .execute(&mut database)
        .await
        .expect("an earlier ledger");
    database.close().await.expect("closed");
    earlier
}

async fn compare(ledger: &Ledger, rows: &[&Written], spans: &[(u64, u64)]) {
    for (since, length) in spans {
        let until = since + length;
        let sums = ledger
            .usage()
            .sums(UnixTime::from_secs(*since), UnixTime::from_secs(until))
            .await
            .expect("sums");
        assert_eq!(
            sums,
            scanned(rows.iter().copied(), *since, until),
            "{since}..{until}"
        );
    }
}

async fn case(rows: Vec<Written>, spans: Vec<(u64, u64)>) {
    let scratch = ScratchDir::new("sums").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let now = ledger.clock().now();
    for written in &rows {
        let keep = RowRetention {
            expires_at: if written.expired { now } else { now.plus(KEEP) },
            fields: written.fields.iter().copied().collect(),
            replaces: None,
        };
        ledger.usage().record(&written.row, &keep);
    }
    ledger.flush().await;
    let all: Vec<&Written> = rows.iter().collect();
    compare(&ledger, &all, &spans).await;
    assert_eq!(differences(scratch.path()).await, 0, "before the purge");

    let left: Vec<&Written> = rows.iter().filter(|row| !row.expired).collect();
    let purged = ledger.expiry().purge().await.expect("a purge");
    assert_eq!(purged.usage as usize, rows.len() - left.len());
    compare(&ledger, &left, &spans).await;
    assert_eq!(differences(scratch.path()).await, 0, "after the purge");
    ledger.close().await;

    let upgraded = as_left_by_an_earlier_version(scratch.path()).await;
    let ledger = Ledger::open(upgraded.path(), KEEP)
        .await
        .expect("an upgrade");
    // That version counted no costs.
    let mut without_cost: Vec<Written> = left.into_iter().cloned().collect();
    without_cost
        .iter_mut()
        .for_each(|left| left.row.cost = None);
    let left: Vec<&Written> = without_cost.iter().collect();
    compare(&ledger, &left, &spans).await;
    assert_eq!(differences(upgraded.path()).await, 0, "after the upgrade");
    ledger.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn sums_equal_a_scan_of_the_rows_before_and_after_a_purge_and_after_an_upgrade(
        rows in vec(written(), 0..200),
        spans in vec((BEGIN - 70..BEGIN + SPAN + 70, 0..SPAN), 1..12),
    ) {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(case(rows, spans));
    }
}

fn usage(tokens: u64) -> UsageRow {
    UsageRow {
        at: UnixTime::from_secs(BEGIN),
        receipt_id: "rcpt".to_owned(),
        key_id: Arc::from("00112233"),
        tenant: name("acme"),
        organisation: None,
        user: None,
        labels: Labels::default(),
        model: None,
        upstream: None,
        endpoint: Endpoint::Chat,
        stream: false,
        status: 200,
        prompt_tokens: Some(tokens),
        completion_tokens: None,
        token_details: TokenDetails::default(),
        cost: None,
        latency: Duration::ZERO,
        first_byte: None,
        bytes_in: 1,
        bytes_out: 1,
        outcome: Outcome::Completed,
        token_source: TokenSource::Reported,
        cause: None,
    }
}

/// An upstream can report any number of tokens.
#[tokio::test(flavor = "multi_thread")]
async fn extreme_token_counts_do_not_block_rows_or_break_the_sums() {
    let scratch = ScratchDir::new("sums-absurd").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let keep = || RowRetention {
        expires_at: ledger.clock().now(),
        fields: Field::ALL.into(),
        replaces: None,
    };
    for _ in 0..100 {
        ledger.usage().record(&usage(u64::MAX), &keep());
    }
    ledger.usage().record(&usage(3), &keep());
    ledger.flush().await;
    assert_eq!(ledger.rows_lost(), 0);
    let (since, until) = (UnixTime::from_secs(0), UnixTime::from_secs(2 * BEGIN));
    let sums = ledger.usage().sums(since, until).await.expect("sums");
    assert_eq!(
        (sums[0].requests, sums[0].prompt_tokens),
        (101, 100_000_000_000_003)
    );
    assert_eq!(ledger.expiry().purge().await.expect("a purge").usage, 101);
    assert_eq!(ledger.usage().sums(since, until).await.expect("sums"), []);
    ledger.close().await;
}

/// `cargo test --release -p sealgate --test ledger_sums a_day_of -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_day_of_a_million_requests() {
    let scratch = ScratchDir::new("sums-day").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let began = Instant::now();
    sqlx::query(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999) \
         INSERT INTO usage (receipt_id, at, key_id, tenant, model, upstream, endpoint, stream, status, outcome, prompt_tokens, \
         completion_tokens, latency_us, first_byte_us, bytes_in, bytes_out, expires_at) SELECT printf('rcpt-%032x', i), ? + i * 86400 / 1000000, '00112233', 'tenant-' || (i % 10), \
         'model-' || (i / 7 % 5), 'upstream', 'chat', 1, 200, 'completed', i % 1000, i % 300, 1000, 100, 500, 900, ? FROM n",
    )
    .bind(BEGIN as i64)
    .bind((BEGIN + 90 * 86_400) as i64)
    .execute(&mut database(scratch.path()).await)
    .await
    .expect("a million rows");
    println!(
        "a million rows written in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let (since, until) = (
        UnixTime::from_secs(BEGIN + 1),
        UnixTime::from_secs(BEGIN + 86_401),
    );
    for _ in 0..3 {
        let began = Instant::now();
        let sums = ledger.usage().sums(since, until).await.expect("sums");
        let requests: u64 = sums.iter().map(|sum| sum.requests).sum();
        println!(
            "usage of a day, {requests} requests by {} tenants and models: {:.1} ms",
            sums.len(),
            began.elapsed().as_secs_f64() * 1e3
        );
    }
    ledger.close().await;
    let upgraded = as_left_by_an_earlier_version(scratch.path()).await;
    let began = Instant::now();
    let ledger = Ledger::open(upgraded.path(), KEEP)
        .await
        .expect("an upgrade");
    println!(
        "upgraded and opened in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let ledger_file = upgraded.path().join("ledger.sqlite");
    let len = std::fs::metadata(&ledger_file).map_or(0, |file| file.len());
    println!("{:.0} MB", len as f64 / 1e6);
    ledger.close().await;
    let began = Instant::now();
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    println!("opened again in {:.1} s", began.elapsed().as_secs_f64());
    sqlx::raw_sql("UPDATE usage SET expires_at = 0")
        .execute(&mut database(scratch.path()).await)
        .await
        .expect("expired");
    let began = Instant::now();
    let purged = ledger.expiry().purge().await.expect("a purge");
    println!(
        "{} rows purged in {:.1} s",
        purged.usage,
        began.elapsed().as_secs_f64()
    );
    assert_eq!(ledger.usage().sums(since, until).await.expect("sums"), []);
    ledger.close().await;
}
