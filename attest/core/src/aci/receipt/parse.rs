//! Parses a receipt (ACI/1 §7). Its signature is verified elsewhere.

use serde_json::Value;

use super::{
    Event, MAX_RECEIPT_BYTES, Receipt, ReceiptBody, ReceiptError,
    event::{REQUEST_FORWARDED, REQUEST_RECEIVED, RESPONSE_RETURNED},
};
use crate::{
    aci::{DocumentError, document::Members},
    json,
};

pub(super) fn receipt(bytes: &[u8]) -> Result<Receipt, ReceiptError> {
    let mut value = json::parse(bytes, MAX_RECEIPT_BYTES).map_err(DocumentError::from)?;
    let document = Members::new(&value, "")?;
    let (body, key_id) = members(&document)?;
    let signature = document.hex("signature")?;

    let json = String::from_utf8(json::canonical_bytes(&value))
        .expect("canonical JSON of strings is UTF-8");
    if let Value::Object(members) = &mut value {
        members.remove("signature");
    }
    Ok(Receipt {
        body,
        key_id,
        signature,
        signed_jcs: json::canonical_bytes(&value),
        json,
    })
}

/// The members of a receipt of any kind: what it says, and the key that it names.
pub(crate) fn members(document: &Members<'_>) -> Result<(ReceiptBody, String), ReceiptError> {
    document.version()?;
    let key_id = document.non_empty_string("key_id")?.to_owned();
    let body = body(document)?;
    check_events(&body.events)?;
    Ok((body, key_id))
}

fn body(document: &Members<'_>) -> Result<ReceiptBody, ReceiptError> {
    Ok(ReceiptBody {
        receipt_id: document.non_empty_string("receipt_id")?.to_owned(),
        chat_id: document.optional_string("chat_id")?,
        model: document.optional_string("model")?,
        keyset_digest: document.digest("workload_keyset_digest")?,
        endpoint: document.non_empty_string("endpoint")?.to_owned(),
        method: document.non_empty_string("method")?.to_owned(),
        served_at: document.time("served_at")?,
        events: document
            .array("event_log")?
            .iter()
            .map(Event::from_value)
            .collect::<Result<_, _>>()?,
    })
}

/// `request.received` first; it and `response.returned` exactly once, `request.forwarded` at most once,
/// so that "the" request and "the" response have one meaning. (§7.3, §7.4)
pub(super) fn check_events(events: &[Event]) -> Result<(), ReceiptError> {
    let first = events.first().map(Event::type_name);
    if first != Some(REQUEST_RECEIVED) {
        return Err(ReceiptError::FirstEvent {
            found: first.map(str::to_owned),
        });
    }
    for event in [REQUEST_RECEIVED, REQUEST_FORWARDED, RESPONSE_RETURNED] {
        match events.iter().filter(|e| e.type_name() == event).count() {
            0 if event == RESPONSE_RETURNED => return Err(ReceiptError::MissingEvent { event }),
            0 | 1 => {}
            _ => return Err(ReceiptError::RepeatedEvent { event }),
        }
    }
    Ok(())
}
