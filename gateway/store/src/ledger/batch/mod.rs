//! A batch of rows, in the form in which they wait: one after the other, as the values of their columns.
//!
//! The body begins with the number of its format. After it come records: a kind, then the values in the order of
//! [`UsageValues`] or of the kind's fields. Numbers are LEB128; a text or a blob has its length in front; an optional
//! value is preceded by its length or value plus one, and by zero where there is none. What a policy does not keep is not
//! in it.

mod keys;
mod read;

use std::collections::BTreeMap;
use std::time::Instant;

use super::columns::{secs, signed};
use super::{ReceiptRow, RowCounts, SessionRow};
use attest_core::UnixTime;
use attest_core::retention::Field;
use gateway_base::metering::{RowRetention, UnfinishedId, UsageRow};
use gateway_base::quota::{AccountKey, Money, Spending, Spent};

pub(super) use keys::{Keys, receipt_key, session_key};
pub(super) use read::{ReceiptValues, Record, SessionValues, UsageValues, record_at, records};

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
            self.keys.push(receipt_key(id, &row.key_digest), place);
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
        self.keys.push(session_key(row.id.as_bytes()), place);
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

#[cfg(test)]
mod tests;
