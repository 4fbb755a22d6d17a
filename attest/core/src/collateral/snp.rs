//! AMD's collateral: the certificates behind an SNP report, as AMD's key distribution service gives
//! them out. A certificate table that comes with the report goes before it.

use serde_json::{Map, Value};

use super::CollateralError;
use super::read::Members;
use crate::encoding::to_base64;

const MAX_CERTIFICATE_LEN: usize = 8 << 10;
const MAX_CRL_LEN: usize = 256 << 10;

/// Certificates of a report's endorsement key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpCollateral {
    /// The endorsement key's certificate (VCEK or VLEK), DER.
    pub vek: Vec<u8>,
    /// The certificate of the key that signed it (ASK or ASVK), DER.
    pub ask: Vec<u8>,
    /// The root's revocation list, DER.
    pub crl: Option<Vec<u8>>,
}

impl SnpCollateral {
    /// Reads `{"vek_b64","ask_b64","crl_b64"?}`.
    pub fn from_value(value: &Value) -> Result<Self, CollateralError> {
        let members = Members::new(value, "SNP collateral")?;
        members.only(&["vek_b64", "ask_b64", "crl_b64"])?;
        Ok(Self {
            vek: members.base64("vek_b64", MAX_CERTIFICATE_LEN)?,
            ask: members.base64("ask_b64", MAX_CERTIFICATE_LEN)?,
            crl: members.base64_if_present("crl_b64", MAX_CRL_LEN)?,
        })
    }

    /// The JSON form, which [`SnpCollateral::from_value`] reads back.
    pub fn to_value(&self) -> Value {
        let mut members = Map::new();
        members.insert("vek_b64".into(), to_base64(&self.vek).into());
        members.insert("ask_b64".into(), to_base64(&self.ask).into());
        if let Some(crl) = &self.crl {
            members.insert("crl_b64".into(), to_base64(crl).into());
        }
        Value::Object(members)
    }
}
