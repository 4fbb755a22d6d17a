//! NVIDIA's collateral: reference integrity manifests and revocation answers for the devices of one
//! machine, in any order. Which is for what they say themselves.

use serde_json::{Value, json};

use super::CollateralError;
use super::read::Members;
use crate::encoding::to_base64;

/// The most a manifest may weigh; real ones are near 21 KiB.
pub const MAX_RIM_LEN: usize = 256 << 10;
/// The most a response may weigh.
pub const MAX_OCSP_LEN: usize = 16 << 10;

/// One manifest of a driver and a few of firmware are what a machine has.
const MAX_RIMS: usize = 32;
/// Three certificates of every device.
const MAX_OCSP: usize = 128;

/// Manifests and revocation answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NvidiaCollateral {
    /// Reference integrity manifests, XML.
    pub rims: Vec<Vec<u8>>,
    /// OCSP responses, DER.
    pub ocsp: Vec<Vec<u8>>,
}

impl NvidiaCollateral {
    /// Reads `{"rims":[…],"ocsp":[…]}`; a list that is left out is empty.
    pub fn from_value(value: &Value) -> Result<Self, CollateralError> {
        let members = Members::new(value, "NVIDIA collateral")?;
        members.only(&["rims", "ocsp"])?;
        Ok(Self {
            rims: members.base64_list("rims", MAX_RIMS, MAX_RIM_LEN)?,
            ocsp: members.base64_list("ocsp", MAX_OCSP, MAX_OCSP_LEN)?,
        })
    }

    /// The JSON form, which [`NvidiaCollateral::from_value`] reads back.
    pub fn to_value(&self) -> Value {
        let encoded = |list: &[Vec<u8>]| list.iter().map(|it| to_base64(it)).collect::<Vec<_>>();
        json!({ "rims": encoded(&self.rims), "ocsp": encoded(&self.ocsp) })
    }
}
