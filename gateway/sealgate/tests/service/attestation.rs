//! The report endpoint: its answers, how often the hardware attests, and which requests it refuses.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::platform::{Counting, CountingPlatform};
use crate::support::{Gateway, Setup, error, eventually};
use attest_core::nvidia::UnverifiedDevice;
use attest_core::retention::RetentionPolicy;
use attest_core::{
    CpuEvidence, Nonce, Report, Serving, Sha256Digest, Statement, Subject, gpu_nonce, to_hex,
};
use testkit::client::Connection;

const PATH: &str = "/v1/aci/attestation";

async fn start(sections: &str) -> (Gateway, Arc<Counting>) {
    let counting = Arc::new(Counting::default());
    let platform = Arc::new(CountingPlatform(counting.clone()));
    (
        Gateway::start(Setup::attested(sections), platform).await,
        counting,
    )
}

async fn report(connection: &mut Connection, query: &str) -> Report {
    let answer = connection
        .get(&format!("{PATH}{query}"))
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200);
    Report::parse(&answer.bytes().await.expect("a body")).expect("a report")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_answers_its_challenge_and_is_signed_by_the_epochs_key() {
    let (gateway, _) = start("").await;
    let mut connection = gateway.connect().await;
    let nonce = Nonce::from_bytes([7; 32]);
    let report = report(&mut connection, &format!("?nonce={nonce}")).await;
    report.verify_signature().expect("signed");
    report.check_keyset_digest().expect("its own keyset");
    let data = Statement::challenged(report.keyset_digest(), nonce).report_data();
    assert_eq!(report.report_data(), &data.digest_half());
    assert_eq!(
        report.evidence().cpu,
        CpuEvidence::Tdx {
            quote: data.as_bytes().to_vec()
        }
    );
    assert_eq!(report.serving(), Serving::Direct);
    assert_eq!(report.evidence().collateral, None);

    let keys = &report.keyset().tls_public_keys;
    assert_eq!(keys.len(), 1);
    assert_eq!(
        to_hex(keys[0].spki_sha256.as_bytes()),
        to_hex(&connection.spki_sha256().expect("a key"))
    );
    let answer = connection.get("/healthz").await.expect("an answer");
    assert_eq!(
        answer.header("x-aci-keyset-digest"),
        Some(report.keyset_digest().to_string().as_str())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documents_match_the_digests_in_the_subject() {
    let (gateway, _) = start("").await;
    let report = report(&mut gateway.connect().await, "").await;
    let subject = Subject::parse(report.keyset().subject.as_deref().expect("a subject"))
        .expect("our subject");
    let documents = &report.evidence().documents;
    assert_eq!(
        Sha256Digest::hash(documents["config"].as_bytes()),
        subject.config
    );
    assert_eq!(
        Sha256Digest::hash(documents["retention"].as_bytes()),
        subject.retention
    );
    assert!(documents["config"].contains("demo-model"));
    let policy = RetentionPolicy::from_stored(&documents["retention"]).expect("a policy");
    assert_eq!(policy, gateway_base::config::built_in());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_unchallenged_requests_share_one_report() {
    let (gateway, counting) = start("").await;
    counting.shut();
    let gateway = Arc::new(gateway);
    let mut asking = JoinSet::new();
    for _ in 0..20 {
        let gateway = gateway.clone();
        asking.spawn(async move {
            let mut connection = gateway.connect().await;
            connection
                .get(PATH)
                .await
                .expect("an answer")
                .bytes()
                .await
                .expect("a body")
        });
    }
    eventually("the hardware is asked", async || {
        counting.attested.load(Ordering::SeqCst) > 0
    })
    .await;
    counting.open();
    let reports = asking.join_all().await;
    assert!(reports.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(counting.attested.load(Ordering::SeqCst), 1);
    let report = Report::parse(&reports[0]).expect("a report");
    assert_eq!(
        report.report_data(),
        &Statement::unchallenged(report.keyset_digest())
            .report_data()
            .digest_half()
    );

    gateway.reload().await;
    let answer = gateway
        .connect()
        .await
        .get(PATH)
        .await
        .expect("an answer")
        .bytes()
        .await
        .expect("a body");
    assert_ne!(answer, reports[0], "a new epoch has another report");
    assert_eq!(counting.attested.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn collateral_is_included_on_request_and_fetched_once() {
    let (gateway, counting) = start("").await;
    let mut connection = gateway.connect().await;
    let nonce = Nonce::from_bytes([8; 32]);
    for query in [
        "?collateral=1".to_owned(),
        format!("?nonce={nonce}&collateral=1"),
        "?collateral=1".to_owned(),
    ] {
        let report = report(&mut connection, &query).await;
        report.verify_signature().expect("signed");
        assert!(report.evidence().collateral.is_some(), "{query}");
    }
    assert_eq!(
        report(&mut connection, "").await.evidence().collateral,
        None
    );
    assert_eq!(counting.collateral_fetched.load(Ordering::SeqCst), 1);
    assert_eq!(
        counting.attested.load(Ordering::SeqCst),
        2,
        "one unchallenged, one challenged"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn gpus_attest_the_nonce_derived_from_challenge_and_keyset() {
    let counting = Arc::new(Counting::default());
    let setup = Setup {
        tee: "gpus = \"nvidia\"",
        ..Setup::attested("")
    };
    let gateway = Gateway::start(setup, Arc::new(CountingPlatform(counting.clone()))).await;
    let mut connection = gateway.connect().await;
    let nonce = Nonce::from_bytes([9; 32]);
    for (query, asked) in [
        (format!("?nonce={nonce}"), nonce),
        (String::new(), Nonce::from_bytes([0; 32])),
    ] {
        let report = report(&mut connection, &query).await;
        let devices = &report.evidence().devices;
        assert_eq!(devices.len(), 1);
        let device = UnverifiedDevice::from_evidence(&devices[0]).expect("a device");
        let expected = gpu_nonce(&asked, &report.keyset_digest());
        assert_eq!(device.evidence, expected, "{query}");
    }

    counting.gpus_are_lost.store(true, Ordering::SeqCst);
    let answer = connection.get(&format!("{PATH}?nonce={nonce}")).await;
    let (status, kind, ..) = error(answer.expect("an answer")).await;
    assert_eq!(
        (status, kind.as_str()),
        (503, "server_error"),
        "half a report is none"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_gpu_attests_unless_configured() {
    let (gateway, _) = start("").await;
    let report = report(&mut gateway.connect().await, "").await;
    assert!(report.evidence().devices.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hardware_attests_one_request_at_a_time_and_the_queue_is_bounded() {
    let (gateway, counting) = start("[limits]\nattest_queue = 3").await;
    counting.shut();
    let gateway = Arc::new(gateway);
    let mut asking = JoinSet::new();
    for number in 0..10 {
        let gateway = gateway.clone();
        asking.spawn(async move {
            let nonce = Nonce::from_bytes([number; 32]);
            let mut connection = gateway.connect().await;
            let answer = connection
                .get(&format!("{PATH}?nonce={nonce}"))
                .await
                .expect("an answer");
            let (status, after) = (
                answer.status.as_u16(),
                answer.header("retry-after").map(str::to_owned),
            );
            if status == 429 {
                let refused = error(answer).await;
                assert_eq!(
                    refused,
                    (
                        429,
                        "rate_limit_error".into(),
                        "rate_limit_exceeded".into(),
                        Value::Null
                    )
                );
            }
            (status, after)
        });
    }
    // One in work, three waiting; the other six are turned away while the hardware is still busy.
    let mut outcomes = Vec::new();
    while outcomes.len() < 6 {
        outcomes.push(
            asking
                .join_next()
                .await
                .expect("an outcome")
                .expect("no panic"),
        );
    }
    assert!(outcomes.iter().all(|(status, after)| {
        *status == 429
            && after
                .as_deref()
                .is_some_and(|secs| secs.parse::<u64>().is_ok_and(|secs| secs >= 1))
    }));
    // Other requests are not delayed.
    assert_eq!(gateway.chat().await.status, 200);
    counting.open();
    let rest = asking.join_all().await;
    assert!(rest.iter().all(|(status, _)| *status == 200), "{rest:?}");
    assert_eq!(counting.most_at_once.load(Ordering::SeqCst), 1);
    assert_eq!(counting.attested.load(Ordering::SeqCst), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_leaves_the_queue_and_the_hardware_finishes() {
    let (gateway, counting) = start("[limits]\nattest_queue = 1").await;
    counting.shut();
    let ask = |number: u8| {
        let address = gateway.address;
        tokio::spawn(async move {
            let mut connection = testkit::client::TlsClient::observing()
                .connect(address)
                .await
                .expect("a connection");
            let nonce = Nonce::from_bytes([number; 32]);
            connection
                .get(&format!("{PATH}?nonce={nonce}"))
                .await
                .map(|answer| answer.status.as_u16())
        })
    };
    let first = ask(1);
    eventually("the hardware is asked", async || {
        counting.attested.load(Ordering::SeqCst) == 1
    })
    .await;
    first.abort();
    let mut served = Vec::new();
    eventually("there is room in the queue again", async || {
        served.push(ask(2));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        !served.last().expect("just pushed").is_finished()
    })
    .await;
    counting.open();
    let last = served
        .pop()
        .expect("one that waits")
        .await
        .expect("no panic")
        .expect("an answer");
    assert_eq!(last, 200);
    assert_eq!(counting.most_at_once.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_a_malformed_report_request_without_using_the_hardware() {
    let (gateway, counting) = start("").await;
    let mut connection = gateway.connect().await;
    for query in ["?nonce=", "?nonce=00", "?collateral=yes"] {
        let (status, kind, ..) = error(
            connection
                .get(&format!("{PATH}{query}"))
                .await
                .expect(query),
        )
        .await;
        assert_eq!(
            (status, kind.as_str()),
            (400, "invalid_request_error"),
            "{query}"
        );
    }
    assert_eq!(counting.attested.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tee_there_is_no_report_even_if_the_platform_could_make_one() {
    let counting = Arc::new(Counting::default());
    let gateway = Gateway::start(
        Setup::new("", ""),
        Arc::new(CountingPlatform(counting.clone())),
    )
    .await;
    let refused = error(gateway.connect().await.get(PATH).await.expect("an answer")).await;
    assert_eq!(refused, (404, "not_found".into(), Value::Null, Value::Null));
    assert_eq!(counting.attested.load(Ordering::SeqCst), 0);
}
