//! Typed claims: what was proven about an upstream, kept apart by who says so (ACI/1 §8.3).

use serde_json::{Map, Value, json};

use crate::aci::{DocumentError, document::Members};
use crate::json::Expected;

/// The six claims, and facts in the verifier's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The channel ends in a genuine CPU TEE with the recorded identity.
    pub tee_attested: Claim,
    /// A confidential-computing GPU was verified for the channel.
    pub gpu_attested: Claim,
    /// The platform's TCB is fresh.
    pub tcb_up_to_date: Claim,
    /// The OS image is known to be good.
    pub os_known_good: Claim,
    /// The serving software is known to be good.
    pub serving_software_known_good: Claim,
    /// The weights are what they claim to be.
    pub model_weights_provenance: Claim,
    /// Inputs to the claims; themselves no claims.
    pub extra: Map<String, Value>,
}

/// One claim. Missing evidence is neither a pass nor a refutation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Claim {
    /// Nothing is known, or it is said in words we do not know (appendix B).
    #[default]
    Unknown,
    /// It holds.
    Asserted {
        /// Who says so.
        source: ClaimSource,
        /// The verifier's explanation.
        reason: Option<String>,
    },
    /// It does not hold.
    Refuted {
        /// Who says so.
        source: ClaimSource,
        /// The verifier's explanation.
        reason: Option<String>,
    },
}

/// Who stands behind a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimSource {
    /// A hardware root of trust.
    HardwareProven,
    /// The verifier, from what it verified.
    VerifierDerived,
    /// The provider's word.
    ProviderAsserted,
    /// The operator's word.
    OperatorAsserted,
}

impl ClaimSource {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HardwareProven => "hardware_proven",
            Self::VerifierDerived => "verifier_derived",
            Self::ProviderAsserted => "provider_asserted",
            Self::OperatorAsserted => "operator_asserted",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [
            Self::HardwareProven,
            Self::VerifierDerived,
            Self::ProviderAsserted,
            Self::OperatorAsserted,
        ]
        .into_iter()
        .find(|source| source.name() == name)
    }
}

impl Claims {
    pub(super) fn from_members(claims: &Members<'_>) -> Result<Self, DocumentError> {
        let extra = match claims.get("extra") {
            None => Map::new(),
            Some(Value::Object(extra)) => extra.clone(),
            Some(_) => {
                return Err(claims.wrong_type("extra", Expected::Object));
            }
        };
        Ok(Self {
            tee_attested: Claim::read(claims, "tee_attested")?,
            gpu_attested: Claim::read(claims, "gpu_attested")?,
            tcb_up_to_date: Claim::read(claims, "tcb_up_to_date")?,
            os_known_good: Claim::read(claims, "os_known_good")?,
            serving_software_known_good: Claim::read(claims, "serving_software_known_good")?,
            model_weights_provenance: Claim::read(claims, "model_weights_provenance")?,
            extra,
        })
    }

    pub(super) fn to_value(&self) -> Value {
        let mut claims = json!({
            "tee_attested": self.tee_attested.to_value(),
            "gpu_attested": self.gpu_attested.to_value(),
            "tcb_up_to_date": self.tcb_up_to_date.to_value(),
            "os_known_good": self.os_known_good.to_value(),
            "serving_software_known_good": self.serving_software_known_good.to_value(),
            "model_weights_provenance": self.model_weights_provenance.to_value(),
        });
        if !self.extra.is_empty() {
            claims["extra"] = Value::Object(self.extra.clone());
        }
        claims
    }
}

impl Claim {
    fn read(claims: &Members<'_>, name: &'static str) -> Result<Self, DocumentError> {
        if claims.get(name).is_none() {
            return Ok(Self::Unknown);
        }
        let claim = claims.object(name, "claims.claim")?;
        let status = claim.string("status")?;
        if !matches!(status, "asserted" | "refuted") {
            return Ok(Self::Unknown);
        }
        let Some(source) = ClaimSource::parse(claim.string("source")?) else {
            return Ok(Self::Unknown);
        };
        let reason = claim.optional_string("reason")?;
        Ok(if status == "asserted" {
            Self::Asserted { source, reason }
        } else {
            Self::Refuted { source, reason }
        })
    }

    fn to_value(&self) -> Value {
        let (status, source, reason) = match self {
            Self::Unknown => return json!({"status": "unknown"}),
            Self::Asserted { source, reason } => ("asserted", source, reason),
            Self::Refuted { source, reason } => ("refuted", source, reason),
        };
        let mut claim = json!({"status": status, "source": source.name()});
        if let Some(reason) = reason {
            claim["reason"] = json!(reason);
        }
        claim
    }
}
