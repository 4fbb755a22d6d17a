//! The proxy against a live attested service on the software platform.

mod running;
mod service;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};

use running::{PROMPT, Setup, json, start};
use service::{Behaviour, Service};
use testkit::TdMeasurements;
use testkit::policy::pinned_policy;
use testkit::relay::Relay;
use testkit::scratch::ScratchDir;

#[tokio::test]
async fn a_prompt_reaches_an_accepted_service_and_its_receipt_is_verified() {
    let service = Service::start().await;
    let proxy = start(&service, Setup::default()).await;
    let response = proxy.chat().await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(json(response).await["id"], "chatcmpl-1");
    assert_eq!(service.prompts(), [Bytes::from_static(PROMPT.as_bytes())]);
    proxy.logged("verified").await;
    let lines = proxy.stop().await;
    assert!(
        lines
            .iter()
            .all(|line| !line.contains("secret-key") && !line.contains("hi\"")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn another_measurement_is_refused_and_the_prompt_is_not_sent() {
    let service = Service::start().await;
    let setup = Setup {
        measured: Some(TdMeasurements::named("another image")),
        ..Setup::default()
    };
    let proxy = start(&service, setup).await;
    let response = proxy.chat().await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = json(response).await;
    assert_eq!(body["error"]["type"], "upstream_verification_failed");
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("tdx.measurement.mrtd"),
        "{body}"
    );
    assert!(service.prompts().is_empty());
    let verdicts = json(proxy.get("/_sealgate/verdict").await).await;
    assert_eq!(verdicts["last_rejection"]["decision"], "rejected");
    assert_eq!(
        proxy.get("/healthz").await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn refuses_a_relay_with_another_key_before_the_prompt_is_sent() {
    let service = Service::start().await;
    let relay = Relay::start(service.address).await.unwrap();
    let proxy = start(
        &service,
        Setup {
            address: Some(relay.address()),
            ..Setup::default()
        },
    )
    .await;
    let body = json(proxy.chat().await).await;
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("channel.spki"), "{message}");
    assert!(!message.contains("tdx.measurement"), "{message}");
    assert!(service.prompts().is_empty());
    assert_eq!(
        *service.state.requests.lock().unwrap(),
        ["GET /v1/aci/attestation"]
    );
}

#[tokio::test]
async fn new_keys_are_verified_before_the_prompt_is_sent_again() {
    let service = Service::start().await;
    let proxy = start(&service, Setup::default()).await;
    assert_eq!(proxy.chat().await.status(), StatusCode::OK);
    service.rotate();
    let response = proxy.chat().await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers()["x-aci-keyset-digest"],
        service.keyset_digests()[0].as_str()
    );
    response.into_body().collect().await.unwrap();
    assert_eq!(
        service.prompts().len(),
        2,
        "the refused attempt must not have been processed"
    );
    let reports = service
        .state
        .requests
        .lock()
        .unwrap()
        .iter()
        .filter(|r| r.contains("attestation"))
        .count();
    assert_eq!(reports, 2);
}

#[tokio::test]
async fn every_replica_is_verified_on_its_own_connection_before_it_sees_a_prompt() {
    let service = Service::with_replicas(service::platform(), 3).await;
    let proxy = start(&service, Setup::default()).await;
    let answers = futures_util::future::join_all((0..6).map(|_| proxy.chat())).await;
    for answer in answers {
        assert_eq!(answer.status(), StatusCode::OK);
        answer.into_body().collect().await.unwrap();
    }
    let verdicts = json(proxy.get("/_sealgate/verdict").await).await;
    let mut met: Vec<String> = verdicts["peers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|peer| peer["keyset_digest"].as_str().unwrap().to_owned())
        .collect();
    let mut known = service.keyset_digests();
    met.sort();
    known.sort();
    assert_eq!(met, known);
    let reports = service
        .state
        .requests
        .lock()
        .unwrap()
        .iter()
        .filter(|r| r.contains("attestation"))
        .count();
    assert_eq!(reports, 3);
}

#[tokio::test]
async fn a_streamed_chunk_arrives_before_the_next_one_is_made() {
    let service = Service::start().await;
    let proxy = start(
        &service,
        Setup {
            require_receipt: true,
            ..Setup::default()
        },
    )
    .await;
    let steps = service.step();
    let pieces = [
        "data: {\"a\":1}\n\n",
        "data: {\"b\":2}\n\n",
        "data: [DONE]\n\n",
    ];
    steps
        .send(Bytes::from_static(pieces[0].as_bytes()))
        .await
        .unwrap();
    let mut body = proxy.chat().await.into_body();
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            steps
                .send(Bytes::from_static(piece.as_bytes()))
                .await
                .unwrap();
        }
        let frame = tokio::time::timeout(Duration::from_secs(5), body.frame())
            .await
            .unwrap();
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), piece);
    }
    drop(steps);
    assert!(body.frame().await.is_none());
    proxy.logged("verified").await;
}

async fn refused_receipt(behaviour: Behaviour, said: &str) {
    let service = Service::start().await;
    let proxy = start(
        &service,
        Setup {
            require_receipt: true,
            ..Setup::default()
        },
    )
    .await;
    service.behave(behaviour);
    let response = proxy.chat().await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(
        response.into_body().collect().await.is_err(),
        "the response must not end well"
    );
    let line = proxy.logged("NOT VERIFIED").await;
    assert!(line.contains(said), "{line}");
    service.behave(Behaviour::Honest);
    let next = proxy.chat().await;
    assert_eq!(next.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        json(next).await["error"]["type"],
        "receipt_verification_failed"
    );
    assert_eq!(service.prompts().len(), 1);
    assert_eq!(
        proxy.get("/healthz").await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn a_receipt_for_another_response_ends_the_trust_where_receipts_are_required() {
    refused_receipt(Behaviour::OtherResponse, "is for the response").await;
}

#[tokio::test]
async fn a_receipt_for_another_request_ends_the_trust_where_receipts_are_required() {
    refused_receipt(Behaviour::OtherRequest, "is for the request").await;
}

#[tokio::test]
async fn a_receipt_edited_after_signing_ends_the_trust_where_receipts_are_required() {
    refused_receipt(Behaviour::Edited, "signature does not verify").await;
}

#[tokio::test]
async fn a_contradicting_receipt_is_only_logged_if_receipts_are_not_required() {
    let service = Service::start().await;
    let proxy = start(&service, Setup::default()).await;
    service.behave(Behaviour::OtherResponse);
    assert_eq!(json(proxy.chat().await).await["id"], "chatcmpl-1");
    proxy.logged("NOT VERIFIED: the receipt contradicts").await;
    assert_eq!(proxy.chat().await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_withheld_receipt_interrupts_the_response_without_distrust() {
    let service = Service::start().await;
    let proxy = start(
        &service,
        Setup {
            require_receipt: true,
            ..Setup::default()
        },
    )
    .await;
    service.behave(Behaviour::Withheld);
    assert!(proxy.chat().await.into_body().collect().await.is_err());
    proxy.logged("no receipt was served").await;
    service.behave(Behaviour::Honest);
    assert_eq!(json(proxy.chat().await).await["id"], "chatcmpl-1");
}

#[tokio::test]
async fn a_response_without_a_receipt_is_refused_where_receipts_are_required() {
    let service = Service::start().await;
    let proxy = start(
        &service,
        Setup {
            require_receipt: true,
            ..Setup::default()
        },
    )
    .await;
    service.behave(Behaviour::Unnamed);
    let response = proxy.chat().await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(
        json(response).await["error"]["type"],
        "receipt_verification_failed"
    );
}

#[tokio::test]
async fn a_response_that_breaks_off_is_broken_off_for_the_caller_too() {
    let service = Service::start().await;
    let proxy = start(&service, Setup::default()).await;
    service.behave(Behaviour::BreaksOff);
    let response = proxy.chat().await;
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn kept_receipts_can_be_checked_again_with_the_report_beside_them() {
    let service = Service::start().await;
    let dir = ScratchDir::new("kept").unwrap();
    let setup = Setup {
        require_receipt: true,
        keep: Some(dir.path().to_owned()),
        ..Setup::default()
    };
    let proxy = start(&service, setup).await;
    assert_eq!(json(proxy.chat().await).await["id"], "chatcmpl-1");
    proxy.stop().await;
    let digest = service.keyset_digests()[0]
        .trim_start_matches("sha256:")
        .to_owned();
    let receipt = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().ends_with(".receipt.json"))
        .unwrap();
    let nonce = std::fs::read_to_string(dir.path().join(format!("{digest}.nonce"))).unwrap();
    let policy = dir
        .write(
            "policy.toml",
            pinned_policy("test", &service.measurements()),
        )
        .unwrap();
    service
        .state
        .platform
        .write_roots(&dir.path().join("roots"))
        .unwrap();
    let report = dir.path().join(format!("{digest}.report.json"));
    let args = ["sealgate-verify", "receipt"]
        .map(std::ffi::OsString::from)
        .into_iter()
        .chain([
            receipt.into(),
            "--report".into(),
            report.into(),
            "--nonce".into(),
            nonce.into(),
            "--policy".into(),
            policy.into(),
            "--roots".into(),
            dir.path().join("roots").into(),
        ]);
    let args: Vec<_> = args.collect();
    let code = tokio::task::spawn_blocking(move || sealgate_verify::run(args))
        .await
        .unwrap();
    assert_eq!(
        format!("{code:?}"),
        format!("{:?}", std::process::ExitCode::from(0))
    );
}

#[tokio::test]
async fn paths_outside_the_api_and_large_bodies_are_refused_here() {
    let service = Service::start().await;
    let proxy = start(&service, Setup::default()).await;
    let elsewhere = Request::post("/metrics")
        .header("host", "x")
        .body(Full::default())
        .unwrap();
    assert_eq!(proxy.send(elsewhere).await.status(), StatusCode::NOT_FOUND);
    let large = Request::post("/v1/chat/completions")
        .header("host", "x")
        .body(Full::new(Bytes::from(vec![b'x'; (1 << 20) + 1])))
        .unwrap();
    assert_eq!(
        proxy.send(large).await.status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert!(service.state.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_status_page_names_supplied_roots() {
    let service = Service::start().await;
    let proxy = start(&service, Setup::default()).await;
    assert_eq!(
        proxy.get("/healthz").await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(proxy.get("/v1/models").await.status(), StatusCode::OK);
    assert_eq!(proxy.get("/healthz").await.status(), StatusCode::OK);
    let page = proxy
        .get("/")
        .await
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    let page = String::from_utf8(page.to_vec()).unwrap();
    assert!(page.contains("roots supplied"), "{page}");
    assert!(page.contains(&service.keyset_digests()[0]), "{page}");
}
