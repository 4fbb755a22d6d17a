//! Assembles a report and signs it, for services.

use serde_json::{Map, Value, json};

use super::{Report, ReportSignature, Serving, SourceProvenance};
use crate::{
    aci::{API_VERSION, EvidenceBundle, Keyset, SigningKey, TeeType},
    encoding::to_hex,
    json,
    profile::report_message,
};

/// A report before it is signed.
pub struct UnsignedReport {
    /// The keyset that the evidence commits to.
    pub keyset: Keyset,
    /// Which TEE made the evidence.
    pub tee_type: TeeType,
    /// SHA-256 of the attestation statement.
    pub report_data: [u8; 32],
    /// What is claimed about the source of the code.
    pub provenance: SourceProvenance,
    /// The evidence.
    pub evidence: EvidenceBundle,
    /// Direct service or aggregator.
    pub serving: Serving,
}

impl UnsignedReport {
    /// Signs the whole report. The key should be one that the keyset lists: the result of another
    /// key's signing does not verify.
    pub fn sign(self, key: &SigningKey) -> Report {
        let keyset_digest = self.keyset.digest();
        let mut document = self.document(&keyset_digest.to_string());
        let unsigned_jcs = json::canonical_bytes(&Value::Object(document.clone()));
        let signature = key.sign(&report_message(&unsigned_jcs));
        document.insert("key_id".to_owned(), key.key_id().into());
        document.insert("signature".to_owned(), to_hex(&signature).into());
        let json = String::from_utf8(json::canonical_bytes(&Value::Object(document)))
            .expect("canonical JSON of strings is UTF-8");
        Report {
            claimed_keyset_digest: keyset_digest,
            tee_type: self.tee_type,
            keyset: self.keyset,
            keyset_digest,
            report_data: self.report_data,
            provenance: self.provenance,
            evidence: self.evidence,
            serving: self.serving,
            supported_e2ee_versions: Vec::new(),
            signature: Some(ReportSignature {
                key_id: key.key_id().to_owned(),
                bytes: signature,
            }),
            unsigned_jcs,
            json,
        }
    }

    fn document(&self, keyset_digest: &str) -> Map<String, Value> {
        let keyset: Value =
            serde_json::from_slice(&self.keyset.to_jcs()).expect("a keyset's JCS form is JSON");
        let attestation = json!({
            "tee_type": self.tee_type.name(),
            "workload_keyset": keyset,
            "report_data": to_hex(&self.report_data),
            "source_provenance": {
                "repo_url": self.provenance.repo_url,
                "repo_commit": self.provenance.repo_commit,
                "image_digest": self.provenance.image_digest,
                "image_provenance": null,
            },
            "evidence": self.evidence.to_value(),
        });
        let capabilities = json!({
            "supported_e2ee_versions": [],
            "serving": self.serving.name(),
        });
        Map::from_iter([
            ("api_version".to_owned(), API_VERSION.into()),
            ("workload_keyset_digest".to_owned(), keyset_digest.into()),
            ("attestation".to_owned(), attestation),
            ("service_capabilities".to_owned(), capabilities),
        ])
    }
}
