//! Collateral: what vendors signed about their platforms, needed to verify evidence offline.
//!
//! One document for all kinds of evidence, each part left out where it is not needed. Nothing here
//! is believed: every part is checked against a root when evidence is verified.

mod nvidia;
mod read;
mod snp;
mod tdx;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::encoding::EncodingError;
use crate::json::{self, JsonError};

pub use nvidia::{MAX_OCSP_LEN, MAX_RIM_LEN, NvidiaCollateral};
pub use snp::SnpCollateral;
pub use tdx::TdxCollateral;

use read::Members;

/// The most a collateral document may weigh.
pub const MAX_COLLATERAL_LEN: usize = 2 << 20;

/// All collateral that came with some evidence or was fetched for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collateral {
    /// Intel's, for TDX quotes.
    pub tdx: Option<TdxCollateral>,
    /// AMD's, for SEV-SNP reports.
    pub snp: Option<SnpCollateral>,
    /// NVIDIA's, for GPUs and switches.
    pub nvidia: Option<NvidiaCollateral>,
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
    /// A member that must be a list.
    #[error("the collateral's {0} must be a list")]
    NotAList(&'static str),
    /// A list with more entries than any machine needs.
    #[error("the collateral's {0} has too many entries")]
    TooMany(&'static str),
    /// A base64 member that is not canonical or too long.
    #[error("the collateral's {field} is not acceptable base64: {error}")]
    Base64 {
        /// Which member.
        field: &'static str,
        /// What is wrong with it.
        error: EncodingError,
    },
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
    /// Reads `{"tdx": {…}, "snp": {…}, "nvidia": {…}}`, each where it is needed.
    pub fn parse(bytes: &[u8]) -> Result<Self, CollateralError> {
        Self::from_value(&json::parse(bytes, MAX_COLLATERAL_LEN)?)
    }

    /// The same from JSON already parsed.
    pub fn from_value(value: &Value) -> Result<Self, CollateralError> {
        let members = Members::new(value, "the collateral")?;
        members.only(&["tdx", "snp", "nvidia"])?;
        let part = |name| members.get(name);
        Ok(Self {
            tdx: part("tdx").map(TdxCollateral::from_value).transpose()?,
            snp: part("snp").map(SnpCollateral::from_value).transpose()?,
            nvidia: part("nvidia")
                .map(NvidiaCollateral::from_value)
                .transpose()?,
        })
    }

    /// Each part of `self`; for a part that it lacks, that of `other`.
    pub fn or(self, other: Self) -> Self {
        Self {
            tdx: self.tdx.or(other.tdx),
            snp: self.snp.or(other.snp),
            nvidia: self.nvidia.or(other.nvidia),
        }
    }

    /// The JSON form, which [`Collateral::from_value`] reads back.
    pub fn to_value(&self) -> Value {
        let parts = [
            ("tdx", self.tdx.as_ref().map(TdxCollateral::to_value)),
            ("snp", self.snp.as_ref().map(SnpCollateral::to_value)),
            (
                "nvidia",
                self.nvidia.as_ref().map(NvidiaCollateral::to_value),
            ),
        ];
        let present = parts
            .into_iter()
            .filter_map(|(name, part)| Some((name.to_owned(), part?)));
        Value::Object(Map::from_iter(present))
    }
}

impl From<TdxCollateral> for Collateral {
    fn from(tdx: TdxCollateral) -> Self {
        Self {
            tdx: Some(tdx),
            ..Self::default()
        }
    }
}

impl From<SnpCollateral> for Collateral {
    fn from(snp: SnpCollateral) -> Self {
        Self {
            snp: Some(snp),
            ..Self::default()
        }
    }
}

impl From<NvidiaCollateral> for Collateral {
    fn from(nvidia: NvidiaCollateral) -> Self {
        Self {
            nvidia: Some(nvidia),
            ..Self::default()
        }
    }
}
