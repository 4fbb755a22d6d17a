//! Usage in groups equals what a scan of the rows gives, whatever it is grouped and filtered by, before and after a purge.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use attest_core::UnixTime;
use attest_core::retention::Field;
use gateway_base::metering::{Outcome, RowRetention, TokenDetails, TokenSource, UsageRow};
use gateway_base::quota::Money;
use gateway_base::request::{Endpoint, Labels, Name};
use gateway_store::ledger::{Dimension, GroupValue, GroupsError, Ledger, MAX_GROUPS, UsageQuery};
use testkit::scratch::ScratchDir;

const KEEP: Duration = Duration::from_secs(3600);
/// In the middle of an hour, not long before midnight.
const BEGIN: u64 = 1_800_000_000 - 1_800_000_000 % 86_400 + 79_017;

fn name(text: &str) -> Name {
    Name::from_operator(text).expect("a name")
}

fn one_of(texts: &[&str], n: u64) -> Option<Name> {
    let text = texts[n as usize % texts.len()];
    (!text.is_empty()).then(|| name(text))
}

/// The row with this number, whether its key is kept, and whether it has expired at the purge.
fn row(n: u64) -> (UsageRow, bool, bool) {
    let row = UsageRow {
        at: UnixTime::from_secs(BEGIN + n * 61),
        receipt_id: format!("rcpt-{n}"),
        key_id: Arc::from(["00112233", "44556677"][n as usize % 2]),
        tenant: name(["acme", "bank"][n as usize % 2]),
        organisation: one_of(&["group", ""], n / 2),
        user: one_of(&["alice", "", "bot"], n),
        labels: Labels {
            scenario: one_of(&["s-1", "s-2", ""], n / 3),
            owner: one_of(&["", "carol"], n / 5),
        },
        model: one_of(&["large", "", "small"], n),
        upstream: one_of(&["up", ""], n / 4),
        endpoint: [Endpoint::Chat, Endpoint::Embeddings][n as usize % 2],
        stream: false,
        status: 200,
        prompt_tokens: Some(n),
        completion_tokens: (!n.is_multiple_of(3)).then_some(2 * n),
        token_details: TokenDetails::default(),
        cost: n.is_multiple_of(2).then(|| Money::from_nanos(n as i64)),
        latency: Duration::ZERO,
        first_byte: None,
        bytes_in: 3,
        bytes_out: n,
        outcome: match n % 7 {
            0 => Outcome::Failed,
            _ => Outcome::Completed,
        },
        token_source: TokenSource::Reported,
        cause: None,
    };
    (row, !n.is_multiple_of(4), n.is_multiple_of(6))
}

/// What a row has of this dimension.
fn value(row: &UsageRow, keeps_key: bool, dimension: Dimension) -> GroupValue {
    let text = |name: &Option<Name>| GroupValue::Text(name.as_ref().map(Name::to_string));
    let by_key = |name: &Option<Name>| text(&name.clone().filter(|_| keeps_key));
    let begin = |width: u64| GroupValue::Time(UnixTime::from_secs(row.at.secs() / width * width));
    match dimension {
        Dimension::Organisation => text(&row.organisation),
        Dimension::Tenant => text(&Some(row.tenant.clone())),
        Dimension::User => by_key(&row.user),
        Dimension::Key => by_key(&Some(name(&row.key_id))),
        Dimension::Model => text(&row.model),
        Dimension::Upstream => text(&row.upstream),
        Dimension::Endpoint => GroupValue::Text(Some(row.endpoint.label().to_owned())),
        Dimension::Scenario => by_key(&row.labels.scenario),
        Dimension::Owner => by_key(&row.labels.owner),
        Dimension::Hour => begin(3600),
        Dimension::Day => begin(86_400),
    }
}

type Sums = (u64, u64, u64, u64, u64, u64, Option<i64>);

fn scanned(query: &UsageQuery, purged: bool) -> BTreeMap<String, Sums> {
    let mut groups: BTreeMap<String, Sums> = BTreeMap::new();
    for (row, keeps_key, expired) in (0..300).map(row) {
        let fits = query.filters.iter().all(|(dimension, wanted)| {
            let found = value(&row, keeps_key, *dimension);
            found == GroupValue::Text(Some(wanted.clone()).filter(|text| !text.is_empty()))
        });
        let in_span = row.at >= query.since && row.at < query.until;
        if !fits || !in_span || (purged && expired) {
            continue;
        }
        let values = query.by.iter();
        let values: Vec<GroupValue> = values.map(|one| value(&row, keeps_key, *one)).collect();
        let sums = groups.entry(format!("{values:?}")).or_default();
        sums.0 += 1;
        sums.1 += u64::from(row.outcome != Outcome::Completed);
        sums.2 += row.prompt_tokens.unwrap_or(0);
        sums.3 += row.completion_tokens.unwrap_or(0);
        sums.4 += row.bytes_in;
        sums.5 += row.bytes_out;
        if let Some(cost) = row.cost {
            *sums.6.get_or_insert(0) += cost.nanos();
        }
    }
    groups
}

fn queries() -> Vec<UsageQuery> {
    let at = UnixTime::from_secs;
    let hour = BEGIN - BEGIN % 3600;
    let filters = vec![
        vec![],
        vec![(Dimension::Tenant, "acme".to_owned())],
        vec![
            (Dimension::User, String::new()),
            (Dimension::Model, "large".to_owned()),
        ],
        vec![(Dimension::Tenant, "nothing".to_owned())],
    ];
    let by = [
        vec![],
        vec![Dimension::Day],
        vec![Dimension::Hour, Dimension::Tenant],
        vec![Dimension::Organisation, Dimension::User, Dimension::Key],
        Dimension::ALL.to_vec(),
    ];
    let spans = [
        (0, 2 * BEGIN),
        (BEGIN + 100, BEGIN + 9_000),
        (hour + 3600, hour + 7200),
        (BEGIN + 5, BEGIN + 70),
        (7, 7),
    ];
    let mut all = Vec::new();
    for (since, until) in spans {
        for by in &by {
            for filters in &filters {
                all.push(UsageQuery {
                    since: at(since),
                    until: at(until),
                    by: by.clone(),
                    filters: filters.clone(),
                });
            }
        }
    }
    all
}

async fn compare(ledger: &Ledger, purged: bool) {
    for query in queries() {
        let groups = ledger.usage().groups(&query).await.expect("groups");
        let found: BTreeMap<String, Sums> = groups
            .iter()
            .map(|group| {
                let sums = (
                    group.requests,
                    group.failed,
                    group.prompt_tokens,
                    group.completion_tokens,
                    group.bytes_in,
                    group.bytes_out,
                    group.cost.map(Money::nanos),
                );
                (format!("{:?}", group.values), sums)
            })
            .collect();
        assert_eq!(found.len(), groups.len(), "each group once");
        assert_eq!(found, scanned(&query, purged), "{query:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_equal_a_scan_of_the_rows_before_and_after_a_purge() {
    let scratch = ScratchDir::new("groups").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let now = ledger.clock().now();
    for (row, keeps_key, expired) in (0..300).map(row) {
        let fields = Field::ALL.into_iter();
        let fields = fields.filter(|field| keeps_key || *field != Field::Key);
        let keep = RowRetention {
            expires_at: if expired { now } else { now.plus(KEEP) },
            fields: fields.collect(),
            replaces: None,
        };
        ledger.usage().record(&row, &keep);
    }
    ledger.flush().await;
    compare(&ledger, false).await;
    ledger.expiry().purge().await.expect("a purge");
    compare(&ledger, true).await;
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_groups_than_an_answer_holds_are_an_error() {
    let scratch = ScratchDir::new("groups-many").expect("a directory");
    let ledger = Ledger::open(scratch.path(), KEEP).await.expect("a ledger");
    let keep = RowRetention {
        expires_at: ledger.clock().now().plus(KEEP),
        fields: Field::ALL.into_iter().collect(),
        replaces: None,
    };
    for n in 0..=MAX_GROUPS {
        let (mut row, ..) = row(1);
        row.key_id = n.to_string().into();
        ledger.usage().record(&row, &keep);
    }
    let query = |by| UsageQuery {
        since: UnixTime::from_secs(0),
        until: UnixTime::from_secs(2 * BEGIN),
        by,
        filters: Vec::new(),
    };
    let many = ledger.usage().groups(&query(vec![Dimension::Key])).await;
    assert!(matches!(many, Err(GroupsError::TooMany)));
    let one = ledger.usage().groups(&query(vec![Dimension::Tenant])).await;
    assert_eq!(one.expect("groups")[0].requests, MAX_GROUPS as u64 + 1);
    ledger.close().await;
}
