//! What holds for every input: reading undoes writing, and no bytes make a parser panic.

use proptest::{collection::vec, option, prelude::*};
use serde_json::Value;

use crate::fixtures;
use attest_core::{
    Claim, ClaimSource, Claims, Event, Keyset, PublicKeyEntry, Receipt, ReceiptBody, Report,
    Session, SessionEvidence, SessionId, SessionRecord, Sha256Digest, SpkiDigest, Subject,
    TlsKeyEntry, UnixTime, json, parse_base64, parse_hex_vec, to_base64, to_hex,
};

const MAX_INTEGER: i64 = (1 << 53) - 1;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-MAX_INTEGER..=MAX_INTEGER).prop_map(Value::from),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec((any::<String>(), inner), 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn time() -> impl Strategy<Value = UnixTime> {
    (0..=MAX_INTEGER as u64).prop_map(UnixTime::from_secs)
}

fn digest() -> impl Strategy<Value = Sha256Digest> {
    any::<[u8; 32]>().prop_map(Sha256Digest::from_bytes)
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (any::<bool>(), any::<String>(), any::<[u8; 32]>()).prop_map(|(required, model_id, id)| {
            Event::UpstreamVerified {
                required,
                model_id,
                session_id: SessionId::from_bytes(id),
            }
        }),
        (any::<bool>(), any::<[String; 2]>(), any::<Option<String>>()).prop_map(
            |(required, [model_id, reason], upstream_name)| Event::UpstreamFailed {
                required,
                model_id,
                reason,
                upstream_name,
            }
        ),
        (digest(), ".+", 0..=MAX_INTEGER as u64).prop_map(|(retention, mode, epoch)| {
            Event::PolicyApplied {
                retention,
                mode,
                epoch,
            }
        }),
    ]
}

prop_compose! {
    fn receipt_body()(
        receipt_id in ".+",
        names in any::<[Option<String>; 2]>(),
        hashes in [digest(), digest(), digest()],
        served_at in time(),
        between in vec(event(), 0..5),
    ) -> ReceiptBody {
        let [chat_id, model] = names;
        let [received, returned, keyset_digest] = hashes;
        let mut events = vec![Event::RequestReceived { body_hash: received }];
        events.extend(between);
        events.push(Event::ResponseReturned { body_hash: returned });
        ReceiptBody {
            receipt_id, chat_id, model, keyset_digest, served_at, events,
            endpoint: "/v1/embeddings".into(),
            method: "POST".into(),
        }
    }
}

prop_compose! {
    fn keyset()(
        subject in any::<Option<String>>(),
        not_after in time(),
        algos in vec(".+", 0..4),
        tls in vec((any::<[u8; 32]>(), any::<Option<String>>()), 0..4),
    ) -> Keyset {
        let entry = |(n, algo): (usize, String)| PublicKeyEntry {
            key_id: format!("k{n}"),
            algo: format!("x{algo}"),
            public_key: format!("key {n}"),
        };
        Keyset {
            subject,
            not_after,
            receipt_signing_keys: vec![fixtures::key().public_entry()],
            e2ee_public_keys: algos.into_iter().enumerate().map(entry).collect(),
            tls_public_keys: tls
                .into_iter()
                .map(|(spki, domain)| TlsKeyEntry { spki_sha256: SpkiDigest::from_bytes(spki), domain })
                .collect(),
        }
    }
}

prop_compose! {
    fn session_record()(
        names in any::<[String; 2]>(),
        endpoint in any::<Option<String>>(),
        times in [time(), time()],
        identity in option::of(any_json()),
        reason in any::<Option<String>>(),
        extra in vec((any::<String>(), any_json()), 0..3),
        content_type in "[a-z/;=+.-]{0,20}",
        bytes in vec(any::<u8>(), 0..100),
    ) -> SessionRecord {
        let [upstream_name, verifier_id] = names;
        SessionRecord {
            upstream_name, endpoint, verifier_id, identity,
            established_at: times[0].min(times[1]),
            expires_at: times[0].max(times[1]),
            channel_binding: vec![],
            claims: Claims {
                tee_attested: Claim::Asserted { source: ClaimSource::HardwareProven, reason: reason.clone() },
                tcb_up_to_date: Claim::Refuted { source: ClaimSource::VerifierDerived, reason },
                extra: extra.into_iter().collect(),
                ..Claims::default()
            },
            evidence: SessionEvidence { content_type, bytes },
        }
    }
}

proptest! {
    #[test]
    fn encodings_are_read_back(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(parse_hex_vec(&to_hex(&bytes), 200), Ok(bytes.clone()));
        prop_assert_eq!(parse_base64(&to_base64(&bytes), 200), Ok(bytes));
    }

    #[test]
    fn a_base64_text_that_is_accepted_is_the_only_spelling(text in "[A-Za-z0-9+/]{0,11}={0,3}") {
        if let Ok(bytes) = parse_base64(&text, 200) {
            prop_assert_eq!(to_base64(&bytes), text);
        }
    }

    #[test]
    fn canonical_json_is_read_back_and_is_its_own_canonical_form(value in any_json()) {
        let bytes = json::canonicalize(&value).unwrap();
        let parsed = json::parse(&bytes, usize::MAX);
        prop_assert_eq!(parsed.as_ref(), Ok(&value));
        prop_assert_eq!(json::canonicalize(&parsed.unwrap()), Ok(bytes));
    }

    #[test]
    fn we_accept_no_json_that_serde_refuses_and_read_the_same_value(text in r#"[\[\]{}:,"\\u0-9a-f truels]{0,24}"#) {
        if let Ok(value) = json::parse(text.as_bytes(), usize::MAX) {
            prop_assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(value));
        }
    }

    #[test]
    fn a_subject_is_read_back(config in digest(), retention in digest()) {
        let subject = Subject { config, retention };
        prop_assert_eq!(Subject::parse(&subject.to_string()), Ok(subject));
    }

    #[test]
    fn a_keyset_is_read_back(keyset in keyset()) {
        prop_assert_eq!(Keyset::parse(&keyset.to_jcs()), Ok(keyset.clone()));
        let value = json::parse(&keyset.to_jcs(), usize::MAX).unwrap();
        prop_assert_eq!(json::canonicalize(&value), Ok(keyset.to_jcs()));
    }

    #[test]
    fn a_receipt_is_read_back(body in receipt_body()) {
        let receipt = body.clone().sign(&fixtures::key());
        let parsed = Receipt::parse(receipt.to_json().as_bytes());
        prop_assert_eq!(parsed.as_ref().map(Receipt::body), Ok(&body));
        prop_assert_eq!(parsed, Ok(receipt));
    }

    #[test]
    fn a_session_is_read_back(record in session_record()) {
        let session = Session::new(record).unwrap();
        prop_assert_eq!(Session::parse(&session.to_jcs()), Ok(session));
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in vec(any::<u8>(), 0..300)) {
        feed(&bytes);
    }

    #[test]
    fn no_json_makes_a_parser_panic(value in any_json()) {
        feed(value.to_string().as_bytes());
    }

    #[test]
    fn no_mangled_artifact_makes_a_parser_panic(
        which in 0..4usize,
        cut in any::<prop::sample::Index>(),
        insert in vec(any::<u8>(), 0..4),
        remove in 0..4usize,
    ) {
        let good = [
            fixtures::report().to_json(),
            fixtures::receipt().to_json(),
            String::from_utf8(fixtures::keyset().to_jcs()).unwrap(),
            r#"{"api_version":"aci/1","claims":{},"evidence":{"data":"data:;base64,"}}"#.to_owned(),
        ];
        let mut bytes = good[which].clone().into_bytes();
        let at = cut.index(bytes.len());
        let end = (at + remove).min(bytes.len());
        bytes.splice(at..end, insert);
        feed(&bytes);
    }
}

/// Whether these succeed is other tests' business; here they only have to return.
fn feed(bytes: &[u8]) {
    let _ = json::parse(bytes, usize::MAX);
    let _ = Keyset::parse(bytes);
    let _ = Session::parse(bytes);
    if let Ok(report) = Report::parse(bytes) {
        let _ = report.verify_signature();
    }
    if let Ok(receipt) = Receipt::parse(bytes) {
        let _ = receipt.verify(&fixtures::keyset());
    }
    let _ = SpkiDigest::from_certificate_der(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Subject::parse(text);
        let _ = parse_base64(text, 100);
        let _ = parse_hex_vec(text, 100);
    }
}
