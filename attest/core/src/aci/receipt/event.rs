//! What can be said to have happened to a request (ACI/1 §7.4, §7.5; profile event `policy.applied`).

use serde_json::Value;

use super::ReceiptError;
use crate::{
    aci::{DocumentError, document::Members},
    digest::{SessionId, Sha256Digest},
    json,
};

pub(super) const REQUEST_RECEIVED: &str = "request.received";
pub(super) const REQUEST_FORWARDED: &str = "request.forwarded";
pub(super) const UPSTREAM_VERIFIED: &str = "upstream.verified";
pub(super) const RESPONSE_RETURNED: &str = "response.returned";
pub(super) const POLICY_APPLIED: &str = "policy.applied";

const PATH: &str = "event_log";

/// One event. On the wire a flat object: `type`, and the fields of that type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `request.received`: the request body, exactly as it came in. Always the first event.
    RequestReceived {
        /// Digest of the body.
        body_hash: Sha256Digest,
    },
    /// `request.forwarded`: the bytes used for inference; absent when nothing was forwarded.
    RequestForwarded {
        /// Digest of the body.
        body_hash: Sha256Digest,
    },
    /// `upstream.verified` with `"result":"verified"`.
    UpstreamVerified {
        /// Did policy demand verification for this request?
        required: bool,
        /// The upstream's model.
        model_id: String,
        /// The session that holds what was verified.
        session_id: SessionId,
    },
    /// `upstream.verified` with `"result":"failed"`.
    UpstreamFailed {
        /// Did policy demand verification for this request?
        required: bool,
        /// The model asked for upstream.
        model_id: String,
        /// Why verification failed.
        reason: String,
        /// The service's label for the upstream.
        upstream_name: Option<String>,
    },
    /// `response.returned`: the response body, exactly as it went out.
    ResponseReturned {
        /// Digest of the body.
        body_hash: Sha256Digest,
    },
    /// `policy.applied` (profile): the active retention policy.
    PolicyApplied {
        /// Digest of the policy document.
        retention: Sha256Digest,
        /// The policy's mode.
        mode: String,
        /// The service's epoch number.
        epoch: u64,
    },
    /// An event of a type we do not know; verifiers ignore it.
    Other(OtherEvent),
}

/// An event of an implementation's own: an object with a `type` that is not already defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherEvent(Value);

impl OtherEvent {
    /// Takes an object that has a `type`, in which every number is an integer.
    pub fn new(value: Value) -> Result<Self, ReceiptError> {
        json::canonicalize(&value).map_err(DocumentError::from)?;
        let event = Members::new(&value, PATH)?.non_empty_string("type")?;
        let defined = [
            REQUEST_RECEIVED,
            REQUEST_FORWARDED,
            UPSTREAM_VERIFIED,
            RESPONSE_RETURNED,
            POLICY_APPLIED,
        ];
        if defined.contains(&event) {
            return Err(ReceiptError::ReservedEvent {
                event: event.to_owned(),
            });
        }
        Ok(Self(value))
    }

    /// The event as JSON.
    pub fn value(&self) -> &Value {
        &self.0
    }
}

impl Event {
    /// The `type` on the wire.
    pub fn type_name(&self) -> &str {
        match self {
            Self::RequestReceived { .. } => REQUEST_RECEIVED,
            Self::RequestForwarded { .. } => REQUEST_FORWARDED,
            Self::UpstreamVerified { .. } | Self::UpstreamFailed { .. } => UPSTREAM_VERIFIED,
            Self::ResponseReturned { .. } => RESPONSE_RETURNED,
            Self::PolicyApplied { .. } => POLICY_APPLIED,
            Self::Other(event) => event.0["type"].as_str().unwrap_or_default(),
        }
    }

    pub(super) fn from_value(value: &Value) -> Result<Self, ReceiptError> {
        let event = Members::new(value, PATH)?;
        let body_hash = || event.digest("body_hash");
        Ok(match event.non_empty_string("type")? {
            REQUEST_RECEIVED => Self::RequestReceived {
                body_hash: body_hash()?,
            },
            REQUEST_FORWARDED => Self::RequestForwarded {
                body_hash: body_hash()?,
            },
            RESPONSE_RETURNED => Self::ResponseReturned {
                body_hash: body_hash()?,
            },
            UPSTREAM_VERIFIED => upstream(&event)?,
            POLICY_APPLIED => Self::PolicyApplied {
                retention: event.digest("retention")?,
                mode: event.non_empty_string("mode")?.to_owned(),
                epoch: event.unsigned("epoch")?,
            },
            _ => Self::Other(OtherEvent(value.clone())),
        })
    }

    /// Appends the canonical form.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::RequestReceived { body_hash }
            | Self::RequestForwarded { body_hash }
            | Self::ResponseReturned { body_hash } => {
                out.extend_from_slice(b"{\"body_hash\":");
                body_hash.write_json(out);
                write_type(out, self.type_name());
            }
            Self::UpstreamVerified {
                required,
                model_id,
                session_id,
            } => {
                out.extend_from_slice(b"{\"model_id\":");
                json::write_string(out, model_id);
                write_required(out, *required);
                out.extend_from_slice(b",\"result\":\"verified\",\"session_id\":");
                json::write_string(out, &session_id.to_hex());
                write_type(out, UPSTREAM_VERIFIED);
            }
            Self::UpstreamFailed {
                required,
                model_id,
                reason,
                upstream_name,
            } => {
                out.extend_from_slice(b"{\"model_id\":");
                json::write_string(out, model_id);
                out.extend_from_slice(b",\"reason\":");
                json::write_string(out, reason);
                write_required(out, *required);
                out.extend_from_slice(b",\"result\":\"failed\"");
                write_type(out, UPSTREAM_VERIFIED);
                if let Some(name) = upstream_name {
                    out.pop();
                    out.extend_from_slice(b",\"upstream_name\":");
                    json::write_string(out, name);
                    out.push(b'}');
                }
            }
            Self::PolicyApplied {
                retention,
                mode,
                epoch,
            } => {
                out.extend_from_slice(b"{\"epoch\":");
                json::write_integer(out, *epoch);
                out.extend_from_slice(b",\"mode\":");
                json::write_string(out, mode);
                out.extend_from_slice(b",\"retention\":");
                retention.write_json(out);
                write_type(out, POLICY_APPLIED);
            }
            Self::Other(event) => json::write_canonical(out, &event.0),
        }
    }
}

fn write_required(out: &mut Vec<u8>, required: bool) {
    out.extend_from_slice(b",\"required\":");
    out.extend_from_slice(if required { b"true" } else { b"false" });
}

/// `type` is the last member of almost every event, so this closes the object.
fn write_type(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"type\":");
    json::write_string(out, name);
    out.push(b'}');
}

fn upstream(event: &Members<'_>) -> Result<Event, DocumentError> {
    let required = event.boolean("required")?;
    let model_id = event.string("model_id")?.to_owned();
    match event.string("result")? {
        "verified" => Ok(Event::UpstreamVerified {
            required,
            model_id,
            session_id: event.encoded("session_id", SessionId::parse)?,
        }),
        "failed" => Ok(Event::UpstreamFailed {
            required,
            model_id,
            reason: event.string("reason")?.to_owned(),
            upstream_name: event.optional_string("upstream_name")?,
        }),
        other => event.unknown_value("result", other),
    }
}
