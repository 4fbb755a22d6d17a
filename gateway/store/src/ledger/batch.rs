//! A batch of rows, in the form in which they wait: one after the other, as the values of their columns.
//!
//! The body begins with the number of its format. After it come records: a kind, then the values in the order of
//! [`UsageValues`] or of the kind's fields. Numbers are LEB128; a text or a blob has its length in front; an optional
//! value is preceded by its length or value plus one, and by zero where there is none. What a policy does not keep is not
//! in it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use super::columns::{corrupt, secs, signed};
use super::{ReceiptRow, RowCounts, SessionRow};
use attest_core::UnixTime;
use attest_core::retention::Field;
use gateway_base::metering::{RowRetention, UnfinishedId, UsageRow};
use gateway_base::quota::{AccountKey, Money, Spending, Spent};

/// The format of bodies. A program that cannot read the next one refuses the database by its schema version.
const FORMAT: u8 = 3;
/// Bodies of this format have neither costs nor cached and reasoning tokens.
const WITHOUT_COST: u8 = 1;
/// Bodies of this format, and of the earlier one, have neither organisation nor user, scenario and owner.
const WITHOUT_LABELS: u8 = 2;
/// A batch with a body of this size takes no further rows, so that one is read quickly for a single receipt.
pub(super) const LARGE: usize = 256 << 10;

const USAGE: u8 = 1;
const UNFINISHED: u8 = 2;
const RECEIPT: u8 = 3;
const SESSION: u8 = 4;
const SPENT: u8 = 5;

/// Kinds of accounts in a row of what was spent.
const BUDGET: u8 = 0;
const CREDIT: u8 = 1;

/// Rows that arrived one after the other.
pub(super) struct Batch {
    body: Vec<u8>,
    pub keys: Keys,
    /// What its requests have spent: one row for each budget and window, encoded when the batch is sealed.
    spent: Spendings,
    pub counts: RowCounts,
    /// All rows, those of requests that have not ended included.
    pub rows: usize,
    /// When the first of its rows expires.
    pub expires_at: i64,
    /// When the first row was added.
    pub since: Option<Instant>,
    /// The memory that its first row reserves for all of them.
    room: usize,
}

/// What was spent of each account in each window.
#[derive(Default)]
pub(super) struct Spendings(BTreeMap<(AccountKey, UnixTime), Spending>);

impl Spendings {
    /// Returns whether it is the first of its account and window.
    pub fn add(&mut self, spent: &Spent) -> bool {
        let mut is_first = false;
        let entry = self.0.entry((spent.account, spent.window));
        let sum = entry.or_insert_with(|| {
            is_first = true;
            Spending::default()
        });
        *sum = sum.plus(spent.amount);
        is_first
    }

    pub fn into_spent(self) -> impl Iterator<Item = Spent> {
        let sums = self.0.into_iter();
        sums.map(|((account, window), amount)| Spent {
            account,
            window,
            amount,
        })
    }
}

/// Where receipts and sessions are in a body: a hash of what they are found by, and their place.
#[derive(Default)]
pub(super) struct Keys(Vec<(u64, u32)>);

impl Keys {
    /// The places of what may be found by this hash, the newest first.
    pub fn places(&self, hash: u64) -> impl Iterator<Item = u32> {
        let found = self.0.iter().rev();
        found.filter_map(move |(key, place)| (*key == hash).then_some(*place))
    }

    /// The same, sorted.
    pub fn sorted(&self) -> Self {
        let mut keys = self.0.clone();
        keys.sort_unstable();
        Self(keys)
    }

    /// Like [`places`](Self::places), of sorted keys.
    pub fn sorted_places(&self, hash: u64) -> impl Iterator<Item = u32> {
        let first = self.0.partition_point(|(key, _)| *key < hash);
        let same = self.0[first..]
            .iter()
            .take_while(move |(key, _)| *key == hash);
        let places: Vec<u32> = same.map(|(_, place)| *place).collect();
        places.into_iter().rev()
    }
}

/// What a receipt is found by: its own id, or the response's, together with its API key.
pub(super) fn receipt_key(id: &str, key_digest: &[u8; 32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (id, key_digest).hash(&mut hasher);
    hasher.finish()
}

pub(super) fn session_key(id: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            body: vec![FORMAT],
            keys: Keys::default(),
            spent: Spendings::default(),
            counts: RowCounts::default(),
            rows: 0,
            expires_at: i64::MAX,
            since: None,
            room: LARGE / 16,
        }
    }
}

impl Batch {
    /// An empty batch that will probably become as large as this one, so that its memory does not grow in steps.
    pub fn as_large_as(before: &Self) -> Self {
        Self {
            room: before.body.len().max(LARGE / 16),
            ..Self::default()
        }
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn is_large(&self) -> bool {
        self.body.len() >= LARGE
    }

    pub fn add_usage(&mut self, row: &UsageRow, retention: &RowRetention) {
        self.counts.usage += 1;
        self.begin(USAGE, secs(retention.expires_at));
        self.optional_int(retention.replaces.map(|id| id.0));
        self.usage_values(row, retention);
    }

    /// The row of a request that is about to be forwarded.
    pub fn add_unfinished(&mut self, id: UnfinishedId, row: &UsageRow, retention: &RowRetention) {
        self.begin(UNFINISHED, secs(retention.expires_at));
        self.int(id.0);
        self.usage_values(row, retention);
    }

    pub fn add_receipt(&mut self, row: &ReceiptRow, until: UnixTime) {
        self.counts.receipts += 1;
        let place = self.begin(RECEIPT, secs(until));
        for id in [Some(&*row.receipt_id), row.chat_id.as_deref()]
            .into_iter()
            .flatten()
        {
            self.keys.0.push((receipt_key(id, &row.key_digest), place));
        }
        self.text(&row.receipt_id);
        self.optional_text(row.chat_id.as_deref());
        self.body.extend_from_slice(&row.key_digest);
        self.bytes(&row.json);
        self.int(secs(row.served_at));
        self.int(secs(until));
    }

    pub fn add_session(&mut self, row: &SessionRow, keep_until: UnixTime) {
        self.counts.sessions += 1;
        let place = self.begin(SESSION, secs(keep_until));
        self.keys.0.push((session_key(row.id.as_bytes()), place));
        self.body.extend_from_slice(row.id.as_bytes());
        self.bytes(&row.json);
        self.int(secs(keep_until));
    }

    pub fn add_spent(&mut self, spent: &[Spent]) {
        for spent in spent {
            if self.spent.add(spent) {
                self.begin_row(i64::MAX);
            }
        }
    }

    /// After the last row.
    pub fn seal(mut self) -> Self {
        for spent in std::mem::take(&mut self.spent).into_spent() {
            let (kind, number) = match spent.account {
                AccountKey::Budget(number) => (BUDGET, number),
                AccountKey::Credit(number) => (CREDIT, number),
            };
            self.body.extend([SPENT, kind]);
            self.int(number);
            self.int(secs(spent.window));
            self.int(spent.amount.money.nanos());
            self.int(signed(spent.amount.tokens));
        }
        self
    }

    /// Begins a row and returns its place.
    fn begin(&mut self, kind: u8, expires_at: i64) -> u32 {
        self.begin_row(expires_at);
        // A body is hardly longer than `LARGE`.
        let place = u32::try_from(self.body.len()).unwrap_or(u32::MAX);
        self.body.push(kind);
        place
    }

    fn begin_row(&mut self, expires_at: i64) {
        if self.is_empty() {
            self.body.reserve(self.room);
            self.since = Some(Instant::now());
        }
        self.rows += 1;
        self.expires_at = self.expires_at.min(expires_at);
    }

    /// The values of a usage row that its retention allows.
    fn usage_values(&mut self, row: &UsageRow, retention: &RowRetention) {
        let kept = |field| retention.fields.contains(&field);
        let (timing, sizes) = (kept(Field::Timing), kept(Field::Sizes));
        let (tokens, upstream) = (kept(Field::Tokens), kept(Field::Upstream));
        let micros =
            |time: std::time::Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        self.optional_text(kept(Field::Receipt).then_some(&*row.receipt_id));
        self.int(secs(row.at));
        self.optional_text(kept(Field::Key).then_some(&*row.key_id));
        self.text(row.tenant.as_str());
        self.optional_text(row.model.as_deref().filter(|_| kept(Field::Model)));
        self.optional_text(row.upstream.as_deref().filter(|_| upstream));
        self.text(row.endpoint.label());
        self.int(row.stream.into());
        self.int(row.status.into());
        self.text(row.outcome.as_str());
        self.optional_int(row.prompt_tokens.filter(|_| tokens).map(signed));
        self.optional_int(row.completion_tokens.filter(|_| tokens).map(signed));
        self.optional_int(timing.then(|| micros(row.latency)));
        self.optional_int(row.first_byte.filter(|_| timing).map(micros));
        self.optional_int(sizes.then(|| signed(row.bytes_in)));
        self.optional_int(sizes.then(|| signed(row.bytes_out)));
        self.int(secs(retention.expires_at));
        let cause = row
            .cause
            .filter(|_| upstream)
            .map(|cause| cause.to_string());
        self.optional_text(cause.as_deref());
        self.optional_text(row.token_source().filter(|_| tokens));
        let details = row.token_details;
        let cost = row.cost.map(Money::nanos);
        self.optional_int(cost.filter(|_| tokens));
        self.optional_int(details.cached_tokens.filter(|_| tokens).map(signed));
        self.optional_int(details.reasoning_tokens.filter(|_| tokens).map(signed));
        let by_key = kept(Field::Key);
        self.optional_text(row.organisation.as_deref());
        for name in [&row.user, &row.labels.scenario, &row.labels.owner] {
            self.optional_text(name.as_deref().filter(|_| by_key));
        }
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.body.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.body.push(value as u8);
    }

    fn int(&mut self, value: i64) {
        self.number(value.cast_unsigned());
    }

    fn optional_int(&mut self, value: Option<i64>) {
        // No column has a negative value, so that one more fits.
        self.number(value.map_or(0, |value| value.max(0).unsigned_abs() + 1));
    }

    fn bytes(&mut self, value: &[u8]) {
        self.number(value.len() as u64);
        self.body.extend_from_slice(value);
    }

    fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    fn optional_text(&mut self, value: Option<&str>) {
        self.number(value.map_or(0, |value| value.len() as u64 + 1));
        self.body
            .extend_from_slice(value.unwrap_or_default().as_bytes());
    }
}

/// The columns of a usage row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct UsageValues<'a> {
    pub receipt_id: Option<&'a str>,
    pub at: i64,
    pub key_id: Option<&'a str>,
    pub tenant: &'a str,
    pub model: Option<&'a str>,
    pub upstream: Option<&'a str>,
    pub endpoint: &'a str,
    pub stream: i64,
    pub status: i64,
    pub outcome: &'a str,
    pub prompt_tokens: Option<i64>,
    pub completion_tokens: Option<i64>,
    pub latency_us: Option<i64>,
    pub first_byte_us: Option<i64>,
    pub bytes_in: Option<i64>,
    pub bytes_out: Option<i64>,
    pub expires_at: i64,
    pub cause: Option<&'a str>,
    pub token_source: Option<&'a str>,
    pub cost_nanos: Option<i64>,
    pub cached_tokens: Option<i64>,
    pub reasoning_tokens: Option<i64>,
    pub organisation: Option<&'a str>,
    pub user_name: Option<&'a str>,
    pub scenario: Option<&'a str>,
    pub owner: Option<&'a str>,
}

/// The columns of a receipt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ReceiptValues<'a> {
    pub receipt_id: &'a str,
    pub chat_id: Option<&'a str>,
    pub key_digest: &'a [u8],
    pub json: &'a [u8],
    pub served_at: i64,
    pub expires_at: i64,
}

impl ReceiptValues<'_> {
    /// Whether it is found by this id, its own or the response's, with this API key.
    pub fn is_for(&self, id: &str, key_digest: &[u8; 32]) -> bool {
        (self.receipt_id == id || self.chat_id == Some(id)) && self.key_digest == key_digest
    }
}

/// The columns of a session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SessionValues<'a> {
    pub id: &'a [u8],
    pub json: &'a [u8],
    pub keep_until: i64,
}

/// A row of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Record<'a> {
    /// With the id of the row that it replaces.
    Usage(UsageValues<'a>, Option<i64>),
    Unfinished(i64, UsageValues<'a>),
    Receipt(ReceiptValues<'a>),
    Session(SessionValues<'a>),
    Spent(Spent),
}

/// All rows of a body.
pub(super) fn records(body: &[u8]) -> Result<Vec<Record<'_>>, sqlx::Error> {
    let read = || {
        let mut reader = Reader::new(body, 1)?;
        let mut records = Vec::new();
        while !reader.rest.is_empty() {
            records.push(reader.record()?);
        }
        Some(records)
    };
    read().ok_or_else(|| corrupt("batch of rows"))
}

/// The row at a place of a body.
pub(super) fn record_at(body: &[u8], place: u32) -> Option<Record<'_>> {
    Reader::new(body, place as usize)?.record()
}

/// What is left to read. Every function returns `None` where that is not what it should be.
struct Reader<'a> {
    format: u8,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From this place of a body on. The first byte is its format.
    fn new(body: &'a [u8], place: usize) -> Option<Self> {
        let format = *body.first()?;
        let rest = body.get(place..)?;
        (WITHOUT_COST..=FORMAT)
            .contains(&format)
            .then_some(Self { format, rest })
    }

    fn record(&mut self) -> Option<Record<'a>> {
        Some(match self.take(1)? {
            [USAGE] => {
                let replaces = self.optional_int()?;
                Record::Usage(self.usage_values()?, replaces)
            }
            [UNFINISHED] => Record::Unfinished(self.int()?, self.usage_values()?),
            [RECEIPT] => Record::Receipt(ReceiptValues {
                receipt_id: self.text()?,
                chat_id: self.optional_text()?,
                key_digest: self.take(32)?,
                json: self.bytes()?,
                served_at: self.int()?,
                expires_at: self.int()?,
            }),
            [SESSION] => Record::Session(SessionValues {
                id: self.take(32)?,
                json: self.bytes()?,
                keep_until: self.int()?,
            }),
            [SPENT] => {
                let kind = self.take(1)?;
                let number = self.int()?;
                Record::Spent(Spent {
                    account: match kind {
                        [BUDGET] => AccountKey::Budget(number),
                        [CREDIT] => AccountKey::Credit(number),
                        _ => return None,
                    },
                    window: UnixTime::from_secs(self.number()?),
                    amount: Spending {
                        money: Money::from_nanos(self.int()?),
                        tokens: self.number()?,
                    },
                })
            }
            _ => return None,
        })
    }

    fn usage_values(&mut self) -> Option<UsageValues<'a>> {
        Some(UsageValues {
            receipt_id: self.optional_text()?,
            at: self.int()?,
            key_id: self.optional_text()?,
            tenant: self.text()?,
            model: self.optional_text()?,
            upstream: self.optional_text()?,
            endpoint: self.text()?,
            stream: self.int()?,
            status: self.int()?,
            outcome: self.text()?,
            prompt_tokens: self.optional_int()?,
            completion_tokens: self.optional_int()?,
            latency_us: self.optional_int()?,
            first_byte_us: self.optional_int()?,
            bytes_in: self.optional_int()?,
            bytes_out: self.optional_int()?,
            expires_at: self.int()?,
            cause: self.optional_text()?,
            token_source: self.optional_text()?,
            cost_nanos: self.later_int(WITHOUT_COST)?,
            cached_tokens: self.later_int(WITHOUT_COST)?,
            reasoning_tokens: self.later_int(WITHOUT_COST)?,
            organisation: self.later_text(WITHOUT_LABELS)?,
            user_name: self.later_text(WITHOUT_LABELS)?,
            scenario: self.later_text(WITHOUT_LABELS)?,
            owner: self.later_text(WITHOUT_LABELS)?,
        })
    }

    /// A value that bodies of this format, and of earlier ones, do not have.
    fn later_int(&mut self, without: u8) -> Option<Option<i64>> {
        match self.format <= without {
            true => Some(None),
            false => self.optional_int(),
        }
    }

    /// Like [`later_int`](Self::later_int).
    fn later_text(&mut self, without: u8) -> Option<Option<&'a str>> {
        match self.format <= without {
            true => Some(None),
            false => self.optional_text(),
        }
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn int(&mut self) -> Option<i64> {
        Some(self.number()?.cast_signed())
    }

    fn optional_int(&mut self) -> Option<Option<i64>> {
        let number = self.number()?.checked_sub(1);
        number
            .map(|value| i64::try_from(value).ok())
            .map_or(Some(None), |value| value.map(Some))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.number()?;
        self.take(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn optional_text(&mut self) -> Option<Option<&'a str>> {
        let Some(len) = self.number()?.checked_sub(1) else {
            return Some(None);
        };
        let bytes = self.take(usize::try_from(len).ok()?)?;
        Some(Some(std::str::from_utf8(bytes).ok()?))
    }
}

#[cfg(test)]
mod tests {
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
}
