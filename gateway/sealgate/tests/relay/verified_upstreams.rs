//! A confidential model is served only by enclaves whose evidence was accepted.

use crate::support::engine::RawEngine;
use crate::support::platform::{Enclave, running};
use crate::support::*;
use attest_core::{Claim, ClaimSource, Session, SessionId, Sha256Digest, Upstream};
use testkit::policy::write_policy;
use testkit::scratch::ScratchDir;
use testkit::{SoftwarePlatform, TdMeasurements};

const BODY: &str = r#"{"model":"m","messages":[]}"#;
const ANSWER: &str = r#"{"id":"chatcmpl-5","usage":{"prompt_tokens":4,"completion_tokens":6}}"#;

/// An aggregator that accepts the image `enclave` on the software platform, with these upstreams for model `m`.
async fn aggregator(platform: &SoftwarePlatform, upstreams: &[(&str, &str)]) -> Bench {
    let directory = ScratchDir::new("aggregator").expect("a directory");
    platform
        .write_roots(&directory.path().join("roots"))
        .expect("roots");
    write_policy(
        &directory.path().join("policy.toml"),
        "test",
        &TdMeasurements::named("enclave"),
    )
    .expect("a policy");
    let mut sections = format!(
        "[tee]\nkind = \"tdx\"\n{TIMEOUTS}[attestation.enclave]\npolicy = \"policy.toml\"\nroots = \"roots\"\n\
         [[model]]\nid = \"m\"\nconfidential = true\nattestation = \"enclave\"\n"
    );
    for (index, (url, key)) in upstreams.iter().enumerate() {
        directory
            .write(&format!("{index}.key"), key)
            .expect("a file");
        sections.push_str(&format!(
            "[[model.upstream]]\nname = \"enclave-{index}\"\nurl = \"{url}\"\nmodel = \"served\"\napi_key_file = \"{index}.key\"\n"
        ));
    }
    Bench::start_in(directory, "aggregator", &sections).await
}

fn answer(engine: &RawEngine) {
    engine.answer("200 OK", "content-type: application/json\r\n", ANSWER);
}

fn pinned(ids: &[SessionId]) -> String {
    let ids: Vec<String> = ids.iter().map(SessionId::to_hex).collect();
    serde_json::json!({"model": "m", "provider": {"aci_session_ids": ids, "order": [1]}})
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_enclave_serves_and_the_receipt_cites_its_session() {
    let engine = RawEngine::start().await;
    let enclave = Enclave::start(running("enclave"), &engine.base()).await;
    let bench = aggregator(&running("enclave"), &[(&enclave.url(), &enclave.key)]).await;
    answer(&engine);
    let response = bench.chat(BODY).await;
    assert_eq!(response.status(), 200);
    let id = receipt_id(&response);
    assert_eq!(
        whole(response.into_body()).await,
        (ANSWER.as_bytes().to_vec(), true)
    );

    let receipt = bench.receipt(&id).await;
    let Upstream::Verified {
        required: true,
        model_id,
        session_id,
    } = receipt.upstream()
    else {
        panic!("{:?}", receipt.upstream());
    };
    assert_eq!(model_id, "served");
    let sent = engine.requests().remove(0);
    assert!(
        sent.ends_with(r#"{"model":"served","messages":[]}"#),
        "{sent}"
    );
    assert_eq!(
        forwarded(&receipt),
        Some(Sha256Digest::hash(br#"{"model":"served","messages":[]}"#))
    );
    assert_eq!(
        receipt.matches_response(Sha256Digest::hash(ANSWER.as_bytes())),
        Ok(())
    );
    assert_eq!(
        bench.usage(&id).await,
        ("completed".to_owned(), 200, Some(4), Some(6))
    );

    // What the receipt cites can be fetched, and says no more than was proven.
    let document = bench
        .back
        .ledger
        .sessions()
        .find(&session_id)
        .await
        .expect("a ledger")
        .expect("a session");
    let session = Session::parse(&document).expect("a session");
    assert_eq!(session.check_id(session_id), Ok(()));
    assert_eq!(
        session.record().endpoint.as_deref(),
        Some(enclave.url().as_str())
    );
    assert_eq!(session.record().upstream_name, "enclave-0");
    let claims = &session.record().claims;
    assert!(
        matches!(&claims.tee_attested, Claim::Asserted { source: ClaimSource::VerifierDerived, reason: Some(reason) } if reason.contains("SUPPLIED")),
        "{:?}",
        claims.tee_attested
    );
    assert!(
        matches!(&claims.tcb_up_to_date, Claim::Asserted { .. }),
        "{:?}",
        claims.tcb_up_to_date
    );
    assert!(
        matches!(&claims.os_known_good, Claim::Asserted { .. }),
        "{:?}",
        claims.os_known_good
    );
    assert_eq!(
        (&claims.gpu_attested, &claims.model_weights_provenance),
        (&Claim::Unknown, &Claim::Unknown)
    );
    assert_eq!(claims.extra["tcb_status"], "UpToDate");
    assert_eq!(claims.extra["roots"], "supplied");

    let listed = |upstream, model| bench.epoch.routes.sessions(upstream, model).len();
    assert_eq!(
        (listed(None, None), listed(Some("enclave-0"), Some("m"))),
        (1, 1)
    );
    assert_eq!(
        (listed(Some("other"), None), listed(None, Some("other"))),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_with_another_image_gets_no_prompt() {
    let engine = RawEngine::start().await;
    let impostor = Enclave::start(running("impostor"), &engine.base()).await;
    let bench = aggregator(&running("enclave"), &[(&impostor.url(), &impostor.key)]).await;
    let response = bench.chat(BODY).await;
    let id = receipt_id(&response);
    let (status, error, bytes) = error_of(response).await;
    assert_eq!(
        (status, &error["type"]),
        (503, &"upstream_verification_failed".into())
    );
    let receipt = bench.receipt(&id).await;
    let Upstream::Failed {
        required: true,
        reason,
        ..
    } = receipt.upstream()
    else {
        panic!("{:?}", receipt.upstream());
    };
    assert_eq!(reason, "rejected:tdx.measurement.mrtd");
    assert_eq!(forwarded(&receipt), None);
    assert_eq!(receipt.matches_response(Sha256Digest::hash(&bytes)), Ok(()));
    assert_eq!(bench.usage(&id).await.0, "verification_failed");
    assert!(engine.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn fails_over_from_a_rejected_upstream() {
    let (bad, good) = (RawEngine::start().await, RawEngine::start().await);
    let impostor = Enclave::start(running("impostor"), &bad.base()).await;
    let enclave = Enclave::start(running("enclave"), &good.base()).await;
    let upstreams = [
        (impostor.url(), &impostor.key),
        (enclave.url(), &enclave.key),
    ];
    let upstreams = [
        (upstreams[0].0.as_str(), upstreams[0].1.as_str()),
        (upstreams[1].0.as_str(), upstreams[1].1.as_str()),
    ];
    let bench = aggregator(&running("enclave"), &upstreams).await;
    answer(&good);
    let response = bench.chat(BODY).await;
    assert_eq!(response.status(), 200);
    let id = receipt_id(&response);
    assert!(whole(response.into_body()).await.1);
    let receipt = bench.receipt(&id).await;
    let passed = own_event(&receipt, "sealgate.upstream.passed_over").expect("the event");
    assert_eq!(
        (&passed["upstream_name"], &passed["reason"]),
        (&"enclave-0".into(), &"rejected:tdx.measurement.mrtd".into())
    );
    assert!(matches!(receipt.upstream(), Upstream::Verified { .. }));
    assert!(bad.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_evidence_gets_no_prompt() {
    let engine = RawEngine::start().await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        format!("https://{}", listener.local_addr().expect("an address"))
    };
    for (url, wanted) in [
        (engine.base().replace("http:", "https:"), "tls_failed"),
        (closed, "connect_failed"),
    ] {
        let bench = aggregator(&running("enclave"), &[(&url, "sk-x")]).await;
        let response = bench.chat(BODY).await;
        let id = receipt_id(&response);
        let (status, error, _) = error_of(response).await;
        // It was not reached: nothing was verified, and nothing refused.
        let expected = match error["code"].as_str() {
            Some("upstream_unavailable") => 502,
            Some("upstream_timeout") => 504,
            other => panic!("{url}: {other:?}"),
        };
        assert_eq!(status, expected, "{url}");
        let receipt = bench.receipt(&id).await;
        let Upstream::Failed {
            required: true,
            reason,
            ..
        } = receipt.upstream()
        else {
            panic!("{:?}", receipt.upstream());
        };
        assert!(reason == wanted || reason == "connect_timeout", "{reason}");
        assert_eq!(forwarded(&receipt), None);
    }
    assert!(engine.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_session_is_not_served_by_its_successor() {
    let engine = RawEngine::start().await;
    let enclave = Enclave::start(running("enclave"), &engine.base()).await;
    let bench = aggregator(&running("enclave"), &[(&enclave.url(), &enclave.key)]).await;
    eventually("the enclave is verified ahead of need", async || {
        !bench.epoch.routes.sessions(None, None).is_empty()
    })
    .await;
    let session = bench.epoch.routes.sessions(None, None)[0].id();

    answer(&engine);
    let response = bench
        .chat(&pinned(&[SessionId::from_bytes([1; 32]), session]))
        .await;
    assert_eq!(response.status(), 200);
    let id = receipt_id(&response);
    assert!(whole(response.into_body()).await.1);
    assert!(
        matches!(bench.receipt(&id).await.upstream(), Upstream::Verified { session_id, .. } if session_id == session)
    );
    // The constraint is ours to consume; the rest of `provider` is not.
    let sent = engine.requests().remove(0);
    assert!(
        sent.contains(r#""provider":{"order":[1]}"#) && !sent.contains("aci_"),
        "{sent}"
    );

    let response = bench.chat(&pinned(&[SessionId::from_bytes([1; 32])])).await;
    let id = receipt_id(&response);
    let (status, error, _) = error_of(response).await;
    assert_eq!(
        (status, &error["type"]),
        (412, &"session_not_accepted".into())
    );
    let receipt = bench.receipt(&id).await;
    assert!(matches!(
        receipt.upstream(),
        Upstream::Failed {
            required: true,
            reason: "session_not_accepted",
            ..
        }
    ));
    assert_eq!(forwarded(&receipt), None);
    assert_eq!(engine.requests().len(), 1);

    // The enclave's next epoch replaces its key, which ends the pinned session.
    enclave.begin_new_epoch().await;
    let prompts = engine.requests().len();
    let (status, error, _) = error_of(bench.chat(&pinned(&[session])).await).await;
    assert_eq!(
        (status, &error["type"]),
        (412, &"session_not_accepted".into())
    );
    assert_eq!(engine.requests().len(), prompts);

    // A client that pinned nothing is served in the successor's session.
    answer(&engine);
    let response = bench.chat(BODY).await;
    assert_eq!(response.status(), 200);
    let id = receipt_id(&response);
    assert!(whole(response.into_body()).await.1);
    let receipt = bench.receipt(&id).await;
    assert!(
        matches!(receipt.upstream(), Upstream::Verified { session_id, .. } if session_id != session)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_service_satisfies_aci_verified_and_refuses_pinned_sessions() {
    let engine = RawEngine::start().await;
    let sections = format!(
        "[tee]\nkind = \"tdx\"\n{TIMEOUTS}[[model]]\nid = \"m\"\nconfidential = true\n[[model.upstream]]\nname = \"engine\"\nurl = \"{}\"\n",
        engine.base()
    );
    let bench = Bench::start("direct", "direct", &sections).await;
    answer(&engine);
    let response = bench
        .chat(r#"{"provider":{"aci_verified":true},"model":"m"}"#)
        .await;
    assert_eq!(response.status(), 200);
    let id = receipt_id(&response);
    assert!(whole(response.into_body()).await.1);
    let receipt = bench.receipt(&id).await;
    assert!(matches!(receipt.upstream(), Upstream::NotMentioned));
    assert_eq!(
        forwarded(&receipt),
        Some(Sha256Digest::hash(br#"{"model":"m"}"#))
    );

    let response = bench.chat(&pinned(&[SessionId::from_bytes([1; 32])])).await;
    let id = receipt_id(&response);
    assert_eq!(error_of(response).await.0, 412);
    assert!(matches!(
        bench.receipt(&id).await.upstream(),
        Upstream::NotMentioned
    ));
    assert_eq!(engine.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_enclave_behind_several_models_is_one_session() {
    let engine = RawEngine::start().await;
    let enclave = Enclave::start(running("enclave"), &engine.base()).await;
    let directory = ScratchDir::new("aggregator").expect("a directory");
    running("enclave")
        .write_roots(&directory.path().join("roots"))
        .expect("roots");
    write_policy(
        &directory.path().join("policy.toml"),
        "test",
        &TdMeasurements::named("enclave"),
    )
    .expect("a policy");
    let mut sections = "[tee]\nkind = \"tdx\"\n[attestation.enclave]\npolicy = \"policy.toml\"\nroots = \"roots\"\n".to_owned();
    for model in ["m", "n"] {
        sections.push_str(&format!(
            "[[model]]\nid = \"{model}\"\nconfidential = true\nattestation = \"enclave\"\n[[model.upstream]]\nname = \"enclave-0\"\nurl = \"{}\"\nmodel = \"served\"\n",
            enclave.url()
        ));
    }
    let bench = Bench::start_in(directory, "aggregator", &sections).await;
    eventually("it is verified", async || {
        bench.epoch.routes.sessions(None, None).len() == 1
    })
    .await;
    let routes = &bench.epoch.routes;
    assert_eq!(
        routes.sessions(None, Some("m"))[0].id(),
        routes.sessions(None, Some("n"))[0].id()
    );
}
