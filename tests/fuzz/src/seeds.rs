//! Seeds: what the software platforms make, in every format. None is a recording.

use std::collections::BTreeMap;

use attest_core::nvidia::DeviceKind;
use attest_core::retention::RetentionPolicy;
use attest_core::{
    Claims, CpuEvidence, Event as ReceiptEvent, NvidiaCollateral, ReceiptBody, Session,
    SessionEvidence, SessionRecord, Sha256Digest, Subject, to_base64,
};
use fuzz_targets::{AUDIENCE, ISSUER, NONCE, NOW, SEED, SPKI, join};
use vendors::amd::MockAmd;
use vendors::amd::knobs::{EndorsementKey, Processor};
use vendors::amd::tables::{Hcl, commitment};
use vendors::identity::{TokenKey, key_set};
use vendors::nvidia::knobs::ManifestKnobs;
use vendors::nvidia::node::NodeKnobs;
use vendors::nvidia::ocsp::OcspKnobs;
use vendors::nvidia::{Chip, Device, MockNvidia, Source};
use vendors::report::{ReportParts, of_node, presented};
use vendors::{TdMeasurements, Vendors, event_log};

const SALT: &str = "salt = \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"";

/// All seeds, by target.
pub struct Seeds(BTreeMap<&'static str, Vec<Vec<u8>>>);

impl Seeds {
    pub fn of(&self, target: &str) -> &[Vec<u8>] {
        self.0.get(target).map_or(&[], Vec::as_slice)
    }

    pub fn make() -> Self {
        let mut seeds = Self(BTreeMap::new());
        seeds.intel();
        seeds.amd();
        seeds.nvidia();
        seeds.tokens();
        seeds.logs();
        seeds.documents();
        seeds.reports();
        seeds
    }

    fn add(&mut self, target: &'static str, seed: impl Into<Vec<u8>>) {
        self.0.entry(target).or_default().push(seed.into());
    }

    fn intel(&mut self) {
        let quote = td_quote(&ReportParts::answering(NONCE, SPKI, NOW));
        let collateral = platform().collateral();
        let tdx = collateral
            .tdx
            .as_ref()
            .expect("Intel's")
            .to_value()
            .to_string();
        self.add("tdx_quote", [&quote[..], &[0; 16]].concat());
        self.add("tdx_quote", quote.clone());
        self.add("appraise_quote", join(&[tdx.as_bytes(), &quote]));
        self.add("collateral", collateral.to_value().to_string());
        self.add("collateral", tdx);
        self.add("certificates", platform().intel_root_pem());
        self.add("certificates", platform().intel().root_der());
    }

    fn amd(&mut self) {
        for (processor, key) in [
            (Processor::Milan, EndorsementKey::Vcek),
            (Processor::Turin, EndorsementKey::Vlek),
        ] {
            let machine = MockAmd::healthy(&SEED, processor, key, NOW.secs());
            let report = machine.report("fuzz", &[0x3c; 64]);
            let table = machine.certificate_table();
            let (vek, ask) = (machine.vek(), machine.ask());
            self.add("snp_report", report.clone());
            self.add("snp_certificate_table", table.clone());
            self.add("snp_endorsement_key", vek);
            self.add("snp_chain", join(&[vek, ask, &report]));
            self.add("snp_revocation_list", join(&[&machine.crl(), ask]));
            self.add("appraise_snp", join(&[&table, &report]));
            self.add("certificates", vek);
            let claims = br#"{"keys":[],"vm-configuration":{"secure-boot":true}}"#;
            let wrapped = Hcl::around(claims).wrap(&machine.report("fuzz", &commitment(claims)));
            self.add("snp_hcl", wrapped.clone());
            self.add("appraise_snp", join(&[&table, &wrapped]));
        }
    }

    fn nvidia(&mut self) {
        let nvidia = nvidia();
        for chip in Chip::ALL {
            let device = nvidia.healthy(chip, "fuzz");
            let evidence = device.report(&NONCE);
            let chain = device.chain_pem();
            self.add("nvidia_report", evidence.clone());
            self.add("nvidia_opaque", opaque(&device));
            self.add("nvidia_chain", join(&[&chain, &evidence]));
            self.add("certificates", device.certificate(0));
            let response = nvidia.ocsp(&device, 1, &OcspKnobs::good(Some(&[7; 32])));
            let (certificate, issuer) = (device.certificate(1), device.certificate(2));
            self.add("nvidia_ocsp", join(&[certificate, issuer, &response]));
            let rim = manifest(chip, Source::Vbios);
            self.add(
                "appraise_devices",
                join(&[&chain, &rim, &response, &evidence]),
            );
            self.add("nvidia_manifest", rim);
        }
        self.add("nvidia_manifest", manifest(Chip::Hopper, Source::Driver));
        let node = nvidia.node("fuzz", 2, 1, &NONCE, &NodeKnobs::default());
        for member in node.gpus.iter().chain(&node.switches) {
            self.add("nvidia_report", member.evidence.clone());
        }
    }

    fn tokens(&mut self) {
        let keys = [
            (TokenKey::rsa("rsa"), "RS256"),
            (TokenKey::p256("p256"), "ES256"),
            (TokenKey::ed25519("ed25519"), "EdDSA"),
        ];
        let entries: Vec<_> = keys.iter().map(|(key, _)| key.jwk()).collect();
        let set = key_set(&entries);
        let claims = serde_json::json!({
            "iss": ISSUER, "sub": "user", "aud": [AUDIENCE], "iat": NOW.secs(), "exp": NOW.secs() + 60,
        });
        for (key, algorithm) in &keys {
            let token = key.token(algorithm, &claims);
            self.add("jwt_token", join(&[set.as_bytes(), token.as_bytes()]));
        }
        self.add("jwt_key_set", set);
    }

    fn logs(&mut self) {
        let events = event_log::healthy();
        self.add("event_log_ccel", event_log::ccel(&events[..4]));
        self.add("event_log_dstack", event_log::dstack(&events));
        self.add("event_log_dstack", event_log::dstack(&events[4..]));
    }

    fn documents(&mut self) {
        let parts = ReportParts::answering(NONCE, SPKI, NOW);
        self.add("aci_keyset", parts.keyset.to_jcs());
        self.add("aci_session", session().to_jcs());
        self.add("aci_receipt", receipt(&parts));
        self.add("json", session().to_jcs());
        self.add(
            "json",
            r#"{"a":[1,-2,true,null,"\u00e9\n"],"":{"b":9007199254740991}}"#,
        );
        let subject = Subject {
            config: Sha256Digest::hash(b"config"),
            retention: Sha256Digest::hash(b"retention"),
        };
        for text in [
            to_base64(b"some bytes of no meaning"),
            Sha256Digest::hash(b"x").to_hex(),
            Sha256Digest::hash(b"x").to_string(),
            parts.nonce.to_string(),
            subject.to_string(),
            "2026-09-21T14:13:20Z".to_owned(),
        ] {
            self.add("encodings", text);
        }
        for policy in shipped_policies("attestation") {
            self.add("policy", policy);
        }
        for policy in shipped_policies("retention") {
            let salted = policy.replacen("# salt = \"<64 hex>\"", SALT, 1);
            let read = RetentionPolicy::from_toml(&salted).expect("a shipped policy");
            self.add("retention", read.stored_text());
            self.add("retention", read.published().text());
            self.add("retention", salted);
        }
    }

    fn reports(&mut self) {
        let parts = ReportParts::answering(NONCE, SPKI, NOW);
        let machine = MockAmd::healthy(&SEED, Processor::Milan, EndorsementKey::Vcek, NOW.secs());
        let snp = CpuEvidence::SevSnp {
            report: machine.report("fuzz", parts.report_data().as_bytes()),
            certs: machine.certificate_table(),
        };
        let events = event_log::healthy();
        let mut with_gpu = parts.clone();
        let gpu = nvidia().healthy(Chip::Hopper, "fuzz");
        let evidence = gpu.report(&parts.gpu_nonce());
        with_gpu.devices = vec![presented(DeviceKind::Gpu, &evidence, &gpu.chain_pem())];
        with_gpu.event_log = Some(event_log::dstack(&events));
        with_gpu.collateral = Some(attest_core::Collateral {
            nvidia: Some(NvidiaCollateral {
                rims: vec![manifest(Chip::Hopper, Source::Driver)],
                ocsp: vec![],
            }),
            ..platform().collateral()
        });
        let mut node = parts.clone();
        node.devices =
            of_node(&nvidia().node("fuzz", 2, 1, &parts.gpu_nonce(), &NodeKnobs::default()));
        let td = |parts: &ReportParts| CpuEvidence::Tdx {
            quote: td_quote(parts),
        };
        let reports = [
            parts.clone().signed(snp.clone()),
            with_gpu.clone().signed(td(&with_gpu)),
            node.signed(snp),
        ];
        for report in reports {
            self.add("aci_report", report.clone());
            self.add("json", report.clone());
            self.add("appraise_report", report);
        }
    }
}

/// The roots that [`fuzz_targets::ROOTS`] holds, by the names of their files.
pub fn roots() -> Vec<(&'static str, Vec<u8>)> {
    let amd = |processor| {
        let machine = MockAmd::healthy(&SEED, processor, EndorsementKey::Vcek, NOW.secs());
        machine.ark().to_vec()
    };
    vec![
        ("intel", platform().intel().root_der().to_vec()),
        ("milan", amd(Processor::Milan)),
        ("turin", amd(Processor::Turin)),
        ("nvidia-device", nvidia().device_root().to_vec()),
        ("nvidia-rim", nvidia().manifest_root().to_vec()),
    ]
}

fn platform() -> Vendors {
    Vendors::from_seed(&SEED, NOW)
}

fn nvidia() -> MockNvidia {
    MockNvidia::new(&SEED, NOW.secs())
}

/// A TD that measured the healthy log.
fn td_quote(parts: &ReportParts) -> Vec<u8> {
    let mut td = TdMeasurements::named("fuzz");
    td.rtmr = event_log::registers(&event_log::healthy());
    platform().quote(&td, &parts.report_data())
}

fn manifest(chip: Chip, source: Source) -> Vec<u8> {
    let nvidia = nvidia();
    let manifest = nvidia.manifest(chip, source);
    nvidia
        .sign(&manifest, &ManifestKnobs::default())
        .into_bytes()
}

/// The opaque fields of a device's evidence alone.
fn opaque(device: &Device) -> Vec<u8> {
    let fields = nvidia().evidence(device, &NONCE).opaque;
    let field = |(number, value): &(u16, Vec<u8>)| {
        let head = [number.to_le_bytes(), (value.len() as u16).to_le_bytes()];
        [&head.concat()[..], value].concat()
    };
    fields.iter().flat_map(field).collect()
}

fn session() -> Session {
    Session::new(SessionRecord {
        upstream_name: "enclave-1".into(),
        endpoint: Some("https://127.0.0.1:9443".into()),
        verifier_id: "sealgate/1".into(),
        established_at: NOW,
        expires_at: NOW.plus(std::time::Duration::from_secs(3600)),
        identity: None,
        channel_binding: vec![],
        claims: Claims::default(),
        evidence: SessionEvidence {
            content_type: "application/json".into(),
            bytes: b"{}".to_vec(),
        },
    })
    .expect("a session of an hour")
}

fn receipt(parts: &ReportParts) -> String {
    let body_hash = Sha256Digest::hash(b"body");
    ReceiptBody {
        receipt_id: "rcpt-1".into(),
        chat_id: Some("chat-1".into()),
        model: Some("demo-model".into()),
        keyset_digest: parts.keyset.digest(),
        endpoint: "/v1/chat/completions".into(),
        method: "POST".into(),
        served_at: NOW,
        events: vec![
            ReceiptEvent::RequestReceived { body_hash },
            ReceiptEvent::RequestForwarded { body_hash },
            ReceiptEvent::ResponseReturned { body_hash },
        ],
    }
    .sign(&parts.key())
    .to_json()
}

fn shipped_policies(kind: &str) -> Vec<String> {
    let folder = format!("{}/../../policies/{kind}", env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    paths.sort();
    let texts = paths
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    texts.collect()
}
