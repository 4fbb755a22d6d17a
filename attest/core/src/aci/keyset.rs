//! The workload keyset: the service's cryptographic identity (ACI/1 §3.1).
//!
//! A keyset read here is well formed; that a TEE holds its private keys follows only from a quote whose
//! report data commits to its digest.

use serde_json::Value;

use super::{
    ED25519, KeysetError, VerifyingKey,
    document::{DocumentError, Members},
    keyset_rules,
};
use crate::{
    digest::{Sha256Digest, SpkiDigest},
    encoding::parse_hex,
    json,
    time::UnixTime,
};

/// A keyset may be this long.
pub const MAX_KEYSET_BYTES: usize = 64 * 1024;

/// The public keys of one workload, with a name and an expiry.
///
/// The shape is fixed: `subject` is a string or `null`, a TLS entry's `domain` is left out when there
/// is none, and there are no other members.
///
/// ```
/// use attest_core::{Keyset, SigningKey, UnixTime};
/// let key = SigningKey::from_seed("receipt-1", &[2; 32]).unwrap();
/// let keyset = Keyset {
///     subject: None,
///     not_after: UnixTime::from_secs(1_800_000_000),
///     receipt_signing_keys: vec![key.public_entry()],
///     e2ee_public_keys: vec![],
///     tls_public_keys: vec![],
/// };
/// assert_eq!(Keyset::parse(&keyset.to_jcs()), Ok(keyset.clone()));
/// assert!(keyset.receipt_key("receipt-1").is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyset {
    /// A name that only a policy can give meaning to.
    pub subject: Option<String>,
    /// The first second at which verifiers stop accepting this keyset.
    pub not_after: UnixTime,
    /// Keys that sign receipts, and in our profile the report.
    pub receipt_signing_keys: Vec<PublicKeyEntry>,
    /// Keys of separately specified encryption extensions.
    pub e2ee_public_keys: Vec<PublicKeyEntry>,
    /// TLS keys clients may pin.
    pub tls_public_keys: Vec<TlsKeyEntry>,
}

/// One key: an id, an algorithm name and the key in that algorithm's encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeyEntry {
    /// Id, unique within its role.
    pub key_id: String,
    /// Algorithm name; entries with an unknown one are ignored.
    pub algo: String,
    /// The key. For `ed25519`: 64 lowercase hex characters.
    pub public_key: String,
}

/// One TLS key, perhaps for one host only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsKeyEntry {
    /// SHA-256 of the DER SubjectPublicKeyInfo.
    pub spki_sha256: SpkiDigest,
    /// The one public host name this key is for.
    pub domain: Option<String>,
}

impl Keyset {
    /// Reads a keyset of at most [`MAX_KEYSET_BYTES`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KeysetError> {
        let value = json::parse(bytes, MAX_KEYSET_BYTES).map_err(DocumentError::from)?;
        Self::from_value(&value, "")
    }

    pub(crate) fn from_value(value: &Value, path: &'static str) -> Result<Self, KeysetError> {
        let members = Members::new(value, path)?;
        members.only(&[
            "subject",
            "not_after",
            "receipt_signing_keys",
            "e2ee_public_keys",
            "tls_public_keys",
        ])?;
        let keyset = Self {
            subject: members.string_or_null("subject")?,
            not_after: members.time("not_after")?,
            receipt_signing_keys: entries(&members, "receipt_signing_keys")?,
            e2ee_public_keys: entries(&members, "e2ee_public_keys")?,
            tls_public_keys: members
                .array("tls_public_keys")?
                .iter()
                .map(tls_entry)
                .collect::<Result<_, _>>()?,
        };
        keyset.check()?;
        Ok(keyset)
    }

    /// Checks the rules that a keyset put together in memory could break: ids are unique within a role,
    /// no key serves two roles, `ed25519` keys are well-formed hex.
    pub fn check(&self) -> Result<(), KeysetError> {
        keyset_rules::check(self)
    }

    /// The canonical form, which is what the digest is over.
    pub fn to_jcs(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(b"{\"e2ee_public_keys\":");
        write_entries(&mut out, &self.e2ee_public_keys);
        out.extend_from_slice(b",\"not_after\":");
        out.extend_from_slice(self.not_after.secs().to_string().as_bytes());
        out.extend_from_slice(b",\"receipt_signing_keys\":");
        write_entries(&mut out, &self.receipt_signing_keys);
        out.extend_from_slice(b",\"subject\":");
        json::write_string_or_null(&mut out, self.subject.as_deref());
        out.extend_from_slice(b",\"tls_public_keys\":");
        json::write_list(&mut out, &self.tls_public_keys, write_tls_entry);
        out.push(b'}');
        out
    }

    /// `sha256` of the canonical form: the workload keyset digest.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::hash(&self.to_jcs())
    }

    /// Is this TLS key attested for connections to `host`? An entry without a domain is for every host;
    /// host names compare without regard to ASCII case or a trailing dot.
    pub fn lists_tls_key(&self, spki: &SpkiDigest, host: &str) -> Result<(), KeysetError> {
        let mut listed = self
            .tls_public_keys
            .iter()
            .filter(|entry| entry.spki_sha256 == *spki)
            .peekable();
        if listed.peek().is_none() {
            return Err(KeysetError::TlsKeyNotListed { spki: *spki });
        }
        if listed.any(|entry| entry.is_for(host)) {
            return Ok(());
        }
        Err(KeysetError::TlsKeyNotForHost {
            host: host.to_owned(),
        })
    }

    /// The receipt-signing key with this id, if its algorithm is one we implement.
    pub fn receipt_key(&self, key_id: &str) -> Result<VerifyingKey, KeysetError> {
        let entry = self
            .receipt_signing_keys
            .iter()
            .find(|entry| entry.key_id == key_id)
            .ok_or_else(|| KeysetError::UnknownKey {
                key_id: key_id.to_owned(),
            })?;
        if entry.algo != ED25519 {
            return Err(KeysetError::UnsupportedAlgorithm {
                key_id: key_id.to_owned(),
                algo: entry.algo.clone(),
            });
        }
        let bytes = parse_hex(&entry.public_key).map_err(|error| DocumentError::Encoding {
            field: "receipt_signing_keys.public_key".to_owned(),
            error,
        })?;
        Ok(VerifyingKey::from_bytes(bytes))
    }
}

impl TlsKeyEntry {
    fn is_for(&self, host: &str) -> bool {
        let bare = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        match &self.domain {
            None => true,
            Some(domain) => bare(domain) == bare(host),
        }
    }
}

fn entries(
    members: &Members<'_>,
    role: &'static str,
) -> Result<Vec<PublicKeyEntry>, DocumentError> {
    members
        .array(role)?
        .iter()
        .map(|value| {
            let entry = Members::new(value, role)?;
            entry.only(&["key_id", "algo", "public_key"])?;
            Ok(PublicKeyEntry {
                key_id: entry.non_empty_string("key_id")?.to_owned(),
                algo: entry.non_empty_string("algo")?.to_owned(),
                public_key: entry.non_empty_string("public_key")?.to_owned(),
            })
        })
        .collect()
}

fn tls_entry(value: &Value) -> Result<TlsKeyEntry, DocumentError> {
    let entry = Members::new(value, "tls_public_keys")?;
    entry.only(&["spki_sha256", "domain"])?;
    Ok(TlsKeyEntry {
        spki_sha256: entry.encoded("spki_sha256", SpkiDigest::parse)?,
        domain: entry.string_if_present("domain")?,
    })
}

fn write_entries(out: &mut Vec<u8>, entries: &[PublicKeyEntry]) {
    json::write_list(out, entries, |out, entry| {
        out.extend_from_slice(b"{\"algo\":");
        json::write_string(out, &entry.algo);
        out.extend_from_slice(b",\"key_id\":");
        json::write_string(out, &entry.key_id);
        out.extend_from_slice(b",\"public_key\":");
        json::write_string(out, &entry.public_key);
        out.push(b'}');
    });
}

fn write_tls_entry(out: &mut Vec<u8>, entry: &TlsKeyEntry) {
    out.push(b'{');
    if let Some(domain) = &entry.domain {
        out.extend_from_slice(b"\"domain\":");
        json::write_string(out, domain);
        out.push(b',');
    }
    out.extend_from_slice(b"\"spki_sha256\":");
    json::write_string(out, &entry.spki_sha256.to_hex());
    out.push(b'}');
}
