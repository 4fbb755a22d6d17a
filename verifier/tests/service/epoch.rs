//! The keys of one epoch, and reports over them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

use attest_collect::Attester;
use attest_core::{
    EvidenceBundle, Keyset, Nonce, Serving, Sha256Digest, SigningKey, SourceProvenance, SpkiDigest,
    Statement, Subject, TeeType, TlsKeyEntry, UnsignedReport,
};
use testkit::SoftwarePlatform;

pub const CONFIG: &str = "mode = \"direct\"\n";
pub const RETENTION: &str = "version = 1\nmode = \"metadata\"\n";

pub struct Epoch {
    pub signing_key: SigningKey,
    pub keyset: Keyset,
    pub tls: Arc<ServerConfig>,
}

impl Epoch {
    pub fn begin() -> Self {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let spki = SpkiDigest::from_certificate_der(own.cert.der()).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let signing_key = SigningKey::from_seed("receipt-1", spki.as_bytes()).unwrap();
        let keyset = keyset(&signing_key, spki);
        Self {
            signing_key,
            keyset,
            tls: Arc::new(tls),
        }
    }

    pub fn report(&self, platform: &SoftwarePlatform, nonce: Option<Nonce>) -> String {
        report(platform, &self.keyset, &self.signing_key, nonce)
    }

    pub fn report_of(
        &self,
        platform: &SoftwarePlatform,
        nonce: Option<Nonce>,
        serving: Serving,
    ) -> String {
        report_of(platform, &self.keyset, &self.signing_key, nonce, serving)
    }
}

fn keyset(signing_key: &SigningKey, spki: SpkiDigest) -> Keyset {
    Keyset {
        subject: Some(subject().to_string()),
        not_after: super::now().plus(Duration::from_secs(86_400)),
        receipt_signing_keys: vec![signing_key.public_entry()],
        e2ee_public_keys: Vec::new(),
        tls_public_keys: vec![TlsKeyEntry {
            spki_sha256: spki,
            domain: None,
        }],
    }
}

pub fn subject() -> Subject {
    Subject {
        config: Sha256Digest::hash(CONFIG.as_bytes()),
        retention: Sha256Digest::hash(RETENTION.as_bytes()),
    }
}

pub fn report(
    platform: &SoftwarePlatform,
    keyset: &Keyset,
    key: &SigningKey,
    nonce: Option<Nonce>,
) -> String {
    report_of(platform, keyset, key, nonce, Serving::Direct)
}

fn report_of(
    platform: &SoftwarePlatform,
    keyset: &Keyset,
    key: &SigningKey,
    nonce: Option<Nonce>,
    serving: Serving,
) -> String {
    let statement = match nonce {
        Some(nonce) => Statement::challenged(keyset.digest(), nonce),
        None => Statement::unchallenged(keyset.digest()),
    };
    let slot = statement.report_data();
    UnsignedReport {
        keyset: keyset.clone(),
        tee_type: TeeType::Tdx,
        report_data: slot.digest_half(),
        provenance: SourceProvenance {
            repo_url: Some("https://example.org/sealgate".to_owned()),
            repo_commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            image_digest: None,
        },
        evidence: EvidenceBundle {
            cpu: platform.attest(&slot).unwrap(),
            event_log: None,
            devices: Vec::new(),
            documents: BTreeMap::from([
                ("config".to_owned(), CONFIG.to_owned()),
                ("retention".to_owned(), RETENTION.to_owned()),
            ]),
            collateral: Some(platform.collateral()),
        },
        serving,
    }
    .sign(key)
    .to_json()
}
