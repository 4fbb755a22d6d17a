//! What was enforced when connecting to the upstream (ACI/1 §8.2).

use serde_json::{Map, Value, json};

use crate::{
    aci::{DocumentError, document::Members},
    digest::SpkiDigest,
    encoding::to_hex,
};

const TLS: &str = "tls_spki_sha256";
const E2EE: &str = "e2ee_public_key_sha256";

/// One binding of the channel to what was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelBinding {
    /// `tls_spki_sha256`: the TLS key was pinned.
    TlsSpki {
        /// HTTPS origin.
        origin: String,
        /// The pinned key.
        spki_sha256: SpkiDigest,
    },
    /// `e2ee_public_key_sha256`: content was encrypted to this key.
    E2eePublicKey {
        /// Label of the provider.
        provider: String,
        /// The key's id.
        key_id: Option<String>,
        /// The algorithm.
        algorithm: String,
        /// Digest of the key.
        public_key_sha256: [u8; 32],
    },
    /// A type we do not know. It counts as nothing enforced (appendix B).
    Other(Value),
}

impl ChannelBinding {
    pub(super) fn from_value(value: &Value) -> Result<Self, DocumentError> {
        let binding = Members::new(value, "channel_binding")?;
        Ok(match binding.string("type")? {
            TLS => Self::TlsSpki {
                origin: binding.string("origin")?.to_owned(),
                spki_sha256: binding.encoded("spki_sha256", SpkiDigest::parse)?,
            },
            E2EE => Self::E2eePublicKey {
                provider: binding.string("provider")?.to_owned(),
                key_id: binding.optional_string("key_id")?,
                algorithm: binding.string("algorithm")?.to_owned(),
                public_key_sha256: binding.hex("public_key_sha256")?,
            },
            _ => Self::Other(value.clone()),
        })
    }

    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::TlsSpki {
                origin,
                spki_sha256,
            } => json!({"type": TLS, "origin": origin, "spki_sha256": spki_sha256.to_hex()}),
            Self::E2eePublicKey {
                provider,
                key_id,
                algorithm,
                public_key_sha256,
            } => {
                let mut members = Map::from_iter([
                    ("type".to_owned(), json!(E2EE)),
                    ("provider".to_owned(), json!(provider)),
                    ("algorithm".to_owned(), json!(algorithm)),
                    (
                        "public_key_sha256".to_owned(),
                        json!(to_hex(public_key_sha256)),
                    ),
                ]);
                if let Some(key_id) = key_id {
                    members.insert("key_id".to_owned(), json!(key_id));
                }
                Value::Object(members)
            }
            Self::Other(value) => value.clone(),
        }
    }
}
