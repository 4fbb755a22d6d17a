//! Upstreams that abort, stay idle or end their messages badly, over real connections.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::time::timeout;

use attest_core::Sha256Digest;
use blackbox::asking::{CHAT, TIMEOUT, chat, eventually, receipt, streamed};
use blackbox::world::identity;
use testkit::client::{Answer, Connection};
use testkit::config::{Config, Model};
use testkit::engine::{CHAT_MODEL, Engine};
use testkit::scratch::ScratchDir;
use testkit::scripted::{ScriptedUpstream, Scripts, Step};
use testkit::service::{Program, Service, free_address};

const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const UNTIL_CLOSE: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
const DONE: &str = "data: [DONE]\n\n";

fn event(text: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

fn events(count: usize) -> String {
    (0..count)
        .map(|index| event(&format!("w{index} "), "null"))
        .collect()
}

fn chunk(text: &str) -> Step {
    Step::Send(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes())
}

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

/// A gateway whose models are served by `upstream` under their own names.
struct Gateway {
    service: Service,
    key: String,
    _directory: ScratchDir,
}

impl Gateway {
    async fn start(name: &str, upstream: &str, models: &[&str], more: &str) -> Result<Self> {
        let directory = ScratchDir::new(name)?;
        let mut config = Config::direct(free_address()?);
        config.tee = "none";
        config.mode = "aggregator";
        let mut config = config.and(more);
        for model in models {
            config = config.serving(Model::plain(model, upstream));
        }
        let identity = identity("gateway").run_as(Program::Shipped);
        let home = directory.path().join("gateway");
        let service = Service::start(&home, identity, config.listen, &config.text()).await?;
        let key = service.create_key("tests").await?;
        Ok(Self {
            service,
            key,
            _directory: directory,
        })
    }

    async fn ask(&self, body: &Value) -> Result<Asked> {
        let mut connection = self.service.connect().await?;
        let answer = connection.post(&self.key, CHAT, body).await?;
        Ok(Asked {
            answer,
            _connection: connection,
        })
    }

    async fn receipt(&self, id: &str) -> Result<Value> {
        let mut connection: Connection = self.service.connect().await?;
        Ok(serde_json::from_slice(
            &receipt(&mut connection, &self.key, id).await?,
        )?)
    }
}

/// An answer on its connection, which ends with it.
struct Asked {
    answer: Answer,
    _connection: Connection,
}

/// What came of an answer, and whether it ended properly.
async fn everything(mut asked: Asked) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    loop {
        match timeout(TIMEOUT, asked.answer.chunk())
            .await
            .expect("it ends or breaks")
        {
            Ok(Some(bytes)) => all.extend_from_slice(&bytes),
            Ok(None) => return (all, true),
            Err(_) => return (all, false),
        }
    }
}

fn id_of(asked: &Asked) -> String {
    asked
        .answer
        .header("x-receipt-id")
        .expect("a receipt id")
        .to_owned()
}

fn find<'a>(receipt: &'a Value, kind: &str) -> Option<&'a Value> {
    let events = receipt["event_log"].as_array()?;
    events.iter().find(|event| event["type"] == kind)
}

fn returned(receipt: &Value) -> &str {
    find(receipt, "response.returned")
        .and_then(|event| event["body_hash"].as_str())
        .expect("a hash")
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_an_upstream_sent_before_aborting_reaches_the_client() -> Result<()> {
    let body = events(10) + &event("", "\"stop\"");
    let json = format!("{{\"id\":\"x\",\"text\":\"{}\"}}", "z".repeat(2000));
    let long = events(4000);
    let scripts = Scripts::from([
        ("fin-at-once", vec![send(CHUNKED), chunk(&body)]),
        (
            "fin-a-moment-later",
            vec![
                send(CHUNKED),
                chunk(&body),
                Step::Pause(Duration::from_millis(3)),
            ],
        ),
        ("much", vec![send(CHUNKED), chunk(&long)]),
        (
            "short-of-its-length",
            vec![send(&format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n{json}"
            ))],
        ),
        ("head-alone", vec![send(CHUNKED)]),
    ]);
    let upstream = ScriptedUpstream::start(scripts).await?;
    let models = [
        ("fin-at-once", body.as_str(), 60),
        ("fin-a-moment-later", &body, 60),
        ("much", &long, 5),
        ("short-of-its-length", &json, 60),
        ("head-alone", "", 20),
    ];
    let names = models.map(|(name, ..)| name);
    let gateway = Gateway::start("last-bytes", &upstream.base_url(), &names, "").await?;
    for (model, sent, times) in models {
        for time in 0..times {
            let answer = gateway
                .ask(&streamed(model, "hello"))
                .await
                .with_context(|| format!("{model}, time {time}: not even a head"))?;
            assert_eq!(answer.answer.status, 200);
            let id = id_of(&answer);
            let (got, politely) = everything(answer).await;
            assert_eq!(
                (got.len(), politely),
                (sent.len(), false),
                "{model}, time {time}"
            );
            if time == 0 {
                let receipt = gateway.receipt(&id).await?;
                assert_eq!(returned(&receipt), Sha256Digest::hash(&got).to_string());
                let incomplete = find(&receipt, "sealgate.response.incomplete");
                assert_eq!(
                    incomplete.expect("the event")["reason"],
                    "upstream_broke_off"
                );
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_complete_when_only_its_transfer_encoding_ends_badly() -> Result<()> {
    let whole = events(3) + &event("", "\"stop\"");
    let done = format!("{whole}{DONE}");
    let unended = format!("{whole}data: [DONE]");
    let scripts = Scripts::from([
        ("no-last-chunk", vec![send(CHUNKED), chunk(&done)]),
        ("no-line-end", vec![send(UNTIL_CLOSE), send(&unended)]),
        ("no-done", vec![send(UNTIL_CLOSE), send(&whole)]),
        ("reset-after-done", {
            let pause = Step::Pause(Duration::from_millis(300));
            vec![send(CHUNKED), chunk(&done), pause, Step::Reset]
        }),
    ]);
    let upstream = ScriptedUpstream::start(scripts).await?;
    let models = [
        ("no-last-chunk", done.as_str(), Some("framing")),
        ("no-line-end", &unended, None),
        ("no-done", &whole, None),
    ];
    let names = [
        "no-last-chunk",
        "no-line-end",
        "no-done",
        "reset-after-done",
    ];
    let gateway = Gateway::start("badly-framed", &upstream.base_url(), &names, "").await?;
    for (model, sent, cause) in models {
        for _ in 0..10 {
            let answer = gateway.ask(&streamed(model, "hello")).await?;
            let id = id_of(&answer);
            let (got, politely) = everything(answer).await;
            assert_eq!(
                (String::from_utf8_lossy(&got).as_ref(), politely),
                (sent, true),
                "{model}"
            );
            let receipt = gateway.receipt(&id).await?;
            assert_eq!(returned(&receipt), Sha256Digest::hash(&got).to_string());
            assert!(find(&receipt, "sealgate.response.incomplete").is_none());
            let failed = find(&receipt, "sealgate.upstream.failed");
            assert_eq!(
                failed.map(|event| &event["cause"]),
                cause.map(Value::from).as_ref()
            );
        }
    }
    let answer = gateway.ask(&streamed("reset-after-done", "hello")).await?;
    let (got, politely) = everything(answer).await;
    assert_eq!((got.len(), politely), (done.len(), true));
    let log = || gateway.service.log();
    eventually("the log says so", async || {
        log().matches("outcome=completed").count() >= 31 && !log().contains("upstream_broke_off")
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_hears_comments_while_an_engine_is_silent_and_the_receipt_counts_them()
-> Result<()> {
    let first = event("let me think", "null");
    let cut = &first[..20];
    let rest = &first[20..];
    let silence = || Step::Pause(Duration::from_millis(2500));
    let script = vec![
        send(CHUNKED),
        silence(),
        chunk(cut),
        silence(),
        chunk(rest),
        silence(),
        chunk(DONE),
        send("0\r\n\r\n"),
    ];
    let scripts = Scripts::from([("thinker", script)]);
    let upstream = ScriptedUpstream::start(scripts).await?;
    for (name, every, comments) in [("comments", "1s", true), ("no-comments", "0s", false)] {
        let more = format!("\n[timeouts]\nstream_comment = \"{every}\"\n");
        let gateway = Gateway::start(name, &upstream.base_url(), &["thinker"], &more).await?;
        let answer = gateway.ask(&streamed("thinker", "hard question")).await?;
        let id = id_of(&answer);
        let (got, politely) = everything(answer).await;
        assert!(politely);
        let text = String::from_utf8(got.clone())?;
        assert_eq!(text.contains(": keep-alive\n\n"), comments, "{text}");
        // Whatever was put in is between events, and without it everything is as the engine sent it.
        assert_eq!(
            text.replace(": keep-alive\n\n", ""),
            format!("{first}{DONE}")
        );
        assert!(text.contains(&first), "{text}");
        let receipt = gateway.receipt(&id).await?;
        assert_eq!(returned(&receipt), Sha256Digest::hash(&got).to_string());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_metered_without_the_clients_request_and_the_client_sees_no_usage() -> Result<()>
{
    let engine = Engine::start().await?;
    let upstream = engine.base_url();
    let metrics = free_address()?;
    let more = format!("\n[metrics]\nlisten = \"{metrics}\"\n");
    let gateway = Gateway::start("metered", &upstream, &[CHAT_MODEL], &more).await?;
    let asked = streamed(CHAT_MODEL, "how many tokens are these?");
    let (got, _) = everything(gateway.ask(&asked).await?).await;
    let mut direct = Connection::plain(engine.address()).await?;
    let same = direct.post("", CHAT, &asked).await?.bytes().await?;
    assert_eq!(
        String::from_utf8_lossy(&got),
        String::from_utf8_lossy(&same),
        "byte for byte what the engine would have sent without us"
    );
    let mut whole = asked.clone();
    whole["stream"] = false.into();
    let usage = direct.post("", CHAT, &whole).await?.json().await?["usage"].clone();
    let log = || gateway.service.log();
    let counted = format!(
        "prompt_tokens={} completion_tokens={} token_source=reported",
        usage["prompt_tokens"], usage["completion_tokens"]
    );
    eventually("the row has the counts", async || log().contains(&counted)).await;
    let mut connection = Connection::plain(metrics).await?;
    let shown = connection.get("/metrics").await?;
    let shown = String::from_utf8(shown.bytes().await?)?;
    assert!(
        shown.contains("sealgate_tenant_tokens_total{tenant=\"tests\",direction=\"prompt\"}"),
        "{shown}"
    );
    // A caller that asks gets what it asks for.
    let mut asking = asked.clone();
    asking["stream_options"] = serde_json::json!({"include_usage": true});
    let (got, _) = everything(gateway.ask(&asking).await?).await;
    assert!(String::from_utf8(got)?.contains("\"prompt_tokens\""));
    let body = chat(CHAT_MODEL, "not a stream");
    assert!(gateway.ask(&body).await?.answer.json().await?["usage"].is_object());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_response_heads_of_64_kib_and_200_fields_and_rejects_larger_ones() -> Result<()> {
    let answer = |more: &str| {
        vec![send(&format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{more}content-length: 2\r\n\r\n{{}}"
        ))]
    };
    let fields = |count: usize| -> String {
        (0..count)
            .map(|index| format!("x-{index}: v\r\n"))
            .collect()
    };
    let long = |length: usize| format!("x-policy: {}\r\n", "p".repeat(length));
    let scripts = Scripts::from([
        ("long", answer(&long(64_000))),
        ("many", answer(&fields(190))),
        ("too-long", answer(&long(200_000))),
        ("too-many", answer(&fields(300))),
    ]);
    let upstream = ScriptedUpstream::start(scripts).await?;
    let names = ["long", "many", "too-long", "too-many"];
    let gateway = Gateway::start("heads", &upstream.base_url(), &names, "").await?;
    for (model, status) in [
        ("long", 200),
        ("many", 200),
        ("too-long", 502),
        ("too-many", 502),
    ] {
        let answer = gateway.ask(&chat(model, "hello")).await?;
        assert_eq!(answer.answer.status, status, "{model}");
        let receipt = gateway.receipt(&id_of(&answer)).await?;
        let cause = find(&receipt, "sealgate.upstream.failed").map(|event| &event["cause"]);
        let expected = (status == 502).then(|| Value::from("head"));
        assert_eq!(cause, expected.as_ref(), "{model}");
    }
    Ok(())
}
