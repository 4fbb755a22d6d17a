//! A receipt's content, and signing it. This is on the path of every request, so the canonical form is
//! written straight into one buffer.

use super::{Event, Receipt, UnsignedReceipt};
use crate::{aci::SigningKey, digest::Sha256Digest, json, time::UnixTime};

/// What a receipt says (§7.3), apart from who signed it.
///
/// For the receipt to be accepted its first event must be [`Event::RequestReceived`], and it must hold
/// exactly one [`Event::ResponseReturned`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptBody {
    /// The id under which it is looked up.
    pub receipt_id: String,
    /// The response's own `id`, where it has one.
    pub chat_id: Option<String>,
    /// The model the client asked for.
    pub model: Option<String>,
    /// The keyset that was active when it was signed.
    pub keyset_digest: Sha256Digest,
    /// Path of the request.
    pub endpoint: String,
    /// Method of the request.
    pub method: String,
    /// When, by the service's clock.
    pub served_at: UnixTime,
    /// What happened, in order.
    pub events: Vec<Event>,
}

impl ReceiptBody {
    /// Signs the receipt.
    pub fn sign(self, key: &SigningKey) -> Receipt {
        let unsigned = self.unsigned(key);
        let signature = key.sign(&unsigned.jcs);
        Receipt {
            key_id: key.key_id().to_owned(),
            signature,
            json: unsigned.with_signature(&signature),
            signed_jcs: unsigned.jcs,
            body: self,
        }
    }

    /// The complete document that this key is to sign later, or that the audit log proves instead.
    pub fn unsigned(&self, key: &SigningKey) -> UnsignedReceipt {
        let mut jcs = self.members_up_to_signature(key.key_id());
        let signature_goes_at = jcs.len();
        self.write_keyset_digest(&mut jcs);
        UnsignedReceipt {
            key_id: key.key_id().to_owned(),
            jcs,
            signature_goes_at,
        }
    }

    fn members_up_to_signature(&self, key_id: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(b"{\"api_version\":\"aci/1\",\"chat_id\":");
        json::write_string_or_null(&mut out, self.chat_id.as_deref());
        out.extend_from_slice(b",\"endpoint\":");
        json::write_string(&mut out, &self.endpoint);
        out.extend_from_slice(b",\"event_log\":");
        json::write_list(&mut out, &self.events, |out, event| event.write(out));
        out.extend_from_slice(b",\"key_id\":");
        json::write_string(&mut out, key_id);
        out.extend_from_slice(b",\"method\":");
        json::write_string(&mut out, &self.method);
        out.extend_from_slice(b",\"model\":");
        json::write_string_or_null(&mut out, self.model.as_deref());
        out.extend_from_slice(b",\"receipt_id\":");
        json::write_string(&mut out, &self.receipt_id);
        out.extend_from_slice(b",\"served_at\":");
        json::write_integer(&mut out, self.served_at.secs());
        out.push(b',');
        out
    }

    fn write_keyset_digest(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"workload_keyset_digest\":");
        self.keyset_digest.write_json(out);
        out.push(b'}');
    }
}
