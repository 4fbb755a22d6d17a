//! A case as one JSON document:
//!
//! `{"quote_b64" | "snp_report_b64", "snp_certs_b64"? | "devices", "gpu_nonce"?, "collateral"?,
//! "policy"?, "at"?}`, devices and collateral as a report carries them, the policy as TOML text.

use attest_core::nvidia::UnverifiedDevice;
use attest_core::{Collateral, DeviceEvidence, json, parse_base64, parse_hex};
use serde_json::{Map, Value};

use super::{Case, Presented};
use crate::failure::Failure;
use crate::inputs::MAX_EVIDENCE;

const MEMBERS: [&str; 8] = [
    "quote_b64",
    "snp_report_b64",
    "snp_certs_b64",
    "devices",
    "gpu_nonce",
    "collateral",
    "policy",
    "at",
];

pub(super) struct Document {
    members: Map<String, Value>,
    pub at: Option<String>,
    pub policy: Option<String>,
}

fn wrong(cause: impl std::fmt::Display) -> Failure {
    Failure::malformed("--input", cause)
}

impl Document {
    pub fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let Value::Object(members) = json::parse(bytes, MAX_EVIDENCE).map_err(wrong)? else {
            return Err(wrong("not a JSON object"));
        };
        if let Some(name) = members
            .keys()
            .find(|name| !MEMBERS.contains(&name.as_str()))
        {
            return Err(wrong(format!("unknown member {name:?}")));
        }
        let mut document = Self {
            members,
            at: None,
            policy: None,
        };
        document.at = document.text("at")?.map(str::to_owned);
        document.policy = document.text("policy")?.map(str::to_owned);
        Ok(document)
    }

    pub fn case(&self) -> Result<Case, Failure> {
        let quote = self.bytes("quote_b64")?;
        let report = self.bytes("snp_report_b64")?;
        let certs = self.bytes("snp_certs_b64")?;
        let presented = match (quote, report, certs, self.members.get("devices")) {
            (Some(quote), None, None, None) => Presented::Quote(quote),
            (None, Some(report), certs, None) => Presented::SnpReport {
                report,
                certs: certs.unwrap_or_default(),
            },
            (None, None, None, Some(devices)) => Presented::Devices(self::devices(devices)?),
            _ => {
                return Err(wrong(
                    "one of quote_b64, snp_report_b64 and devices is needed",
                ));
            }
        };
        let gpu_nonce = self.text("gpu_nonce")?.map(parse_hex::<32>).transpose();
        let collateral = self.members.get("collateral").map(Collateral::from_value);
        Ok(Case {
            subject: "the document".to_owned(),
            presented,
            gpu_nonce: gpu_nonce.map_err(|e| wrong(format!("gpu_nonce: {e}")))?,
            collateral: collateral.transpose().map_err(wrong)?.unwrap_or_default(),
        })
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        let value = self.members.get(name);
        value
            .map(|value| {
                let text = value.as_str();
                text.ok_or_else(|| wrong(format!("{name} is not a string")))
            })
            .transpose()
    }

    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.text(name)?
            .map(|text| parse_base64(text, MAX_EVIDENCE).map_err(|e| wrong(format!("{name}: {e}"))))
            .transpose()
    }
}

fn devices(value: &Value) -> Result<Vec<UnverifiedDevice>, Failure> {
    let entries = value
        .as_array()
        .ok_or_else(|| wrong("devices is not a list"))?;
    let read = |(index, entry): (usize, &Value)| {
        let device = DeviceEvidence::new(entry.clone())
            .map_err(|e| wrong(format!("device {index}: {e}")))?;
        UnverifiedDevice::from_evidence(&device).map_err(|e| wrong(format!("device {index}: {e}")))
    };
    entries.iter().enumerate().map(read).collect()
}
