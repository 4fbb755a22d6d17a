//! dstack's event log: a JSON array of `{imr, event_type, digest, event, event_payload}`.
//!
//! Boot-time events (RTMR0 to RTMR2) are the CCEL's, copied; newer guests leave their payloads out,
//! and then the digest is all there is. Runtime events (RTMR3, type 0x08000001) are dstack's own
//! (`cc-eventlog/src/runtime_events.rs`), and their digest covers type, name and payload:
//!
//! - version 1, the default: SHA-384 of `type (u32, little-endian) ":" name ":" payload`;
//! - version 2: SHA-384 of the canonical JSON `{"name":…,"payload":"<hex>","type":134217729}`.
//!
//! Version 1 does not delimit a name that contains a colon, so such names are refused. A runtime
//! event may come without its digest, which is then computed. RTMR3 holds runtime events and
//! nothing else, or one of them could be passed off as a digest of something unknown. The names of
//! boot-time events are covered by nothing and dropped. Members `hash_input` and `preimage`, which
//! restate what is hashed, must restate it rightly.

use serde_json::{Value, json};

use super::binding::{self, DigestBound};
use super::error::DstackError;
use super::event::{LoggedEvent, Register};
use super::event_type::EventType;
use super::log::MAX_LOG_LEN;
use super::{Sha384, sha384};
use crate::encoding::{parse_hex, parse_hex_vec, to_hex};
use crate::json::{self, MemberError, Members};

const MEMBERS: [&str; 8] = [
    "imr",
    "event_type",
    "digest",
    "event",
    "event_payload",
    "version",
    "hash_input",
    "preimage",
];

pub(super) fn parse(bytes: &[u8]) -> Result<Vec<LoggedEvent>, DstackError> {
    let Value::Array(events) = json::parse(bytes, MAX_LOG_LEN)? else {
        return Err(DstackError::NotAnArray);
    };
    events
        .iter()
        .enumerate()
        .map(|(event, value)| Entry::new(event, value)?.read())
        .collect()
}

/// One event, still JSON.
struct Entry<'a> {
    event: usize,
    members: Members<'a, MemberError>,
}

impl<'a> Entry<'a> {
    fn new(event: usize, value: &'a Value) -> Result<Self, DstackError> {
        let members = Members::new(value, "").map_err(|_: MemberError| DstackError::NotAnArray)?;
        let known = members.only(&MEMBERS);
        known.map_err(|_| DstackError::UnknownMember { event })?;
        Ok(Self { event, members })
    }

    fn read(&self) -> Result<LoggedEvent, DstackError> {
        let event = self.event;
        let imr = self.number("imr")?;
        let register = Register::from_number(imr).ok_or(DstackError::Register { event, imr })?;
        let event_type = EventType::from_code(self.number("event_type")?);
        if (event_type == EventType::DSTACK_RUNTIME) != (register == Register::Rtmr3) {
            return Err(DstackError::WrongRegister {
                event,
                event_type,
                register,
            });
        }
        if register == Register::Rtmr3 {
            self.runtime_event(register)
        } else {
            self.boot_event(register, event_type)
        }
    }

    fn boot_event(
        &self,
        register: Register,
        event_type: EventType,
    ) -> Result<LoggedEvent, DstackError> {
        self.text("event")?;
        self.version()?;
        let payload = self.payload()?;
        let digest = self.digest()?.ok_or(self.wrong("digest"))?;
        let (register, bound) = match event_type {
            EventType::NO_ACTION => (None, DigestBound::Opaque),
            _ if payload.is_empty() => (Some(register), DigestBound::Opaque),
            _ => {
                let bound = binding::tcg_digest_bound(event_type, &payload, &digest);
                (Some(register), bound)
            }
        };
        Ok(LoggedEvent {
            position: self.event,
            register,
            event_type,
            name: None,
            digest,
            payload,
            bound,
        })
    }

    fn runtime_event(&self, register: Register) -> Result<LoggedEvent, DstackError> {
        let name = self.text("event")?;
        let payload = self.payload()?;
        let preimage = self.preimage(name, &payload)?;
        let computed = sha384(&[&preimage]);
        let digest = self.digest()?.unwrap_or(computed);
        Ok(LoggedEvent {
            position: self.event,
            register: Some(register),
            event_type: EventType::DSTACK_RUNTIME,
            name: Some(name.to_owned()),
            digest,
            payload,
            bound: if digest == computed {
                DigestBound::FromPayload
            } else {
                DigestBound::Mismatch
            },
        })
    }

    fn preimage(&self, name: &str, payload: &[u8]) -> Result<Vec<u8>, DstackError> {
        let code = EventType::DSTACK_RUNTIME.code();
        let preimage = match self.version()? {
            Version::V1 if name.contains(':') => {
                return Err(DstackError::AmbiguousName { event: self.event });
            }
            Version::V1 => {
                let code = code.to_le_bytes();
                [&code[..], b":", name.as_bytes(), b":", payload].concat()
            }
            Version::V2 => json::canonicalize(
                &json!({ "name": name, "payload": to_hex(payload), "type": code }),
            )?,
        };
        for restated in ["hash_input", "preimage"] {
            match self.members.get(restated) {
                None | Some(Value::Null) => {}
                Some(Value::String(hex)) if *hex == to_hex(&preimage) => {}
                Some(_) => return Err(DstackError::Preimage { event: self.event }),
            }
        }
        Ok(preimage)
    }

    fn version(&self) -> Result<Version, DstackError> {
        if self.members.get("version").is_none() {
            return Ok(Version::V1);
        }
        match self.number("version")? {
            1 => Ok(Version::V1),
            2 => Ok(Version::V2),
            version => Err(DstackError::Version {
                event: self.event,
                version,
            }),
        }
    }

    /// Nothing where it is left out or empty.
    fn digest(&self) -> Result<Option<Sha384>, DstackError> {
        if self.members.get("digest").is_none() {
            return Ok(None);
        }
        match self.text("digest")? {
            "" => Ok(None),
            hex => match parse_hex(hex) {
                Ok(digest) => Ok(Some(digest)),
                Err(error) => Err(DstackError::Hex {
                    event: self.event,
                    member: "digest",
                    error,
                }),
            },
        }
    }

    fn payload(&self) -> Result<Vec<u8>, DstackError> {
        const MEMBER: &str = "event_payload";
        parse_hex_vec(self.text(MEMBER)?, MAX_LOG_LEN).map_err(|error| DstackError::Hex {
            event: self.event,
            member: MEMBER,
            error,
        })
    }

    fn number<T: TryFrom<u64>>(&self, member: &'static str) -> Result<T, DstackError> {
        let number = self.members.unsigned(member);
        number.map_err(|error| self.wrong(error.member))
    }

    fn text(&self, member: &'static str) -> Result<&'a str, DstackError> {
        let text = self.members.string(member);
        text.map_err(|error| self.wrong(error.member))
    }

    const fn wrong(&self, member: &'static str) -> DstackError {
        DstackError::Member {
            event: self.event,
            member,
        }
    }
}

enum Version {
    V1,
    V2,
}
