//! Intel's collateral: the nine parts of `sgx_ql_qve_collateral_t` (Intel DCAP quote verification
//! library), in the JSON form that dcap-qvl and its users exchange. `tcb_info` and `qe_identity`
//! are kept as the exact text that was signed.

use serde_json::Value;

use super::read::Members;
use super::{CollateralError, MAX_COLLATERAL_LEN};
use crate::encoding::to_hex;
use crate::json::{self, Node};

const MAX_CRL_LEN: usize = 512 << 10;

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

pub(super) const FIELDS: [&str; 9] = [
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
        Self::from_node(&json::parse_borrowed(bytes, MAX_COLLATERAL_LEN)?)
    }

    /// The same from JSON already parsed.
    pub fn from_value(value: &Value) -> Result<Self, CollateralError> {
        Self::from_node(value)
    }

    fn from_node(value: &impl Node) -> Result<Self, CollateralError> {
        let members = Members::new(value, "TDX collateral")?;
        members.only(&[&FIELDS[..], &[IGNORED_FIELD]].concat())?;
        Ok(Self {
            pck_crl_issuer_chain: members.string("pck_crl_issuer_chain")?.to_owned(),
            root_ca_crl: members.hex_bytes("root_ca_crl", MAX_CRL_LEN)?,
            pck_crl: members.hex_bytes("pck_crl", MAX_CRL_LEN)?,
            tcb_info_issuer_chain: members.string("tcb_info_issuer_chain")?.to_owned(),
            tcb_info: members.string("tcb_info")?.to_owned(),
            tcb_info_signature: members.hex_array("tcb_info_signature")?,
            qe_identity_issuer_chain: members.string("qe_identity_issuer_chain")?.to_owned(),
            qe_identity: members.string("qe_identity")?.to_owned(),
            qe_identity_signature: members.hex_array("qe_identity_signature")?,
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
