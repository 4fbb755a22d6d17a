//! Parses an entry of the audit log. The member names of each type are a closed list.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    AdminAction, Commitment, Entry, EntryError, EpochEnd, EpochReason, EpochStart, Fact,
    MAX_ENTRY_BYTES, PurgeReason, Purged, RetentionChange, Word,
};
use crate::aci::{DocumentError, Members, VerifyingKey};
use crate::digest::{SessionId, Sha256Digest};
use crate::encoding::parse_hex;
use crate::json;
use crate::log::{Origin, TreeHash};

type Read<T> = Result<T, DocumentError>;

pub(super) fn entry(bytes: &[u8]) -> Result<Entry, EntryError> {
    let value = json::parse(bytes, MAX_ENTRY_BYTES).map_err(DocumentError::from)?;
    let members = Members::new(&value, "")?;
    Ok(Entry {
        at: members.time("at")?,
        fact: fact(&members)?,
    })
}

fn fact(entry: &Members<'_>) -> Read<Fact> {
    let kind = entry.string("type")?;
    let only = |names: &[&str]| entry.only(&[&["at", "type"], names].concat());
    match kind {
        "log.began" => {
            only(&["origin"])?;
            let text = entry.string("origin")?;
            match Origin::parse(text) {
                Ok(origin) => Ok(Fact::Began { origin }),
                Err(_) => entry.unknown_value("origin", text),
            }
        }
        "epoch.began" => {
            only(&[
                "config",
                "epoch",
                "key",
                "keyset",
                "mode",
                "not_after",
                "reason",
                "retention",
            ])?;
            epoch(entry).map(Fact::EpochBegan)
        }
        "epoch.ended" => {
            only(&["epoch", "keyset", "reason"])?;
            Ok(Fact::EpochEnded {
                epoch: entry.unsigned("epoch")?,
                keyset: entry.digest("keyset")?,
                end: closed(entry, "reason", EpochEnd::from_word)?,
            })
        }
        "retention.changed" => {
            only(&["digest", "mode", "number", "predecessor", "signers"])?;
            retention(entry).map(Fact::RetentionChanged)
        }
        "admin" => {
            only(&["action", "subject"])?;
            Ok(Fact::Admin {
                action: closed(entry, "action", AdminAction::from_word)?,
                subject: Commitment::from_digest(entry.digest("subject")?),
            })
        }
        "upstream.accepted" => {
            only(&["session", "upstream"])?;
            Ok(Fact::UpstreamAccepted {
                upstream: word(entry, "upstream")?,
                session: entry.encoded("session", SessionId::parse)?,
            })
        }
        "upstream.rejected" => {
            only(&["check", "upstream"])?;
            let check = entry.string_or_null("check")?;
            Ok(Fact::UpstreamRejected {
                upstream: word(entry, "upstream")?,
                check: check.map(|_| word(entry, "check")).transpose()?,
            })
        }
        "refused" => {
            only(&["counts"])?;
            counts(entry).map(|counts| Fact::Refused { counts })
        }
        "purged" => {
            only(&["count", "kind", "reason"])?;
            Ok(Fact::Purged(Purged {
                kind: word(entry, "kind")?,
                count: entry.unsigned("count")?,
                reason: closed(entry, "reason", PurgeReason::from_word)?,
            }))
        }
        "receipts" => {
            only(&["root"])?;
            Ok(Fact::Receipts {
                root: entry.encoded("root", TreeHash::parse)?,
            })
        }
        "receipts.lost" => {
            only(&["count"])?;
            Ok(Fact::ReceiptsLost {
                count: entry.unsigned("count")?,
            })
        }
        "rows.lost" => {
            only(&["count", "kind"])?;
            Ok(Fact::RowsLost {
                kind: word(entry, "kind")?,
                count: entry.unsigned("count")?,
            })
        }
        other => entry.unknown_value("type", other),
    }
}

fn epoch(entry: &Members<'_>) -> Read<EpochStart> {
    Ok(EpochStart {
        epoch: entry.unsigned("epoch")?,
        keyset: entry.digest("keyset")?,
        key: VerifyingKey::from_bytes(entry.hex("key")?),
        config: entry.digest("config")?,
        retention: entry.digest("retention")?,
        mode: word(entry, "mode")?,
        not_after: entry.time("not_after")?,
        reason: closed(entry, "reason", EpochReason::from_word)?,
    })
}

fn retention(entry: &Members<'_>) -> Read<RetentionChange> {
    let predecessor = match entry.string_or_null("predecessor")? {
        None => None,
        Some(_) => Some(entry.encoded("predecessor", Sha256Digest::parse)?),
    };
    let wrong = || DocumentError::WrongType {
        field: "signers".to_owned(),
        expected: "an array of keys in hex",
    };
    let signers = entry.array("signers")?.iter().map(|key| {
        let key = key.as_str().and_then(|hex| parse_hex(hex).ok());
        key.map(VerifyingKey::from_bytes).ok_or_else(wrong)
    });
    Ok(RetentionChange {
        number: entry.unsigned("number")?,
        digest: entry.digest("digest")?,
        predecessor,
        mode: word(entry, "mode")?,
        signers: signers.collect::<Read<_>>()?,
    })
}

fn counts(entry: &Members<'_>) -> Read<BTreeMap<Word, u64>> {
    let wrong = || DocumentError::WrongType {
        field: "counts".to_owned(),
        expected: "an object of counts by code",
    };
    let Value::Object(counts) = entry.required("counts")? else {
        return Err(wrong());
    };
    let counts = counts.iter().map(|(code, count)| {
        let count = count
            .as_u64()
            .filter(|count| *count > 0)
            .ok_or_else(wrong)?;
        Ok((Word::parse(code).map_err(|_| wrong())?, count))
    });
    counts.collect()
}

fn word(entry: &Members<'_>, name: &'static str) -> Read<Word> {
    let text = entry.string(name)?;
    match Word::parse(text) {
        Ok(word) => Ok(word),
        Err(_) => entry.unknown_value(name, text),
    }
}

fn closed<T>(
    entry: &Members<'_>,
    name: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Read<T> {
    let text = entry.string(name)?;
    match read(text) {
        Some(value) => Ok(value),
        None => entry.unknown_value(name, text),
    }
}
