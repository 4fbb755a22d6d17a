//! A policy change needs a signed document, and begins an epoch.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use attest_core::Sha256Digest;
use attest_core::retention::RetentionMode;
use attest_core::retention::{
    ChainError, ChangeRefused, PolicySignatures, RetentionPolicy, SignatureError,
};
use gateway_base::config::Config;
use gateway_retention::{HistoryError, decide};
use gateway_store::ledger::inspect;
use sealgate::ServeError;
use sealgate::serve;
use testkit::client::{TlsClient, post};
use testkit::engine::{CHAT_MODEL, Engine};
use testkit::scratch::ScratchDir;

use crate::support::platform::{Counting, CountingPlatform, NoTee};
use crate::support::policies::{METADATA, ZERO, beginning_with, policy, signed, text};
use crate::support::{CHAT, Gateway, Setup, TIMEOUT, chat, error, eventually, streamed};

async fn plain(terms: &str) -> Gateway {
    Gateway::start(beginning_with(terms, Setup::new("", "")), Arc::new(NoTee)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_change_replaces_every_key_and_invalidates_tickets() {
    let gateway = plain(METADATA).await;
    let client = TlsClient::observing();
    let mut first = client.connect(gateway.address).await.expect("a connection");
    let keyset = first.get("/healthz").await.expect("an answer");
    let keyset = keyset
        .header("x-aci-keyset-digest")
        .expect("a keyset")
        .to_owned();
    let second = client.connect(gateway.address).await.expect("a connection");
    assert!(second.was_resumed(), "within an epoch sessions resume");
    assert!(!client.would_send_early_data());
    gateway.toggle(ZERO).await;
    let mut third = client.connect(gateway.address).await.expect("a connection");
    assert!(!third.was_resumed(), "a ticket crossed into another policy");
    assert_ne!(third.spki_sha256(), first.spki_sha256());
    eventually("old connections are closed", async || {
        first.is_closed() && second.is_closed()
    })
    .await;
    let request = post(CHAT, &gateway.key).header("x-aci-keyset-digest", keyset);
    let body = chat("x").to_string().into();
    let refused = third.send(request, body).await.expect("an answer");
    assert_eq!(error(refused).await.2, "keyset_changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_finish_under_the_policy_that_admitted_them() {
    let gateway = plain(METADATA).await;
    let before = policy(&text(1, None, METADATA));
    let stepper = gateway.engine.stepping();
    let mut old = gateway.connect().await;
    let mut stream = old
        .post(&gateway.key, CHAT, &streamed("finish"))
        .await
        .expect("an answer");
    let id = stream.header("x-receipt-id").expect("an id").to_owned();
    stepper.release(1);
    stream.chunk().await.expect("a chunk");
    gateway.toggle(ZERO).await;
    stepper.release(1000);
    let rest = tokio::time::timeout(TIMEOUT, stream.bytes())
        .await
        .expect("in time");
    assert!(rest.expect("a whole body").ends_with(b"data: [DONE]\n\n"));
    let receipt = super::races::receipt(&gateway, &id).await;
    assert_eq!(
        super::races::applied(&receipt),
        (before.digest(), "metadata".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_a_policy_change_with_a_wrong_signature_predecessor_or_epoch() {
    let gateway = plain(METADATA).await;
    let key = gateway.connect().await.spki_sha256();
    let first = policy(&text(1, None, METADATA)).digest();
    let good = text(2, Some(first), ZERO);
    let refused = async |text: &str, signatures| match gateway.try_to_set(text, signatures).await {
        Err(HistoryError::Refused(reason)) => reason,
        other => panic!("{text}: {other:?}"),
    };
    let own = |text: &str| signed(&policy(text));
    assert_eq!(
        refused(&good, PolicySignatures::default()).await,
        SignatureError::Unsigned.into()
    );
    let other = text(2, Some(first), METADATA);
    assert!(matches!(
        refused(&good, own(&other)).await,
        ChangeRefused::Signature(SignatureError::Invalid(_))
    ));
    let wrong = text(2, Some(Sha256Digest::hash(b"x")), ZERO);
    assert!(matches!(
        refused(&wrong, own(&wrong)).await,
        ChangeRefused::Predecessor { .. }
    ));
    let older = text(1, None, ZERO);
    assert_eq!(
        refused(&older, own(&older)).await,
        ChangeRefused::NotNewer {
            current: 1,
            proposed: 1
        }
    );
    let skips = text(3, Some(first), ZERO);
    assert_eq!(
        refused(&skips, own(&skips)).await,
        ChangeRefused::Skips {
            current: 1,
            proposed: 3
        }
    );
    assert_eq!(
        gateway.connect().await.spki_sha256(),
        key,
        "the epoch is the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_row_written_into_the_database_has_no_effect() {
    let gateway = plain(METADATA).await;
    let key = gateway.connect().await.spki_sha256();
    let first = policy(&text(1, None, METADATA)).digest();
    let forged = policy(&text(2, Some(first), ZERO));
    let mut database = gateway.database().await;
    sqlx::query("INSERT INTO retention_policies VALUES (2, ?, ?, '', 0)")
        .bind(forged.digest().to_string())
        .bind(forged.stored_text())
        .execute(&mut database)
        .await
        .expect("written");
    // Reloads are taken up one after the other, so that the look at the database lies before the last.
    for _ in 0..3 {
        gateway.ask_for_reload().await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(gateway.connect().await.spki_sha256(), key);
    assert_eq!(gateway.chat().await.status, 200);
}

/// Starts a service that is expected not to start.
async fn refusal(setup: &Setup, directory: &ScratchDir) -> HistoryError {
    let engine = Engine::start().await.expect("an engine");
    for (name, contents) in &setup.files {
        directory.write(name, contents).expect("written");
    }
    let file = directory
        .write("sealgate.toml", setup.text(&engine))
        .expect("written");
    let outcome = serve(&file, Arc::new(NoTee), std::future::pending(), |_| {});
    let outcome = tokio::time::timeout(TIMEOUT, outcome)
        .await
        .expect("it does not serve");
    let problems = match outcome {
        Err(ServeError::Config(error)) => error.problems,
        other => panic!("{other:?}"),
    };
    let config = Config::load(&file).expect("it reads");
    let seen = inspect(&config.server.state_dir).await.expect("the state");
    let error = decide(&seen.policies, &config.retention).expect_err("a refusal");
    let printed = config.lines.problem(error.key(), error.to_string());
    assert_eq!(problems, [printed], "the start prints what was decided");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn without_policy_keys_no_content_mode_and_with_keys_no_unsigned_policy() {
    let directory = ScratchDir::new("retention").expect("a directory");
    let content = text(
        1,
        None,
        &format!(
            "{METADATA}[[rule]]\ntenants = [\"acme\"]\nmode = \"content\"\nttl = \"1d\"\n\
             recipients = [\"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj\"]\n"
        ),
    );
    let mut unsigned = Setup::new("", "[retention]\npolicy = \"retention.toml\"\n");
    unsigned.files.push(("retention.toml", content));
    assert!(matches!(
        refusal(&unsigned, &directory).await,
        HistoryError::First(ChangeRefused::UnsignedContent)
    ));
    let mut nothing_signed = beginning_with(METADATA, Setup::new("", ""));
    nothing_signed.sections = nothing_signed
        .sections
        .replace("policy = \"retention.toml\"\n", "");
    assert!(matches!(
        refusal(&nothing_signed, &directory).await,
        HistoryError::NoSignedPolicy
    ));
    let mut no_signature = beginning_with(METADATA, Setup::new("", ""));
    no_signature.files[1].1.clear();
    assert!(matches!(
        refusal(&no_signature, &directory).await,
        HistoryError::First(ChangeRefused::Signature(SignatureError::Unsigned))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_continues_after_a_restart_and_only_with_its_keys() {
    let mut gateway = plain(METADATA).await;
    let second = gateway.toggle(ZERO).await;
    gateway.stopped().await;
    let directory = ScratchDir::new("retention").expect("a directory");
    std::fs::create_dir(directory.path().join("state")).expect("a directory");
    for entry in std::fs::read_dir(gateway.directory.path().join("state")).expect("a directory") {
        let entry = entry.expect("an entry");
        if entry.path().is_file() {
            let to = directory.path().join("state").join(entry.file_name());
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
    let refused = refusal(&Setup::new("", ""), &directory).await;
    assert!(matches!(
        refused,
        HistoryError::Chain(ChainError::Head(ChangeRefused::NoPolicyKeys))
    ));
    // The configured first policy is in the history; the policy that follows it there is active.
    let setup = beginning_with(METADATA, Setup::attested(""));
    let again = Gateway::start_in(
        directory,
        setup,
        Arc::new(CountingPlatform(Arc::new(Counting::default()))),
    )
    .await;
    let (_, active) = super::races::attested(&mut again.connect().await)
        .await
        .expect("a report");
    assert_eq!(active, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_preconditions_cover_every_mode_and_each_tenants_terms() {
    let terms = format!(
        "{METADATA}[[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n\
         [[rule]]\nmodels = [\"{CHAT_MODEL}\"]\ntenants = [\"lab\"]\nmode = \"zero\"\n"
    );
    let gateway = plain(&terms).await;
    let clinic = gateway.create_key("clinic").await;
    let lab = gateway.create_key("lab").await;
    let known = async |key: &str| {
        let mut connection = gateway.connect().await;
        let models = connection
            .get_as(key, "/v1/models")
            .await
            .expect("an answer");
        models.status == 200
    };
    eventually("the keys are known", async || {
        known(&clinic).await && known(&lab).await
    })
    .await;
    let ask = async |key: &str, headers: &[(&str, &str)]| {
        let mut request = post(CHAT, key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut connection = gateway.connect().await;
        let answer = connection
            .send(request, chat("x").to_string().into())
            .await
            .expect("an answer");
        answer.status.as_u16()
    };
    let allow = |mode| ("x-sealgate-retention", mode);
    let model = |name| ("x-sealgate-model", name);
    assert_eq!(ask(&gateway.key, &[allow("content")]).await, 200);
    assert_eq!(ask(&gateway.key, &[allow("metadata")]).await, 200);
    assert_eq!(ask(&gateway.key, &[allow("zero")]).await, 412);
    assert_eq!(ask(&clinic, &[allow("zero")]).await, 200);
    // Of the lab's requests to other models more is kept, and the body has not been read.
    assert_eq!(ask(&lab, &[allow("zero")]).await, 412);
    assert_eq!(ask(&lab, &[allow("zero"), model(CHAT_MODEL)]).await, 200);
    assert_eq!(ask(&lab, &[allow("zero"), model("alias/of-it")]).await, 400);
    assert_eq!(ask(&gateway.key, &[allow("everything")]).await, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_carries_the_policy_and_the_signatures_under_it() {
    let counting = Arc::new(Counting::default());
    let setup = beginning_with(ZERO, Setup::attested(""));
    let gateway = Gateway::start(setup, Arc::new(CountingPlatform(counting.clone()))).await;
    let mut connection = gateway.connect().await;
    let (report, active) = super::races::attested(&mut connection)
        .await
        .expect("a report");
    assert_eq!(active.most(), RetentionMode::Zero);
    let documents = &report.evidence().documents;
    let lines = PolicySignatures::parse(&documents["retention_signatures"]).expect("signatures");
    let keys = match crate::support::policies::authority() {
        attest_core::retention::Authority::Keys(keys) => keys,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        keys.verify(active.digest(), &lines).map(|by| by.len()),
        Ok(1)
    );
    assert!(
        documents["config"].contains(&keys.to_hex()[0]),
        "the keys are attested, too"
    );
    assert_eq!(
        RetentionPolicy::from_stored(&documents["retention"]),
        Ok(active)
    );
    assert_eq!(counting.attested.load(Ordering::SeqCst), 1);
}
