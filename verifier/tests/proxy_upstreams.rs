//! What the proxy sends to a service that forwards prompts to upstreams, and what it
//! makes of the receipts.

mod running;
mod service;

use std::process::Command;

use http::StatusCode;
use http_body_util::BodyExt;

use running::{PROMPT, Setup, json, start};
use sealgate_verify::proxy::Upstreams;
use service::{Behaviour, Service};
use testkit::scratch::ScratchDir;

const CONFIDENTIAL: &str =
    r#"{"object":"list","data":[{"id":"demo-model","object":"model","confidential":true}]}"#;
const PLAIN: &str =
    r#"{"object":"list","data":[{"id":"demo-model","object":"model","confidential":false}]}"#;

fn setup(upstreams: Upstreams, require_receipt: bool) -> Setup {
    Setup {
        upstreams,
        require_receipt,
        ..Setup::default()
    }
}

#[tokio::test]
async fn a_prompt_for_a_model_that_is_not_confidential_is_not_sent() {
    for require_receipt in [false, true] {
        let service = Service::start().await;
        service.aggregates(PLAIN);
        let proxy = start(&service, setup(Upstreams::VerifiedOnly, require_receipt)).await;
        for _ in 0..2 {
            let refused = proxy.chat().await;
            assert_eq!(refused.status(), StatusCode::FORBIDDEN);
            let body = json(refused).await;
            assert_eq!(body["error"]["type"], "upstream_verification_failed");
            assert_eq!(body["error"]["code"], "upstream_not_verified");
        }
        assert!(service.prompts().is_empty());
        let requests = service.state.requests.lock().unwrap().clone();
        let lists = requests.iter().filter(|line| line.ends_with("/v1/models"));
        assert_eq!(lists.count(), 1, "the list is asked for once per keyset");
    }
}

#[tokio::test]
async fn a_prompt_for_a_confidential_model_is_sent_and_its_receipt_accepted() {
    let service = Service::start().await;
    service.aggregates(CONFIDENTIAL);
    service.behave(Behaviour::VerifiedUpstream);
    let proxy = start(&service, setup(Upstreams::VerifiedOnly, true)).await;
    assert_eq!(json(proxy.chat().await).await["id"], "chatcmpl-1");
    proxy.logged("upstream verified in session 5a5a").await;
    service.rotate();
    service.aggregates(PLAIN);
    let refused = proxy.chat().await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN, "another keyset");
    assert_eq!(service.prompts().len(), 1);
}

#[tokio::test]
async fn the_flag_sends_prompts_to_unverified_upstreams_and_the_journal_says_so() {
    let service = Service::start().await;
    service.aggregates(PLAIN);
    service.behave(Behaviour::UnverifiedUpstream);
    let proxy = start(&service, setup(Upstreams::AnyAllowed, true)).await;
    assert_eq!(json(proxy.chat().await).await["id"], "chatcmpl-1");
    proxy.logged("UPSTREAM NOT VERIFIED").await;
    service.behave(Behaviour::OtherResponse);
    assert!(proxy.chat().await.into_body().collect().await.is_err());
    proxy.logged("is for the response").await;
}

#[tokio::test]
async fn a_direct_service_is_not_asked_for_its_model_list() {
    let service = Service::start().await;
    service.lists(500, "");
    let proxy = start(&service, Setup::default()).await;
    assert_eq!(proxy.chat().await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_that_demands_a_verified_upstream_is_sent() {
    let service = Service::start().await;
    service.aggregates(PLAIN);
    service.behave(Behaviour::VerifiedUpstream);
    let proxy = start(&service, setup(Upstreams::VerifiedOnly, true)).await;
    let demanding = r#"{"model":"demo-model","provider":{"aci_verified":true},"messages":[]}"#;
    let answer = proxy.post("/v1/chat/completions", demanding).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.into_body().collect().await.expect("a whole answer");
    assert_eq!(service.prompts().len(), 1);
}

#[tokio::test]
async fn a_demand_that_the_service_did_not_keep_is_found_in_the_receipt() {
    let service = Service::start().await;
    service.aggregates(CONFIDENTIAL);
    for behaviour in [Behaviour::UnverifiedUpstream, Behaviour::Honest] {
        service.behave(behaviour);
        let proxy = start(&service, setup(Upstreams::VerifiedOnly, true)).await;
        assert!(proxy.chat().await.into_body().collect().await.is_err());
        proxy
            .logged("NOT VERIFIED: the receipt contradicts the exchange: upstream.verified")
            .await;
        let next = proxy.chat().await;
        assert_eq!(next.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn without_a_readable_model_list_no_prompt_is_sent() {
    let service = Service::start().await;
    let proxy = start(&service, setup(Upstreams::VerifiedOnly, false)).await;
    service.aggregates("no list");
    let refused = proxy.chat().await;
    assert_eq!(refused.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(json(refused).await["error"]["code"], "models_not_shown");
    service.lists(401, "{}");
    assert_eq!(proxy.chat().await.status(), StatusCode::UNAUTHORIZED);
    service.lists(503, "{}");
    assert_eq!(proxy.chat().await.status(), StatusCode::BAD_GATEWAY);
    service.lists(200, CONFIDENTIAL);
    for (path, body, status, code) in [
        (
            "/v1/chat/completions",
            r#"{"model":"x"}"#,
            404,
            "model_not_found",
        ),
        ("/v1/chat/completions", "", 400, "model_unreadable"),
        (
            "/v1/chat/completions",
            r#"{"model":"demo-model","model":"other"}"#,
            400,
            "model_unreadable",
        ),
        (
            "/v1/chat/completions",
            r#"{"model":"demo-model","Model":"other"}"#,
            400,
            "model_unreadable",
        ),
        (
            "/v1/audio/transcriptions",
            "--x\r\n",
            400,
            "model_unreadable",
        ),
        ("/v1/images", r#"{"prompt":"x"}"#, 400, "model_unreadable"),
    ] {
        let refused = proxy.post(path, body).await;
        assert_eq!(refused.status(), status, "{path} {body}");
        assert_eq!(json(refused).await["error"]["code"], code, "{path} {body}");
    }
    assert!(service.prompts().is_empty());
    let requests = service.state.requests.lock().unwrap().clone();
    let posts = requests.iter().filter(|line| line.starts_with("POST"));
    assert_eq!(posts.count(), 0, "{requests:?}");
}

/// `sealgate-verify receipt` about the exchange that the proxy has just let pass.
fn command_says(service: &Service, dir: &ScratchDir, whole: bool) -> (Option<i32>, String) {
    let file = |name: &str| dir.path().join(name);
    let receipts = service.state.receipts.lock().unwrap().clone();
    let (_, (receipt, _)) = receipts.iter().next().expect("a receipt");
    let epoch = service.state.replica(0);
    let keyset = epoch.keyset.to_jcs();
    std::fs::write(file("receipt.json"), receipt).unwrap();
    std::fs::write(file("keyset.json"), keyset).unwrap();
    std::fs::write(file("request.json"), PROMPT).unwrap();
    let response = r#"{"id":"chatcmpl-1","choices":[{"message":{"content":"hello"}}]}"#;
    std::fs::write(file("response.json"), response).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealgate-verify"));
    command.current_dir(dir.path()).args([
        "receipt",
        "receipt.json",
        "--keyset",
        "keyset.json",
        "--request",
        "request.json",
    ]);
    if whole {
        command.args(["--response", "response.json"]);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text)
}

#[tokio::test]
async fn the_proxy_accepts_the_receipts_that_the_command_accepts_and_no_others() {
    for (behaviour, accepted) in [
        (Behaviour::Honest, true),
        (Behaviour::VerifiedUpstream, true),
        (Behaviour::OtherResponse, false),
        (Behaviour::OtherRequest, false),
        (Behaviour::Edited, false),
        (Behaviour::OtherKeyset, false),
        (Behaviour::OtherKey, false),
        (Behaviour::ServedLate, false),
        (Behaviour::UnverifiedUpstream, false),
    ] {
        let service = Service::start().await;
        let dir = ScratchDir::new("receipts-equal").unwrap();
        let proxy = start(&service, setup(Upstreams::VerifiedOnly, true)).await;
        service.behave(behaviour);
        let passed = proxy.chat().await.into_body().collect().await.is_ok();
        assert_eq!(passed, accepted, "the proxy: {behaviour:?}");
        let (code, text) = command_says(&service, &dir, true);
        let wanted = if accepted { 0 } else { 10 };
        assert_eq!(code, Some(wanted), "the command: {behaviour:?}: {text}");
        if !accepted {
            // The same finding, in the same words.
            let line = proxy.logged("NOT VERIFIED").await;
            let finding = line.split("exchange: ").nth(1).expect("a finding");
            let (id, cause) = finding.split_once(": ").expect("an id");
            let found = text
                .lines()
                .any(|row| row.contains(id) && row.contains("FAIL"));
            assert!(found, "{behaviour:?}: {finding} in {text}");
            assert!(text.contains(&cause[..cause.len().min(30)]), "{text}");
        }
    }
}

#[tokio::test]
async fn a_receipt_about_another_request_of_the_same_bytes_is_refused() {
    for behaviour in [Behaviour::OtherId, Behaviour::OtherEndpoint] {
        let service = Service::start().await;
        let proxy = start(&service, setup(Upstreams::VerifiedOnly, true)).await;
        service.behave(behaviour);
        assert!(proxy.chat().await.into_body().collect().await.is_err());
        let line = proxy.logged("NOT VERIFIED").await;
        assert!(line.contains("receipt.exchange"), "{line}");
    }
}
