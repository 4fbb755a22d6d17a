//! Reads the rows of a body. Every place that is not what it should be makes it unreadable.

use super::{
    BUDGET, CREDIT, FORMAT, RECEIPT, SESSION, SPENT, UNFINISHED, USAGE, WITHOUT_COST,
    WITHOUT_LABELS,
};
use crate::ledger::columns::corrupt;
use attest_core::UnixTime;
use gateway_base::quota::{AccountKey, Money, Spending, Spent};

/// The columns of a usage row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::ledger) struct UsageValues<'a> {
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
pub(in crate::ledger) struct ReceiptValues<'a> {
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
pub(in crate::ledger) struct SessionValues<'a> {
    pub id: &'a [u8],
    pub json: &'a [u8],
    pub keep_until: i64,
}

/// A row of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::ledger) enum Record<'a> {
    /// With the id of the row that it replaces.
    Usage(UsageValues<'a>, Option<i64>),
    Unfinished(i64, UsageValues<'a>),
    Receipt(ReceiptValues<'a>),
    Session(SessionValues<'a>),
    Spent(Spent),
}

/// All rows of a body.
pub(in crate::ledger) fn records(body: &[u8]) -> Result<Vec<Record<'_>>, sqlx::Error> {
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
pub(in crate::ledger) fn record_at(body: &[u8], place: u32) -> Option<Record<'_>> {
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
