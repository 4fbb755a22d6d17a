//! Receipts under an established keyset: signed ones, and ones that the audit log proves (profile §7).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::case::{Case, Evidence, Expected, Kind};
use crate::kit::{Judged, Kit, accepted, evidence, missing, rejected};
use crate::{NOW, run};
use attest_core::log::{
    Checkpoint, Entry, Fact, Frontier, Origin, ReceiptProof, TreeHash, prove, receipts_root, tree,
};
use attest_core::{
    Event, Keyset, LoggedReceipt, LoggedReceiptError, ReceiptBody, ReceiptDocument, ReceiptError,
    Sha256Digest, SigningKey, Subject, UnsignedReceipt, signs_receipts_on_fetch,
};

const KEYSET: &str = "receipt.keyset";
const SIGNATURE: &str = "receipt.signature";
const LOG: &str = "receipt.log";

/// The checks of receipts, which no verdict about a report has.
pub const CHECKS: [&str; 3] = [KEYSET, SIGNATURE, LOG];

const ON_FETCH: &str = "{\"receipts\":{\"sign\":\"on_fetch\"}}";
const EAGER: &str = "{\"receipts\":{\"sign\":\"eager\"}}";

/// What a verifier finds: checks that fail, and checks that are needed and cannot be made.
pub fn findings(case: &Case) -> Result<(Vec<&'static str>, Vec<&'static str>)> {
    let part = |role: &str| {
        let found = case.evidence.iter().find(|it| it.role == role);
        run::bytes(&found.with_context(|| format!("no {role}"))?.base64)
    };
    let keyset = Keyset::parse(&part("keyset")?)?;
    let config = String::from_utf8(part("config")?)?;
    let documents = BTreeMap::from([("config".to_owned(), config)]);
    let checked = match ReceiptDocument::parse(&part("receipt")?)? {
        ReceiptDocument::Signed(receipt) => {
            receipt.verify(&keyset).map(drop).map_err(|e| failing(&e))
        }
        ReceiptDocument::Logged(receipt) => match receipt.verify(&keyset) {
            Ok(_) if !signs_receipts_on_fetch(&keyset, &documents) => {
                return Ok((vec![], vec![LOG]));
            }
            verified => verified.map(drop).map_err(|error| match error {
                LoggedReceiptError::Receipt(error) => failing(&error),
                LoggedReceiptError::Log(_) => LOG,
            }),
        },
    };
    Ok((checked.err().into_iter().collect(), vec![]))
}

fn failing(error: &ReceiptError) -> &'static str {
    match error {
        ReceiptError::KeysetDigestMismatch { .. } => KEYSET,
        _ => SIGNATURE,
    }
}

fn key(id: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(id, &[seed; 32]).expect("a key")
}

/// The key of the epoch.
fn own() -> SigningKey {
    key("receipt-1", 2)
}

fn keyset(config: &str) -> Keyset {
    let subject = Subject {
        config: Sha256Digest::hash(config.as_bytes()),
        retention: Sha256Digest::hash(b"retention"),
    };
    Keyset {
        subject: Some(subject.to_string()),
        not_after: NOW.plus(Duration::from_secs(86_400)),
        receipt_signing_keys: vec![own().public_entry()],
        e2ee_public_keys: vec![],
        tls_public_keys: vec![],
    }
}

fn body(config: &str) -> ReceiptBody {
    ReceiptBody {
        receipt_id: "rcpt-1".into(),
        chat_id: None,
        model: Some("m".into()),
        keyset_digest: keyset(config).digest(),
        endpoint: "/v1/chat/completions".into(),
        method: "POST".into(),
        served_at: NOW,
        events: vec![
            Event::RequestReceived {
                body_hash: Sha256Digest::hash(b"request"),
            },
            Event::ResponseReturned {
                body_hash: Sha256Digest::hash(b"response"),
            },
        ],
    }
}

/// A log and a proof in it.
struct Logged {
    /// The digests of the batch, and which of them the proof is about.
    batch: Vec<Sha256Digest>,
    place: usize,
    /// How many entries follow the batch.
    after: u64,
    signer: SigningKey,
}

impl Logged {
    fn of(receipt: &UnsignedReceipt) -> Self {
        let others = (0_u8..4).map(|n| Sha256Digest::hash(&[n]));
        let mut batch: Vec<_> = others.collect();
        batch.insert(2, receipt.digest());
        Self {
            batch,
            place: 2,
            after: 3,
            signer: own(),
        }
    }

    fn proof(&self) -> ReceiptProof {
        let origin = Origin::from_bytes([7; 16]);
        let entry = |fact| Entry { at: NOW, fact };
        let root = receipts_root(&self.batch);
        let batch = entry(Fact::Receipts { root });
        let mut entries = vec![entry(Fact::Began { origin }), batch.clone()];
        entries.extend((1..=self.after).map(|count| entry(Fact::ReceiptsLost { count })));
        let leaves: Vec<TreeHash> = entries
            .iter()
            .map(|it| tree::leaf(&it.to_bytes()))
            .collect();
        let mut frontier = Frontier::default();
        leaves
            .iter()
            .for_each(|leaf| frontier.push(*leaf, |_, _| {}));
        let checkpoint = Checkpoint {
            origin,
            size: frontier.size(),
            root: frontier.root(),
        };
        let ranges = prove::inclusion(1, frontier.size()).expect("it has two leaves");
        let hashes = ranges
            .into_iter()
            .map(|range| tree::root(&leaves[range.start as usize..range.end as usize]))
            .collect();
        let head = checkpoint.sign(&self.signer);
        ReceiptProof::new(&batch, &self.batch, self.place as u64, 1, hashes, head)
            .expect("a batch of receipts")
    }
}

fn document(receipt: &UnsignedReceipt, proof: &ReceiptProof) -> String {
    let document = LoggedReceipt::new(receipt.bytes(), proof);
    document.expect("a receipt").to_json()
}

fn add(
    kit: &mut Kit,
    name: &str,
    says: &str,
    (keyset, config): (&Keyset, &str),
    receipt: &str,
    expected: Expected,
) {
    let keyset = String::from_utf8(keyset.to_jcs()).expect("canonical JSON is UTF-8");
    let parts: Vec<Evidence> = [
        ("receipt", receipt),
        ("keyset", &keyset),
        ("config", config),
    ]
    .map(|(role, text)| evidence(role, text.as_bytes(), None))
    .into();
    let judged = Judged::now(
        Kind::Receipt,
        "# Receipts are verified under a keyset alone.\n",
        parts,
    );
    kit.add(&format!("receipt-{name}"), says, judged, expected);
}

pub fn add_all(kit: &mut Kit) {
    signed(kit);
    logged(kit);
    unattested(kit);
}

fn signed(kit: &mut Kit) {
    let keyset = keyset(EAGER);
    let service = (&keyset, EAGER);
    let receipt = body(EAGER).sign(&own()).to_json();
    add(
        kit,
        "signed",
        "a signed receipt",
        service,
        &receipt,
        accepted(),
    );
    let altered = receipt.replace("rcpt-1", "rcpt-2");
    let says = "a signed receipt with another id";
    add(
        kit,
        "signed-altered",
        says,
        service,
        &altered,
        rejected(&[SIGNATURE]),
    );
    let other = self::keyset(ON_FETCH);
    let says = "a signed receipt of another keyset";
    add(
        kit,
        "of-another-keyset",
        says,
        (&other, ON_FETCH),
        &receipt,
        rejected(&[KEYSET]),
    );
    let stranger = body(EAGER).sign(&key("receipt-1", 3)).to_json();
    let says = "signed with another key under the id of the listed one";
    add(
        kit,
        "signed-by-another-key",
        says,
        service,
        &stranger,
        rejected(&[SIGNATURE]),
    );
    // A proof repairs no signature.
    let on_fetch = (&other, ON_FETCH);
    let unsigned = body(ON_FETCH).unsigned(&own());
    let mut value: serde_json::Value =
        serde_json::from_str(&document(&unsigned, &Logged::of(&unsigned).proof())).expect("JSON");
    value["signature"] = "00".repeat(64).into();
    let says =
        "a wrong signature beside a log proof that holds: what has a signature is a signed receipt";
    add(
        kit,
        "signed-and-logged",
        says,
        on_fetch,
        &value.to_string(),
        rejected(&[SIGNATURE]),
    );
}

fn logged(kit: &mut Kit) {
    let keyset = keyset(ON_FETCH);
    let service = (&keyset, ON_FETCH);
    let receipt = body(ON_FETCH).unsigned(&own());
    let digest = receipt.digest();
    let log = || Logged::of(&receipt);
    let good = document(&receipt, &log().proof());
    add(
        kit,
        "log",
        "without a signature, proven by the audit log",
        service,
        &good,
        accepted(),
    );
    let alone = Logged {
        batch: vec![digest],
        place: 0,
        after: 0,
        ..log()
    };
    let says = "alone in its batch, which is the last entry of the log";
    add(
        kit,
        "log-alone",
        says,
        service,
        &document(&receipt, &alone.proof()),
        accepted(),
    );
    let last = Logged {
        after: 40,
        place: 4,
        batch: [
            log().batch[..2].to_vec(),
            log().batch[3..].to_vec(),
            vec![digest],
        ]
        .concat(),
        ..log()
    };
    let says = "the last of its batch, with many entries after it";
    add(
        kit,
        "log-long",
        says,
        service,
        &document(&receipt, &last.proof()),
        accepted(),
    );

    let mut refuse = |name: &str, says: &str, receipt: &str| {
        add(kit, name, says, service, receipt, rejected(&[LOG]));
    };
    refuse(
        "log-altered",
        "another receipt id than the one that was entered",
        &good.replace("rcpt-1", "rcpt-2"),
    );
    refuse(
        "log-member-added",
        "a member that was not entered",
        &good.replacen('{', "{\"added\":1,", 1),
    );
    let another = Logged {
        batch: vec![Sha256Digest::hash(b"another")],
        place: 0,
        ..log()
    };
    refuse(
        "log-of-another-receipt",
        "the proof of another receipt",
        &document(&receipt, &another.proof()),
    );
    let with_signature = body(ON_FETCH).sign(&own()).digest();
    let signed = Logged {
        batch: vec![with_signature],
        place: 0,
        ..log()
    };
    refuse(
        "log-of-the-signed-receipt",
        "the log has the digest of the document with its signature",
        &document(&receipt, &signed.proof()),
    );
    let place = Logged { place: 1, ..log() };
    refuse(
        "log-other-place",
        "the path of another place in the same batch",
        &document(&receipt, &place.proof()),
    );
    let later = Logged {
        signer: key("receipt-1", 3),
        ..log()
    };
    refuse(
        "log-head-of-another-epoch",
        "the head is signed by the key of another epoch, which found the entry on its disk",
        &document(&receipt, &later.proof()),
    );
    let mut value: serde_json::Value = serde_json::from_str(&good).expect("JSON");
    let proof = value["log_proof"].as_str().expect("text").to_owned();
    let mut edit = |name: &str, says: &str, from: &str, to: &str| {
        assert!(proof.contains(from), "{name}");
        value["log_proof"] = proof.replacen(from, to, 1).into();
        refuse(name, says, &value.to_string());
    };
    edit(
        "log-head-edited",
        "the head has another size than was signed",
        "\n5\n",
        "\n6\n",
    );
    edit(
        "log-other-index",
        "the batch at another index of the log",
        "\nindex 1\n",
        "\nindex 2\n",
    );
    edit(
        "log-index-beyond",
        "an index that the log of the head does not have",
        "\nindex 1\n",
        "\nindex 5\n",
    );
    let longer = Logged { after: 4, ..log() };
    let head = longer.proof().head().note().to_owned();
    let own_head = log().proof().head().note().to_owned();
    edit(
        "log-other-head",
        "a head of the same key, of a later size, beside a path to the earlier one",
        &own_head,
        &head,
    );
}

/// The proof holds, and nothing attested says that the service signs receipts when they are fetched.
fn unattested(kit: &mut Kit) {
    let eager = keyset(EAGER);
    let receipt = body(EAGER).unsigned(&own());
    let proven = document(&receipt, &Logged::of(&receipt).proof());
    let says = "a log proof of a service that signs every receipt at once";
    add(
        kit,
        "log-eager",
        says,
        (&eager, EAGER),
        &proven,
        missing(&[LOG]),
    );
    let says = "a configuration that defers signatures, and is not the attested one";
    add(
        kit,
        "log-other-config",
        says,
        (&eager, ON_FETCH),
        &proven,
        missing(&[LOG]),
    );
}
