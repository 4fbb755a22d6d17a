//! Collateral: what a vendor signed about its platforms, needed to judge evidence offline.
//!
//! For TDX these are the nine parts of `sgx_ql_qve_collateral_t` (Intel DCAP quote verification
//! library), in the JSON form that dcap-qvl and its users exchange. `tcb_info` and `qe_identity`
//! are kept as the exact text that was signed. Nothing here is believed: every part is checked
//! against a root when evidence is verified.

use serde_json::{Map, Value};

use crate::encoding::{EncodingError, parse_hex, parse_hex_vec, to_hex};
use crate::json::{self, JsonError};

/// The most a collateral document may weigh.
pub const MAX_COLLATERAL_LEN: usize = 1 << 20;
const MAX_CRL_LEN: usize = 512 << 10;

/// All collateral that came with some evidence or was fetched for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collateral {
    /// Intel's, for TDX quotes.
    pub tdx: Option<TdxCollateral>,
}

/// The nine parts Intel's verification needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxCollateral {
    /// PEM certificates of the authority that signs the PCK revocation list, issuer first.
    pub pck_crl_issuer_chain: String,
    /// DER revocation list of the root.
    pub root_ca_crl: Vec<u8>,
    /// DER revocation list of the PCK authority.
    pub pck_crl: Vec<u8>,
    /// PEM certificates of the TCB info signer, leaf first.
    pub tcb_info_issuer_chain: String,
    /// The exact signed text.
    pub tcb_info: String,
    /// ECDSA P-256 signature, `r || s`.
    pub tcb_info_signature: [u8; 64],
    /// PEM certificates of the QE identity signer, leaf first.
    pub qe_identity_issuer_chain: String,
    /// The exact signed text.
    pub qe_identity: String,
    /// ECDSA P-256 signature, `r || s`.
    pub qe_identity_signature: [u8; 64],
}

/// Why bytes are not collateral.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollateralError {
    /// Not strict JSON, or too large.
    #[error("the collateral is not acceptable JSON: {0}")]
    Json(#[from] JsonError),
    /// A JSON object was expected.
    #[error("{0} must be a JSON object")]
    NotAnObject(&'static str),
    /// A member is missing.
    #[error("the collateral has no {0}")]
    Missing(&'static str),
    /// A member that this format does not have.
    #[error("the collateral has an unknown member")]
    Unknown(String),
    /// A member that must be a string.
    #[error("the collateral's {0} must be a string")]
    NotAString(&'static str),
    /// A hexadecimal member that is not canonical or has a wrong length.
    #[error("the collateral's {field} is not acceptable hexadecimal: {error}")]
    Hex {
        /// Which member.
        field: &'static str,
        /// What is wrong with it.
        error: EncodingError,
    },
}

impl Collateral {
    /// Reads `{"tdx": {…}}`.
    pub fn parse(bytes: &[u8]) -> Result<Self, CollateralError> {
        Self::from_value(&json::parse(bytes, MAX_COLLATERAL_LEN)?)
    }

    /// The same from JSON already parsed.
    pub fn from_value(value: &Value) -> Result<Self, CollateralError> {
        let members = object(value, "the collateral")?;
        refuse_unknown(members, &["tdx"])?;
        let tdx = members
            .get("tdx")
            .map(TdxCollateral::from_value)
            .transpose()?;
        Ok(Self { tdx })
    }

    /// The JSON form, which [`Collateral::from_value`] reads back.
    pub fn to_value(&self) -> Value {
        let mut members = Map::new();
        if let Some(tdx) = &self.tdx {
            members.insert("tdx".into(), tdx.to_value());
        }
        Value::Object(members)
    }
}

impl From<TdxCollateral> for Collateral {
    fn from(tdx: TdxCollateral) -> Self {
        Self { tdx: Some(tdx) }
    }
}

const FIELDS: [&str; 9] = [
    "pck_crl_issuer_chain",
    "root_ca_crl",
    "pck_crl",
    "tcb_info_issuer_chain",
    "tcb_info",
    "tcb_info_signature",
    "qe_identity_issuer_chain",
    "qe_identity",
    "qe_identity_signature",
];
/// A tenth member that dcap-qvl's tool writes. It is read past: the PCK chain that counts is the
/// one inside the quote.
const IGNORED_FIELD: &str = "pck_certificate_chain";

impl TdxCollateral {
    /// Reads the nine members, bare.
    pub fn parse(bytes: &[u8]) -> Result<Self, CollateralError> {
        Self::from_value(&json::parse(bytes, MAX_COLLATERAL_LEN)?)
    }

    /// The same from JSON already parsed.
    pub fn from_value(value: &Value) -> Result<Self, CollateralError> {
        let members = object(value, "TDX collateral")?;
        if let Some(unknown) = members
            .keys()
            .find(|key| !FIELDS.contains(&key.as_str()) && key.as_str() != IGNORED_FIELD)
        {
            return Err(CollateralError::Unknown(unknown.clone()));
        }
        Ok(Self {
            pck_crl_issuer_chain: text(members, "pck_crl_issuer_chain")?.to_owned(),
            root_ca_crl: bytes(members, "root_ca_crl")?,
            pck_crl: bytes(members, "pck_crl")?,
            tcb_info_issuer_chain: text(members, "tcb_info_issuer_chain")?.to_owned(),
            tcb_info: text(members, "tcb_info")?.to_owned(),
            tcb_info_signature: signature(members, "tcb_info_signature")?,
            qe_identity_issuer_chain: text(members, "qe_identity_issuer_chain")?.to_owned(),
            qe_identity: text(members, "qe_identity")?.to_owned(),
            qe_identity_signature: signature(members, "qe_identity_signature")?,
        })
    }

    /// The JSON form, which [`TdxCollateral::from_value`] reads back.
    pub fn to_value(&self) -> Value {
        serde_json::json!({
            "pck_crl_issuer_chain": self.pck_crl_issuer_chain,
            "root_ca_crl": to_hex(&self.root_ca_crl),
            "pck_crl": to_hex(&self.pck_crl),
            "tcb_info_issuer_chain": self.tcb_info_issuer_chain,
            "tcb_info": self.tcb_info,
            "tcb_info_signature": to_hex(&self.tcb_info_signature),
            "qe_identity_issuer_chain": self.qe_identity_issuer_chain,
            "qe_identity": self.qe_identity,
            "qe_identity_signature": to_hex(&self.qe_identity_signature),
        })
    }
}

fn object<'a>(
    value: &'a Value,
    what: &'static str,
) -> Result<&'a Map<String, Value>, CollateralError> {
    value.as_object().ok_or(CollateralError::NotAnObject(what))
}

fn refuse_unknown(members: &Map<String, Value>, known: &[&str]) -> Result<(), CollateralError> {
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => Err(CollateralError::Unknown(unknown.clone())),
        None => Ok(()),
    }
}

fn text<'a>(
    members: &'a Map<String, Value>,
    field: &'static str,
) -> Result<&'a str, CollateralError> {
    members
        .get(field)
        .ok_or(CollateralError::Missing(field))?
        .as_str()
        .ok_or(CollateralError::NotAString(field))
}

fn bytes(members: &Map<String, Value>, field: &'static str) -> Result<Vec<u8>, CollateralError> {
    parse_hex_vec(text(members, field)?, MAX_CRL_LEN)
        .map_err(|error| CollateralError::Hex { field, error })
}

fn signature(
    members: &Map<String, Value>,
    field: &'static str,
) -> Result<[u8; 64], CollateralError> {
    parse_hex::<64>(text(members, field)?).map_err(|error| CollateralError::Hex { field, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> TdxCollateral {
        TdxCollateral {
            pck_crl_issuer_chain: "chain a".into(),
            root_ca_crl: vec![1, 2, 3],
            pck_crl: vec![4, 5],
            tcb_info_issuer_chain: "chain b".into(),
            tcb_info: "{\"id\":\"TDX\"}".into(),
            tcb_info_signature: [7; 64],
            qe_identity_issuer_chain: "chain c".into(),
            qe_identity: "{}".into(),
            qe_identity_signature: [9; 64],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let collateral = Collateral::from(sample());
        assert_eq!(
            Collateral::parse(collateral.to_value().to_string().as_bytes()),
            Ok(collateral)
        );
        assert_eq!(
            TdxCollateral::parse(sample().to_value().to_string().as_bytes()),
            Ok(sample())
        );
        assert_eq!(Collateral::parse(b"{}"), Ok(Collateral::default()));
    }

    #[test]
    fn each_missing_member_is_named() {
        for field in FIELDS {
            let mut value = sample().to_value();
            value.as_object_mut().unwrap().remove(field);
            assert_eq!(
                TdxCollateral::from_value(&value),
                Err(CollateralError::Missing(field))
            );
            value[field] = Value::from(5);
            assert_eq!(
                TdxCollateral::from_value(&value),
                Err(CollateralError::NotAString(field))
            );
        }
    }

    #[test]
    fn unknown_members_are_refused_and_a_tenth_one_is_read_past() {
        let mut value = sample().to_value();
        value["pck_certificate_chain"] = Value::from("whatever");
        assert_eq!(TdxCollateral::from_value(&value), Ok(sample()));
        value["tcbinfo"] = Value::from("x");
        assert_eq!(
            TdxCollateral::from_value(&value),
            Err(CollateralError::Unknown("tcbinfo".into()))
        );
        assert_eq!(
            Collateral::parse(b"{\"snp\":{}}"),
            Err(CollateralError::Unknown("snp".into()))
        );
    }

    #[test]
    fn hexadecimal_is_canonical_and_of_the_right_length() {
        for (field, text) in [
            ("tcb_info_signature", "00"),
            ("qe_identity_signature", "zz"),
            ("pck_crl", "0A"),
            ("root_ca_crl", "0"),
        ] {
            let mut value = sample().to_value();
            value[field] = Value::from(text);
            let refused = TdxCollateral::from_value(&value);
            assert!(
                matches!(&refused, Err(CollateralError::Hex { field: named, .. }) if *named == field),
                "{refused:?}"
            );
        }
    }
}
