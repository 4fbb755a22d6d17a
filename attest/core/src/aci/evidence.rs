//! `attestation.evidence` in the profile's layout: what came out of the machine, as bytes.
//!
//! Nothing here is verified. Reading it decides only that the bytes are where they belong.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    ReportError,
    document::{DocumentError, Members},
};
use crate::{
    collateral::Collateral,
    encoding::{parse_base64, to_base64},
    json,
    profile::PROFILE_ID,
};

const MAX_CPU_EVIDENCE: usize = 64 * 1024;

/// The kinds of TEE that a report may come from (`attestation.tee_type`, ACI/1 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TeeType {
    /// Intel TDX: `"tdx"`.
    Tdx,
    /// AMD SEV-SNP: `"sev_snp"`.
    SevSnp,
}

impl TeeType {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tdx => "tdx",
            Self::SevSnp => "sev_snp",
        }
    }

    /// Reads a name; TEEs that ACI/1 does not enumerate are unsupported, not malformed.
    pub fn parse(name: &str) -> Result<Self, ReportError> {
        match name {
            "tdx" => Ok(Self::Tdx),
            "sev_snp" => Ok(Self::SevSnp),
            other => Err(ReportError::UnsupportedTee {
                found: other.to_owned(),
            }),
        }
    }
}

/// Evidence of the CPU, as the hardware made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpuEvidence {
    /// `{"type":"tdx","quote_b64":"…"}`.
    Tdx {
        /// The quote.
        quote: Vec<u8>,
    },
    /// `{"type":"sev_snp","report_b64":"…","certs_b64":"…"}`.
    SevSnp {
        /// The attestation report.
        report: Vec<u8>,
        /// The certificate table as the host handed it over; may be empty.
        certs: Vec<u8>,
    },
}

impl CpuEvidence {
    /// Which TEE this is evidence of.
    pub const fn tee_type(&self) -> TeeType {
        match self {
            Self::Tdx { .. } => TeeType::Tdx,
            Self::SevSnp { .. } => TeeType::SevSnp,
        }
    }

    fn from_members(cpu: &Members<'_>) -> Result<Self, ReportError> {
        let bytes = |name| cpu.encoded(name, |text| parse_base64(text, MAX_CPU_EVIDENCE));
        match TeeType::parse(cpu.string("type")?)? {
            TeeType::Tdx => Ok(Self::Tdx {
                quote: bytes("quote_b64")?,
            }),
            TeeType::SevSnp => Ok(Self::SevSnp {
                report: bytes("report_b64")?,
                certs: bytes("certs_b64")?,
            }),
        }
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Tdx { quote } => json!({"type": "tdx", "quote_b64": to_base64(quote)}),
            Self::SevSnp { report, certs } => json!({
                "type": "sev_snp",
                "report_b64": to_base64(report),
                "certs_b64": to_base64(certs),
            }),
        }
    }
}

/// Evidence of one device, kept as the JSON it is until a verifier for that device reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceEvidence(Value);

impl DeviceEvidence {
    /// Takes any JSON object whose numbers are integers.
    pub fn new(value: Value) -> Result<Self, DocumentError> {
        Members::new(&value, "evidence.devices")?;
        json::canonicalize(&value)?;
        Ok(Self(value))
    }

    /// The JSON.
    pub fn value(&self) -> &Value {
        &self.0
    }
}

/// Everything under `attestation.evidence`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceBundle {
    /// Evidence of the CPU.
    pub cpu: CpuEvidence,
    /// The boot event log, base64 of the platform's own format.
    pub event_log: Option<String>,
    /// Evidence of devices.
    pub devices: Vec<DeviceEvidence>,
    /// The exact text of documents whose digests the subject names: `config`, `retention`.
    pub documents: BTreeMap<String, String>,
    /// What verifies the evidence offline, when the client asked for it.
    pub collateral: Option<Collateral>,
}

impl EvidenceBundle {
    pub(crate) fn from_members(evidence: &Members<'_>) -> Result<Self, ReportError> {
        match evidence.get("profile").and_then(Value::as_str) {
            Some(PROFILE_ID) => {}
            found => {
                return Err(ReportError::UnsupportedProfile {
                    found: found.map(str::to_owned),
                });
            }
        }
        let cpu = evidence.object("cpu", "attestation.evidence.cpu")?;
        let devices = evidence.array("devices")?.iter().cloned();
        Ok(Self {
            cpu: CpuEvidence::from_members(&cpu)?,
            event_log: evidence.string_if_present("event_log")?,
            devices: devices.map(DeviceEvidence::new).collect::<Result<_, _>>()?,
            documents: documents(evidence.required("documents")?)?,
            collateral: match evidence.get("collateral") {
                None => None,
                Some(value) => Some(Collateral::from_value(value)?),
            },
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut members = Map::new();
        members.insert("profile".to_owned(), PROFILE_ID.into());
        members.insert("cpu".to_owned(), self.cpu.to_value());
        if let Some(event_log) = &self.event_log {
            members.insert("event_log".to_owned(), event_log.as_str().into());
        }
        let devices = self.devices.iter().map(|device| device.0.clone());
        members.insert("devices".to_owned(), Value::Array(devices.collect()));
        members.insert("documents".to_owned(), json!(self.documents));
        if let Some(collateral) = &self.collateral {
            members.insert("collateral".to_owned(), collateral.to_value());
        }
        Value::Object(members)
    }
}

fn documents(value: &Value) -> Result<BTreeMap<String, String>, DocumentError> {
    let wrong = |field: String, expected| DocumentError::WrongType { field, expected };
    let Value::Object(map) = value else {
        return Err(wrong(
            "attestation.evidence.documents".to_owned(),
            "an object",
        ));
    };
    map.iter()
        .map(|(name, text)| match text {
            Value::String(text) => Ok((name.clone(), text.clone())),
            _ => Err(wrong(
                format!("attestation.evidence.documents.{name}"),
                "a string",
            )),
        })
        .collect()
}
