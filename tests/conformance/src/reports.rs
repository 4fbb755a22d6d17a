//! Whole reports: the attack classes on binding, freshness and contract.

mod retention;

use std::collections::BTreeMap;
use std::time::Duration;

use attest_core::log::{EpochReason, EpochStart, Origin, Word};
use attest_core::{
    CpuEvidence, EvidenceBundle, Keyset, Nonce, Serving, Sha256Digest, SigningKey,
    SourceProvenance, SpkiDigest, Statement, Subject, TeeType, TlsKeyEntry, UnixTime,
    UnsignedReport,
};
use vendors::audit_log::epoch_document;
use vendors::policy::pinned_policy;
use vendors::{TdMeasurements, Vendors};

use crate::case::{Expected, Kind};
use crate::kit::{Judged, Kit, accepted, evidence, expected, missing, rejected};
use crate::{NOW, SEED};

const CONFIG: &str = "listen = \"somewhere\"\n";
const RETENTION: &str = "version = 1\nmode = \"metadata\"\n";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed("receipt-1", &[seed; 32]).expect("a key")
}

fn nonce(byte: u8) -> Nonce {
    Nonce::from_bytes([byte; 32])
}

fn spki(byte: u8) -> SpkiDigest {
    SpkiDigest::from_bytes([byte; 32])
}

struct Made {
    keyset: Keyset,
    statement: Option<Statement>,
    documents: BTreeMap<String, String>,
    key: SigningKey,
    policy: String,
    nonce: Option<Nonce>,
    channel: Option<SpkiDigest>,
    at: UnixTime,
    edit: fn(String) -> String,
}

fn made() -> Made {
    let subject = Subject {
        config: Sha256Digest::hash(CONFIG.as_bytes()),
        retention: Sha256Digest::hash(RETENTION.as_bytes()),
    };
    Made {
        keyset: Keyset {
            subject: Some(subject.to_string()),
            not_after: NOW.plus(Duration::from_secs(86_400)),
            receipt_signing_keys: vec![key(2).public_entry()],
            e2ee_public_keys: vec![],
            tls_public_keys: vec![TlsKeyEntry {
                spki_sha256: spki(4),
                domain: None,
            }],
        },
        statement: None,
        documents: [("config", CONFIG), ("retention", RETENTION)]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into(),
        key: key(2),
        policy: String::new(),
        nonce: Some(nonce(6)),
        channel: Some(spki(4)),
        at: NOW,
        edit: |text| text,
    }
}

impl Made {
    fn add(self, kit: &mut Kit, name: &str, says: &str, expected: Expected) {
        let td = TdMeasurements::named("conformance");
        let platform = Vendors::from_seed(&SEED, NOW);
        let statement = self
            .statement
            .unwrap_or_else(|| Statement::challenged(self.keyset.digest(), nonce(6)));
        let data = statement.report_data();
        let report = UnsignedReport {
            keyset: self.keyset,
            tee_type: TeeType::Tdx,
            report_data: data.digest_half(),
            provenance: SourceProvenance::default(),
            evidence: EvidenceBundle {
                cpu: CpuEvidence::Tdx {
                    quote: platform.quote(&td, &data),
                },
                event_log: None,
                devices: vec![],
                documents: self.documents,
                collateral: None,
            },
            serving: Serving::Direct,
        }
        .sign(&self.key)
        .to_json();
        let report = (self.edit)(report);
        let collateral = platform.collateral();
        let policy = pinned_policy("conformance", &td) + &self.policy;
        let judged = Judged {
            collateral: Some(&collateral),
            roots: &[("intel-root", platform.intel().root_der())],
            at: self.at,
            nonce: self.nonce.map(|it| it.to_string()),
            channel_spki: self.channel.map(|it| it.to_string()),
            ..Judged::now(
                Kind::Report,
                &policy,
                vec![evidence("report", report.as_bytes(), None)],
            )
        };
        kit.add(&format!("report-{name}"), says, judged, expected);
    }
}

pub fn add(kit: &mut Kit) {
    made().add(
        kit,
        "good",
        "our nonce, our channel, the contract shown",
        accepted(),
    );
    binding(kit);
    contract(kit);
    retention::add(kit);
    spelling(kit);
    log(kit);
}

const ORIGIN: Origin = Origin::from_bytes([0xa7; 16]);

/// The document `log` of a log of two entries, of which the second is the beginning of this epoch.
fn of_log(bend: impl FnOnce(&mut EpochStart), signer: &SigningKey) -> String {
    let mut start = EpochStart {
        epoch: 1,
        keyset: made().keyset.digest(),
        key: key(2).verifying_key(),
        config: Sha256Digest::hash(CONFIG.as_bytes()),
        retention: Sha256Digest::hash(RETENTION.as_bytes()),
        mode: Word::parse("metadata").expect("a word"),
        not_after: NOW.plus(Duration::from_secs(86_400)),
        reason: EpochReason::Start,
    };
    bend(&mut start);
    epoch_document(ORIGIN, NOW, start, signer)
}

/// The head of the audit log in a report.
fn log(kit: &mut Kit) {
    let wanted = format!("[log]\nrequired = true\norigins = [\"{ORIGIN}\"]\nmin_size = 2\n");
    let longer = "[log]\nrequired = true\nmin_size = 3\n".to_owned();
    let other = Sha256Digest::hash(b"other");
    for (name, says, document, policy, expected) in [
        (
            "good",
            "the log tells of this epoch, under a head of the service",
            of_log(|_| {}, &key(2)),
            wanted.clone(),
            accepted(),
        ),
        (
            "head-forged",
            "a head that another key signed",
            of_log(|_| {}, &key(9)),
            wanted.clone(),
            rejected(&["log.checkpoint"]),
        ),
        (
            "shorter-than-before",
            "a log with fewer entries than the policy has seen",
            of_log(|_| {}, &key(2)),
            longer,
            rejected(&["log.checkpoint"]),
        ),
        (
            "of-another-epoch",
            "the log tells of an epoch with another keyset",
            of_log(|start| start.keyset = other, &key(2)),
            wanted.clone(),
            rejected(&["log.epoch"]),
        ),
        (
            "of-another-policy",
            "the log tells of an epoch with another retention policy",
            of_log(|start| start.retention = other, &key(2)),
            wanted,
            rejected(&["log.epoch"]),
        ),
    ] {
        let mut bent = Made { policy, ..made() };
        bent.documents.insert("log".into(), document);
        bent.add(kit, &format!("log-{name}"), says, expected);
    }
    Made {
        policy: "[log]\nrequired = true\n".into(),
        ..made()
    }
    .add(
        kit,
        "log-absent",
        "no head where one is wanted",
        missing(&["log.checkpoint", "log.epoch"]),
    );
}

fn binding(kit: &mut Kit) {
    let digest = made().keyset.digest();
    let relay = &["binding.report_data", "freshness.nonce"];
    Made {
        statement: Some(Statement::challenged(digest, nonce(7))),
        ..made()
    }
    .add(kit, "replayed", "made for another nonce", rejected(relay));
    Made {
        statement: Some(Statement::unchallenged(digest)),
        ..made()
    }
    .add(
        kit,
        "unchallenged",
        "made for no nonce where one was sent",
        rejected(&["freshness.nonce"]),
    );
    Made {
        nonce: None,
        ..made()
    }
    .add(
        kit,
        "challenged-unasked",
        "made for a nonce nobody sent",
        rejected(&["binding.report_data"]),
    );
    Made {
        statement: Some(Statement::unchallenged(digest)),
        nonce: None,
        ..made()
    }
    .add(
        kit,
        "unchallenged-unasked",
        "no nonce was asked for",
        accepted(),
    );
    Made {
        channel: None,
        ..made()
    }
    .add(kit, "no-channel", "no channel was observed", accepted());
    Made {
        channel: Some(spki(8)),
        ..made()
    }
    .add(
        kit,
        "relayed-channel",
        "a channel that ends at another key",
        rejected(&["channel.spki"]),
    );
    let mut relayed = made();
    relayed.statement = Some(Statement::challenged(digest, nonce(6)));
    relayed.keyset.receipt_signing_keys = vec![key(9).public_entry()];
    relayed.key = key(9);
    relayed.add(
        kit,
        "relayed-evidence",
        "genuine evidence under an attacker's keyset",
        rejected(relay),
    );
    let mut swapped = made();
    swapped.statement = Some(Statement::challenged(digest, nonce(6)));
    swapped.keyset.tls_public_keys[0].spki_sha256 = spki(8);
    swapped.channel = Some(spki(8));
    swapped.add(
        kit,
        "relayed-tls-key",
        "genuine evidence with an attacker's TLS key put in",
        rejected(relay),
    );
    let mut named = made();
    named.keyset.tls_public_keys[0].domain = Some("gateway.example".into());
    named.add(
        kit,
        "other-host",
        "a TLS key of another host name",
        rejected(&["channel.spki"]),
    );
    Made {
        key: key(9),
        ..made()
    }
    .add(
        kit,
        "foreign-signature",
        "signed by a key that is not the keyset's",
        rejected(&["report.signature"]),
    );
    let day = 86_400;
    for (name, after, expected) in [
        ("before-end", day - 1, accepted()),
        ("at-end", day, rejected(&["keyset.expiry"])),
        ("past-end", 2 * day, rejected(&["keyset.expiry"])),
    ] {
        Made {
            at: NOW.plus(Duration::from_secs(after)),
            ..made()
        }
        .add(
            kit,
            &format!("keyset-{name}"),
            "the keyset near its end",
            expected,
        );
    }
    for (limit, expected) in [("23h", rejected(&["keyset.lifetime"])), ("24h", accepted())] {
        Made {
            policy: format!("[keyset]\nmax_lifetime = \"{limit}\"\n"),
            ..made()
        }
        .add(
            kit,
            &format!("lifetime-{limit}"),
            "a keyset of 24 hours against a limit",
            expected,
        );
    }
    long_lived(kit);
}

/// Keysets that end about eight days from now, the limit of a policy that states none.
fn long_lived(kit: &mut Kit) {
    const EIGHT_DAYS: u64 = 8 * 86_400;
    let too_long = || rejected(&["keyset.lifetime"]);
    for (name, seconds, policy, expected) in [
        ("8d", EIGHT_DAYS, "", accepted()),
        ("over-8d", EIGHT_DAYS + 1, "", too_long()),
        ("years", 100 * 365 * 86_400, "", too_long()),
        (
            "years-allowed",
            100 * 365 * 86_400,
            "[keyset]\nmax_lifetime = \"any\"\n",
            accepted(),
        ),
        (
            "9d-allowed",
            EIGHT_DAYS + 1,
            "[keyset]\nmax_lifetime = \"9d\"\n",
            accepted(),
        ),
    ] {
        let mut long = made();
        long.keyset.not_after = NOW.plus(Duration::from_secs(seconds));
        long.policy = policy.to_owned();
        long.add(
            kit,
            &format!("default-lifetime-{name}"),
            "how far ahead the keyset ends",
            expected,
        );
    }
}

fn contract(kit: &mut Kit) {
    for name in ["config", "retention"] {
        let check = format!("contract.{name}");
        let mut other = made();
        other
            .documents
            .insert(name.into(), "mode = \"zero\"\n".into());
        other.add(
            kit,
            &format!("{name}-other"),
            "a document that hardware did not bind",
            rejected(&[&check]),
        );
        let mut without = made();
        without.documents.remove(name);
        without.add(
            kit,
            &format!("{name}-missing"),
            "a bound document that is not shown",
            rejected(&[&check]),
        );
        let digest = Sha256Digest::hash(b"other");
        Made {
            policy: format!("[contract]\n{name} = [\"{digest}\"]\n"),
            ..made()
        }
        .add(
            kit,
            &format!("{name}-unlisted"),
            "a document the policy does not list",
            rejected(&[&check]),
        );
    }
    for (limit, expected) in [
        ("zero", rejected(&["contract.retention"])),
        ("metadata", accepted()),
        ("content", accepted()),
    ] {
        Made {
            policy: format!("[contract]\nmax_retention = \"{limit}\"\n"),
            ..made()
        }
        .add(
            kit,
            &format!("retention-limit-{limit}"),
            "retention of metadata against a limit",
            expected,
        );
    }
    let mut without = made();
    without.keyset.subject = None;
    without.policy = "[contract]\nmax_retention = \"metadata\"\n".into();
    without.add(
        kit,
        "no-contract",
        "no contract where one is asked for",
        missing(&["contract.retention"]),
    );
    let mut garbled = made();
    garbled.keyset.subject = Some("sealgate:1?config=none".into());
    garbled.add(
        kit,
        "subject-garbled",
        "a subject that cannot be read",
        rejected(&["contract.config", "contract.retention"]),
    );
    Made {
        policy: "[provenance]\nrepo_url = [\"https://example.org/it\"]\n".into(),
        ..made()
    }
    .add(
        kit,
        "no-provenance",
        "no source where the policy lists one",
        rejected(&["provenance.source"]),
    );
    Made {
        policy: "[nvidia]\nrequired = true\n".into(),
        ..made()
    }
    .add(
        kit,
        "no-devices",
        "no GPU where one is required",
        missing(&["nvidia.devices"]),
    );
}

fn spelling(kit: &mut Kit) {
    let malformed = || expected("malformed", &["report.format"]);
    type Edit = fn(String) -> String;
    let edits: [(&str, &str, Edit, Expected); 10] = [
        ("empty", "no bytes", |_| String::new(), malformed()),
        ("not-json", "no JSON", |_| "hello".into(), malformed()),
        (
            "cut",
            "cut short",
            |text| text[..text.len() / 2].into(),
            malformed(),
        ),
        (
            "trailing",
            "something after the object",
            |text| text + "{}",
            malformed(),
        ),
        (
            "duplicate",
            "a name twice",
            |text| text.replacen('{', "{\"api_version\":\"aci/1\",", 1),
            malformed(),
        ),
        (
            "version",
            "another version of ACI",
            |text| text.replace("\"aci/1\"", "\"aci/9\""),
            malformed(),
        ),
        (
            "list",
            "a list around it",
            |text| format!("[{text}]"),
            malformed(),
        ),
        (
            "spaced",
            "white space between members is nobody's business",
            |text| text.replacen('{', "{ \n", 1),
            accepted(),
        ),
        (
            "serving-changed",
            "a claim changed after signing",
            |text| text.replace("\"direct\"", "\"aggregator\""),
            rejected(&["report.signature"]),
        ),
        ("not-object", "a number", |_| "7".into(), malformed()),
    ];
    for (name, says, edit, expected) in edits {
        Made { edit, ..made() }.add(kit, &format!("json-{name}"), says, expected);
    }
}
