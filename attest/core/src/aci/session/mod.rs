//! Attested sessions: what was verified about an upstream, content-addressed (ACI/1 §8).
//!
//! A session is immutable: its id is the digest of its canonical form. It proves nothing by itself;
//! a signed receipt that cites the id says that the service relied on exactly this record.

mod binding;
mod claims;
mod evidence;
mod parse;

pub use binding::ChannelBinding;
pub use claims::{Claim, ClaimSource, Claims};
pub use evidence::SessionEvidence;

use serde_json::{Map, Value, json};

use super::{API_VERSION, DocumentError};
use crate::{
    digest::{SessionId, Sha256Digest, sha256},
    json::{self, JsonError},
    time::UnixTime,
};

/// A session may be this long.
pub const MAX_SESSION_BYTES: usize = 8 * 1024 * 1024;

/// What a session says (§8.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The service's label for the upstream.
    pub upstream_name: String,
    /// The verified origin, where the channel has a single one.
    pub endpoint: Option<String>,
    /// Which verifier did it.
    pub verifier_id: String,
    /// Beginning of the validity period.
    pub established_at: UnixTime,
    /// End of the validity period, for new forwarding decisions.
    pub expires_at: UnixTime,
    /// Verified identity keys of the upstream, in the verifier's own terms.
    pub identity: Option<Value>,
    /// What was enforced on the connection.
    pub channel_binding: Vec<ChannelBinding>,
    /// What was proven, and by what.
    pub claims: Claims,
    /// The bytes that the verifier consumed.
    pub evidence: SessionEvidence,
}

/// A session record with its canonical form and its id, which can no longer change.
///
/// ```
/// use attest_core::{Claims, Session, SessionEvidence, SessionRecord, UnixTime};
/// let session = Session::new(SessionRecord {
///     upstream_name: "enclave-1".into(),
///     endpoint: Some("https://127.0.0.1:9443".into()),
///     verifier_id: "sealgate/1".into(),
///     established_at: UnixTime::from_secs(1_750_000_000),
///     expires_at: UnixTime::from_secs(1_750_003_600),
///     identity: None,
///     channel_binding: vec![],
///     claims: Claims::default(),
///     evidence: SessionEvidence { content_type: "text/plain".into(), bytes: b"e".to_vec() },
/// })
/// .unwrap();
/// assert_eq!(Session::parse(session.to_json().as_bytes()).unwrap().id(), session.id());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    record: SessionRecord,
    document: Value,
    id: SessionId,
}

/// Why a session was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Not a session document.
    #[error("session: {0}")]
    Document(#[from] DocumentError),
    /// It expires before it begins.
    #[error("the session expires at {expires_at}, before it was established at {established_at}")]
    Period {
        /// Beginning.
        established_at: UnixTime,
        /// End.
        expires_at: UnixTime,
    },
    /// `evidence.data` is not `data:<content-type>;base64,<…>`.
    #[error("evidence.data is not a base64 data URI")]
    DataUri,
    /// The evidence does not hash to its digest.
    #[error("evidence.digest is {claimed}, the evidence hashes to {computed}")]
    EvidenceDigest {
        /// What the record says.
        claimed: Sha256Digest,
        /// What its evidence hashes to.
        computed: Sha256Digest,
    },
    /// The record hashes to another id than the one it was asked for by.
    #[error("this is session {found}, not {wanted}")]
    Id {
        /// The id asked for.
        wanted: SessionId,
        /// The id of the record.
        found: SessionId,
    },
}

impl Session {
    /// Fixes a record. Numbers in `identity`, `claims.extra` and unknown bindings must be integers.
    pub fn new(record: SessionRecord) -> Result<Self, SessionError> {
        parse::check_period(record.established_at, record.expires_at)?;
        record.evidence.check_content_type()?;
        let document = document(&record);
        let jcs = json::canonicalize(&document).map_err(DocumentError::from)?;
        Ok(Self {
            id: SessionId::from_bytes(sha256(&jcs)),
            record,
            document,
        })
    }

    /// Reads a full record of at most [`MAX_SESSION_BYTES`]. Members we do not know are kept: the id
    /// covers them.
    pub fn parse(bytes: &[u8]) -> Result<Self, SessionError> {
        let document = json::parse(bytes, MAX_SESSION_BYTES).map_err(DocumentError::from)?;
        let record = parse::record(&document)?;
        Ok(Self {
            id: SessionId::from_bytes(sha256(&json::canonical_bytes(&document))),
            record,
            document,
        })
    }

    /// The content address.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Is this the session that was asked for?
    pub fn check_id(&self, wanted: SessionId) -> Result<(), SessionError> {
        if self.id == wanted {
            return Ok(());
        }
        Err(SessionError::Id {
            wanted,
            found: self.id,
        })
    }

    /// What it says.
    pub fn record(&self) -> &SessionRecord {
        &self.record
    }

    /// The canonical form, which is what the id is over.
    pub fn to_jcs(&self) -> Vec<u8> {
        json::canonical_bytes(&self.document)
    }

    /// The canonical form as text.
    pub fn to_json(&self) -> String {
        String::from_utf8(self.to_jcs()).expect("canonical JSON of strings is UTF-8")
    }

    /// The entry for the session list (§8.1): with its `session_id`, without `evidence.data`. It does not
    /// hash to its id.
    pub fn abbreviated_json(&self) -> Value {
        let mut entry = self.document.clone();
        if let Some(evidence) = entry.get_mut("evidence").and_then(Value::as_object_mut) {
            evidence.remove("data");
        }
        entry["session_id"] = self.id.to_hex().into();
        entry
    }
}

fn document(record: &SessionRecord) -> Value {
    let bindings = record.channel_binding.iter().map(ChannelBinding::to_value);
    let mut members = Map::from_iter([
        ("api_version".to_owned(), API_VERSION.into()),
        ("upstream_name".to_owned(), json!(record.upstream_name)),
        ("endpoint".to_owned(), json!(record.endpoint)),
        ("verifier_id".to_owned(), json!(record.verifier_id)),
        (
            "established_at".to_owned(),
            record.established_at.secs().into(),
        ),
        ("expires_at".to_owned(), record.expires_at.secs().into()),
        ("channel_binding".to_owned(), bindings.collect()),
        ("claims".to_owned(), record.claims.to_value()),
        ("evidence".to_owned(), record.evidence.to_value()),
    ]);
    if let Some(identity) = &record.identity {
        members.insert("identity".to_owned(), identity.clone());
    }
    Value::Object(members)
}

impl From<JsonError> for SessionError {
    fn from(error: JsonError) -> Self {
        Self::Document(error.into())
    }
}
