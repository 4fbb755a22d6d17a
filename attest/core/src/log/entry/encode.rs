//! Writes an entry of the audit log in its canonical form.

use serde_json::{Map, Value, json};

use super::{Entry, EpochStart, Fact, Purged, RetentionChange};
use crate::encoding::to_hex;
use crate::json;

pub(super) fn entry(entry: &Entry) -> Vec<u8> {
    let (kind, mut members) = fact(&entry.fact);
    members.insert("at".to_owned(), entry.at.secs().into());
    members.insert("type".to_owned(), kind.into());
    json::canonical_bytes(&Value::Object(members))
}

/// The name of an entry's type, and its members.
fn fact(fact: &Fact) -> (&'static str, Map<String, Value>) {
    match fact {
        Fact::Began { origin } => (
            "log.began",
            members(json!({ "origin": origin.to_string() })),
        ),
        Fact::EpochBegan(start) => ("epoch.began", members(epoch(start))),
        Fact::EpochEnded { epoch, keyset, end } => (
            "epoch.ended",
            members(
                json!({ "epoch": epoch, "keyset": keyset.to_string(), "reason": end.as_str() }),
            ),
        ),
        Fact::RetentionChanged(change) => ("retention.changed", members(retention(change))),
        Fact::Admin { action, subject } => (
            "admin",
            members(json!({ "action": action.as_str(), "subject": subject.digest().to_string() })),
        ),
        Fact::UpstreamAccepted { upstream, session } => (
            "upstream.accepted",
            members(json!({ "session": session.to_hex(), "upstream": upstream.as_str() })),
        ),
        Fact::UpstreamRejected { upstream, check } => (
            "upstream.rejected",
            members(json!({
                "check": check.as_ref().map(|check| check.as_str()),
                "upstream": upstream.as_str(),
            })),
        ),
        Fact::Refused { counts } => {
            let counts = counts
                .iter()
                .map(|(code, n)| (code.to_string(), (*n).into()));
            let counts = Value::Object(counts.collect());
            ("refused", members(json!({ "counts": counts })))
        }
        Fact::Purged(purged) => ("purged", members(purge(purged))),
        Fact::Receipts { root } => ("receipts", members(json!({ "root": root.to_string() }))),
        Fact::ReceiptsLost { count } => ("receipts.lost", members(json!({ "count": count }))),
        Fact::RowsLost { kind, count } => (
            "rows.lost",
            members(json!({ "count": count, "kind": kind.as_str() })),
        ),
    }
}

fn epoch(start: &EpochStart) -> Value {
    json!({
        "config": start.config.to_string(),
        "epoch": start.epoch,
        "key": to_hex(start.key.as_bytes()),
        "keyset": start.keyset.to_string(),
        "mode": start.mode.as_str(),
        "not_after": start.not_after.secs(),
        "reason": start.reason.as_str(),
        "retention": start.retention.to_string(),
    })
}

fn retention(change: &RetentionChange) -> Value {
    let signers = change.signers.iter();
    json!({
        "digest": change.digest.to_string(),
        "mode": change.mode.as_str(),
        "number": change.number,
        "predecessor": change.predecessor.map(|digest| digest.to_string()),
        "signers": signers.map(|key| to_hex(key.as_bytes())).collect::<Vec<_>>(),
    })
}

fn purge(purged: &Purged) -> Value {
    json!({
        "count": purged.count,
        "kind": purged.kind.as_str(),
        "reason": purged.reason.as_str(),
    })
}

fn members(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
