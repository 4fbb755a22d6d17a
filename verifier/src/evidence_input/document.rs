//! Evidence with all inputs of its verification, as one JSON document. Every member but the evidence is optional:
//!
//! | member | what |
//! |---|---|
//! | `quote_b64`, or `snp_report_b64` with `snp_certs_b64` | the CPU's evidence |
//! | `report_data` | the 64 bytes it must contain, in hexadecimal |
//! | `event_log_b64` | a CCEL area or dstack's JSON |
//! | `devices` | as in a report |
//! | `gpu_nonce` | the nonce they were challenged with, in hexadecimal |
//! | `collateral` | as in a report |
//! | `policy` | TOML text, or the same as a JSON object |
//! | `at` | the time of the verification |

use serde_json::{Map, Value};

use super::EvidenceInput;
use crate::failure::Failure;
use crate::inputs::MAX_EVIDENCE;
use attest_core::nvidia::UnverifiedDevice;
use attest_core::{Collateral, CpuEvidence, DeviceEvidence, json, parse_base64, parse_hex};

const MEMBERS: [&str; 10] = [
    "quote_b64",
    "snp_report_b64",
    "snp_certs_b64",
    "report_data",
    "event_log_b64",
    "devices",
    "gpu_nonce",
    "collateral",
    "policy",
    "at",
];

/// The members of a document.
pub struct EvidenceDocument {
    pub presented: EvidenceInput,
    pub collateral: Option<Collateral>,
    /// Not parsed yet.
    pub policy: Option<Value>,
    pub at: Option<String>,
}

struct Members(Map<String, Value>);

fn wrong(cause: impl std::fmt::Display) -> String {
    cause.to_string()
}

impl EvidenceDocument {
    /// Parses a document; `name` is its name in messages.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, Failure> {
        Self::read(bytes).map_err(|cause| Failure::malformed(name, cause))
    }

    fn read(bytes: &[u8]) -> Result<Self, String> {
        let Value::Object(members) = json::parse(bytes, MAX_EVIDENCE).map_err(wrong)? else {
            return Err(wrong("not a JSON object"));
        };
        let mut names = members.keys();
        if let Some(name) = names.find(|name| !MEMBERS.contains(&name.as_str())) {
            return Err(wrong(format!("unknown member {name:?}")));
        }
        let members = Members(members);
        let collateral = members.0.get("collateral").map(Collateral::from_value);
        Ok(Self {
            presented: members.presented()?,
            collateral: collateral.transpose().map_err(wrong)?,
            policy: members.0.get("policy").cloned(),
            at: members.text("at")?.map(str::to_owned),
        })
    }
}

impl Members {
    fn presented(&self) -> Result<EvidenceInput, String> {
        let devices = self.0.get("devices").map(devices).transpose()?;
        let presented = EvidenceInput {
            subject: "the document".to_owned(),
            cpu: self.cpu()?,
            report_data: self.hex("report_data")?,
            event_log: self.bytes("event_log_b64")?,
            devices: devices.unwrap_or_default(),
            device_nonce: self.hex("gpu_nonce")?,
        };
        if presented.cpu.is_none() && presented.devices.is_empty() {
            return Err(wrong(
                "one of quote_b64, snp_report_b64 and devices is needed",
            ));
        }
        Ok(presented)
    }

    fn cpu(&self) -> Result<Option<CpuEvidence>, String> {
        let quote = self.bytes("quote_b64")?;
        let report = self.bytes("snp_report_b64")?;
        let certs = self.bytes("snp_certs_b64")?;
        match (quote, report, certs) {
            (Some(quote), None, None) => Ok(Some(CpuEvidence::Tdx { quote })),
            (None, Some(report), certs) => Ok(Some(CpuEvidence::SevSnp {
                report,
                certs: certs.unwrap_or_default(),
            })),
            (None, None, None) => Ok(None),
            (Some(_), Some(_), _) => Err(wrong("quote_b64 and snp_report_b64 exclude each other")),
            (_, None, Some(_)) => Err(wrong("snp_certs_b64 belongs to snp_report_b64")),
        }
    }

    fn text(&self, name: &str) -> Result<Option<&str>, String> {
        let value = self.0.get(name);
        value
            .map(|value| {
                let text = value.as_str();
                text.ok_or_else(|| wrong(format!("{name} is not a string")))
            })
            .transpose()
    }

    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        self.text(name)?
            .map(|text| parse_base64(text, MAX_EVIDENCE).map_err(|e| wrong(format!("{name}: {e}"))))
            .transpose()
    }

    fn hex<const N: usize>(&self, name: &str) -> Result<Option<[u8; N]>, String> {
        self.text(name)?
            .map(|text| parse_hex::<N>(text).map_err(|e| wrong(format!("{name}: {e}"))))
            .transpose()
    }
}

fn devices(value: &Value) -> Result<Vec<UnverifiedDevice>, String> {
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
