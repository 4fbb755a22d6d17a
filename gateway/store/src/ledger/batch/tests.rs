use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use attest_core::SessionId;
use gateway_base::metering::{Cause, Outcome, TokenDetails, TokenSource};
use gateway_base::request::{Endpoint, Labels, Name};

const LATER: UnixTime = UnixTime::from_secs(1_900_000_000);

fn usage() -> UsageRow {
    let name = |text| Name::from_operator(text).expect("a name");
    UsageRow {
        at: UnixTime::from_secs(1_800_000_000),
        receipt_id: "rcpt-1".to_owned(),
        key_id: Arc::from("00112233"),
        tenant: name("acme"),
        organisation: Some(name("group")),
        user: Some(name("alice")),
        labels: Labels {
            scenario: Some(name("s-1")),
            owner: None,
        },
        model: Some(name("demo-model")),
        upstream: Some(name("up")),
        endpoint: Endpoint::Chat,
        stream: true,
        status: 200,
        prompt_tokens: Some(u64::MAX),
        completion_tokens: Some(0),
        token_details: TokenDetails {
            cached_tokens: Some(3),
            reasoning_tokens: Some(2),
        },
        cost: Some(Money::from_nanos(1_500)),
        latency: Duration::from_micros(1500),
        first_byte: None,
        bytes_in: 10,
        bytes_out: 20,
        outcome: Outcome::UpstreamRejected,
        token_source: TokenSource::Reported,
        cause: Some(Cause::Status(503)),
    }
}

fn retention(fields: &[Field]) -> RowRetention {
    RowRetention {
        expires_at: LATER,
        fields: fields.iter().copied().collect(),
        replaces: Some(UnfinishedId(0)),
    }
}

fn receipt(id: &str, chat_id: Option<&str>, json: &[u8]) -> ReceiptRow {
    ReceiptRow {
        receipt_id: id.to_owned(),
        chat_id: chat_id.map(str::to_owned),
        key_digest: [1; 32],
        json: Bytes::copy_from_slice(json),
        served_at: UnixTime::from_secs(3),
    }
}

fn one_of_each() -> Batch {
    let mut batch = Batch::default();
    batch.add_usage(&usage(), &retention(&Field::ALL));
    batch.add_unfinished(UnfinishedId(7), &usage(), &retention(&[]));
    batch.add_receipt(&receipt("rcpt-1", Some("chat-1"), b"{}"), LATER);
    let session = SessionRow {
        id: SessionId::from_bytes([7; 32]),
        json: Bytes::from_static(b"[]"),
        expires_at: LATER,
    };
    batch.add_session(&session, UnixTime::from_secs(5));
    batch
}

fn spent(account: AccountKey, nanos: i64) -> Spent {
    Spent {
        account,
        window: UnixTime::from_secs(60),
        amount: Spending {
            money: Money::from_nanos(nanos),
            tokens: 7,
        },
    }
}

#[test]
fn what_was_spent_of_an_account_in_a_window_is_one_row() {
    let mut batch = Batch::default();
    let (budget, credit) = (AccountKey::Budget(3), AccountKey::Credit(3));
    batch.add_spent(&[spent(budget, 5), spent(credit, 1)]);
    batch.add_spent(&[spent(budget, 6)]);
    assert_eq!((batch.rows, batch.is_empty()), (2, false));
    let batch = batch.seal();
    let sum = Spent {
        amount: Spending {
            money: Money::from_nanos(11),
            tokens: 14,
        },
        ..spent(budget, 0)
    };
    let expected = [Record::Spent(sum), Record::Spent(spent(credit, 1))];
    assert_eq!(records(batch.body()).expect("its own rows"), expected);
}

#[test]
fn rows_are_read_as_they_were_added() {
    let batch = one_of_each();
    let all = UsageValues {
        receipt_id: Some("rcpt-1"),
        at: 1_800_000_000,
        key_id: Some("00112233"),
        tenant: "acme",
        model: Some("demo-model"),
        upstream: Some("up"),
        endpoint: "chat",
        stream: 1,
        status: 200,
        outcome: "upstream_rejected",
        prompt_tokens: Some(i64::MAX),
        completion_tokens: Some(0),
        latency_us: Some(1500),
        first_byte_us: None,
        bytes_in: Some(10),
        bytes_out: Some(20),
        expires_at: 1_900_000_000,
        cause: Some("status:503"),
        token_source: Some("reported"),
        cost_nanos: Some(1_500),
        cached_tokens: Some(3),
        reasoning_tokens: Some(2),
        organisation: Some("group"),
        user_name: Some("alice"),
        scenario: Some("s-1"),
        owner: None,
    };
    let nothing = UsageValues {
        receipt_id: None,
        key_id: None,
        model: None,
        upstream: None,
        prompt_tokens: None,
        completion_tokens: None,
        latency_us: None,
        bytes_in: None,
        bytes_out: None,
        cause: None,
        token_source: None,
        cost_nanos: None,
        cached_tokens: None,
        reasoning_tokens: None,
        user_name: None,
        scenario: None,
        owner: None,
        ..all
    };
    let receipt = ReceiptValues {
        receipt_id: "rcpt-1",
        chat_id: Some("chat-1"),
        key_digest: &[1; 32],
        json: b"{}",
        served_at: 3,
        expires_at: 1_900_000_000,
    };
    let session = SessionValues {
        id: &[7; 32],
        json: b"[]",
        keep_until: 5,
    };
    let expected = [
        Record::Usage(all, Some(0)),
        Record::Unfinished(7, nothing),
        Record::Receipt(receipt),
        Record::Session(session),
    ];
    assert_eq!(records(batch.body()).expect("its own rows"), expected);
    let counts = (
        batch.counts.usage,
        batch.counts.receipts,
        batch.counts.sessions,
    );
    assert_eq!((batch.rows, counts, batch.expires_at), (4, (1, 1, 1), 5));
}

#[test]
fn rows_of_the_format_without_labels_are_read() {
    let mut batch = Batch::default();
    batch.add_usage(&usage(), &retention(&Field::ALL));
    let mut body = batch.body().to_vec();
    let labels = ["group", "alice", "s-1", ""].map(|text| text.len() + 1);
    body.truncate(body.len() - labels.iter().sum::<usize>());
    body[0] = WITHOUT_LABELS;
    let read = records(&body).expect("its own rows");
    let [Record::Usage(row, _)] = read[..] else {
        panic!("{read:?}")
    };
    assert_eq!((row.organisation, row.user_name), (None, None));
    assert_eq!(row.cost_nanos, Some(1_500));
}

#[test]
fn rows_of_the_format_without_costs_are_read() {
    let mut batch = Batch::default();
    batch.add_usage(&usage(), &retention(&Field::ALL));
    let mut body = batch.body().to_vec();
    // Cost, cached and reasoning tokens have two bytes and one each, and the labels come after them.
    let labels = ["group", "alice", "s-1", ""].map(|text| text.len() + 1);
    body.truncate(body.len() - labels.iter().sum::<usize>() - 4);
    body[0] = WITHOUT_COST;
    let read = records(&body).expect("its own rows");
    let [Record::Usage(row, _)] = read[..] else {
        panic!("{read:?}")
    };
    assert_eq!((row.cost_nanos, row.cached_tokens), (None, None));
    assert_eq!(row.token_source, Some("reported"));
    assert!(records(&[&[0], &body[1..]].concat()).is_err());
}

#[test]
fn what_a_policy_does_not_keep_is_not_in_the_body() {
    let mut batch = Batch::default();
    batch.add_usage(&usage(), &retention(&[]));
    for text in [
        "rcpt-1",
        "00112233",
        "alice",
        "s-1",
        "demo-model",
        "status:503",
    ] {
        let found = batch
            .body()
            .windows(text.len())
            .any(|bytes| bytes == text.as_bytes());
        assert!(!found, "{text}");
    }
}

#[test]
fn the_newest_of_several_places_comes_first() {
    let mut batch = Batch::default();
    for id in ["rcpt-1", "rcpt-2", "rcpt-3"] {
        batch.add_receipt(&receipt(id, Some("chat"), b"{}"), LATER);
    }
    let ids = |places: Vec<u32>| -> Vec<&str> {
        let records = places
            .into_iter()
            .map(|place| record_at(batch.body(), place));
        let ids = records.map(|record| match record {
            Some(Record::Receipt(receipt)) => receipt.receipt_id,
            other => panic!("{other:?}"),
        });
        ids.collect()
    };
    let sorted = batch.keys.sorted();
    for (id, expected) in [
        ("chat", vec!["rcpt-3", "rcpt-2", "rcpt-1"]),
        ("rcpt-2", vec!["rcpt-2"]),
        ("rcpt-4", vec![]),
    ] {
        let hash = receipt_key(id, &[1; 32]);
        assert_eq!(ids(batch.keys.places(hash).collect()), expected, "{id}");
        assert_eq!(ids(sorted.sorted_places(hash).collect()), expected, "{id}");
    }
}

#[test]
fn a_body_that_is_not_whole_or_of_another_format_is_refused() {
    let body = one_of_each().body().to_vec();
    let ends: Vec<usize> = (1..body.len())
        .filter(|end| records(&body[..*end]).is_ok())
        .collect();
    assert_eq!(ends.len(), 4, "only where a row ends: {ends:?}");
    for changed in [
        vec![],
        [&[FORMAT + 1], &body[1..]].concat(),
        [&body[..], &[9]].concat(),
    ] {
        assert!(records(&changed).is_err());
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200), place in any::<u32>()) {
        let _ = records(&[&[FORMAT], &body[..]].concat());
        let _ = record_at(&body, place % 256);
    }

    #[test]
    fn receipts_of_any_content_are_read_back(
        id in ".{0,40}",
        chat in proptest::option::of(".{0,40}"),
        json in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut batch = Batch::default();
        batch.add_receipt(&receipt(&id, chat.as_deref(), &json), LATER);
        let read = records(batch.body()).expect("its own row");
        let [Record::Receipt(receipt)] = read[..] else { panic!("{read:?}") };
        prop_assert_eq!((receipt.receipt_id, receipt.chat_id), (&*id, chat.as_deref()));
        prop_assert_eq!(receipt.json, &json[..]);
    }
}
