//! How a gateway fetches the reports of the enclaves behind it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use blackbox::asking::{CHAT, OpenAiError, chat, error, eventually};
use blackbox::identity;
use blackbox::namespace::{private_mounts_are_possible, with_etc};
use blackbox::world::{engine_model, gateway_trusting, start, start_as, trusting_directory};
use testkit::client::Connection;
use testkit::config::{Config, Model};
use testkit::engine::Engine;
use testkit::scratch::ScratchDir;
use testkit::service::{Service, free_address};

const MODELS: usize = 60;

/// Sends one chat to each of the models at once and counts the answers by status.
async fn chat_with_each(gateway: &Service, key: &str) -> Result<BTreeMap<u16, usize>> {
    let mut chats = JoinSet::new();
    for number in 0..MODELS {
        let (key, mut connection) = (key.to_owned(), gateway.connect().await?);
        chats.spawn(async move {
            let question = chat(&format!("model-{number}"), "hello");
            let answer = connection.post(&key, CHAT, &question).await?;
            anyhow::Ok(answer.status.as_u16())
        });
    }
    let mut statuses = BTreeMap::new();
    for status in chats.join_all().await {
        *statuses.entry(status?).or_default() += 1;
    }
    Ok(statuses)
}

/// How many reports the hardware has made, from the service's metrics.
async fn reports_made(metrics: SocketAddr) -> Result<u64> {
    let mut connection = Connection::plain(metrics).await?;
    let answer = connection.get("/metrics").await?;
    let text = String::from_utf8(answer.bytes().await?.to_vec())?;
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("sealgate_attestation_duration_seconds_count "))
        .with_context(|| format!("no such metric in:\n{text}"))?;
    Ok(count.trim().parse()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_models_at_one_enclave_need_one_report_at_the_start_and_one_after_its_epoch()
-> Result<()> {
    let directory = trusting_directory("sixty")?;
    let engine = Engine::start().await?;
    let metrics = free_address()?;
    let mut config =
        Config::direct(free_address()?).and(&format!("[metrics]\nlisten = \"{metrics}\""));
    for number in 0..MODELS {
        config = config.serving(engine_model(&engine, &format!("model-{number}")));
    }
    let mut slow = identity("enclave");
    slow.quote_delay = Duration::from_millis(200);
    let enclave = start_as(&directory, slow, config).await?;
    let key_file = directory.write("enclave.key", &enclave.create_key("gateway").await?)?;

    // Each model has an upstream with another name.
    let mut config = gateway_trusting(&directory, "enclave")?;
    for number in 0..MODELS {
        let model = Model::confidential(&format!("model-{number}"), enclave.url());
        config = config.serving(model.with_key_from(&key_file));
    }
    let gateway = start(&directory, "gateway", config).await?;
    let key = gateway.create_key("tests").await?;
    let all_answered = BTreeMap::from([(200, MODELS)]);
    assert_eq!(chat_with_each(&gateway, &key).await?, all_answered);
    assert_eq!(reports_made(metrics).await?, 1, "at the start");

    enclave.reload().await?;
    assert_eq!(chat_with_each(&gateway, &key).await?, all_answered);
    assert_eq!(reports_made(metrics).await?, 2, "after the enclave's epoch");
    Ok(())
}

/// A listener whose queue is full: connecting to it takes for ever, as to a machine that is down.
struct Blackhole {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: JoinSet<std::io::Result<TcpStream>>,
}

impl Blackhole {
    async fn open(address: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(address)?;
        let listener = socket.listen(1)?;
        let address = listener.local_addr()?;
        let mut queued = JoinSet::new();
        for _ in 0..4 {
            queued.spawn(TcpStream::connect(address));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(Self {
            address,
            _listener: listener,
            _queued: queued,
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connects_to_the_second_address_when_the_first_is_unreachable() -> Result<()> {
    let name = "connects_to_the_second_address_when_the_first_is_unreachable";
    if !private_mounts_are_possible() {
        println!("skipped: {name}: no private mount namespace can be had here");
        return Ok(());
    }
    let directory = trusting_directory("two-addresses")?;
    let engine = Engine::start().await?;
    let config = Config::direct(free_address()?).serving(engine_model(&engine, "model"));
    let enclave = start(&directory, "enclave", config).await?;
    let key_file = directory.write("enclave.key", &enclave.create_key("gateway").await?)?;
    let port = enclave.address().port();
    let dead = Blackhole::open((Ipv4Addr::new(127, 0, 0, 3), port).into()).await?;

    // In both orders, since resolvers may reorder: one of them has the dead address first.
    directory.write(
        "etc/hosts",
        "127.0.0.1 localhost\n127.0.0.3 dead-first.test\n127.0.0.1 dead-first.test\n\
         127.0.0.1 dead-last.test\n127.0.0.3 dead-last.test\n",
    )?;
    directory.write("etc/host.conf", "multi on\n")?;
    directory.write("etc/nsswitch.conf", "hosts: files dns\n")?;
    let mut config = gateway_trusting(&directory, "enclave")?;
    for host in ["dead-first.test", "dead-last.test"] {
        let model = Model::confidential(host, format!("https://{host}:{port}"));
        let model = model.known_upstream_as("model").with_key_from(&key_file);
        config = config.serving(model);
    }
    let identity = identity("gateway").wrapped_in(with_etc(&directory.path().join("etc")));
    let gateway = start_as(&directory, identity, config).await?;
    let key = gateway.create_key("tests").await?;
    for host in ["dead-first.test", "dead-last.test"] {
        let mut connection = gateway.connect().await?;
        let answer = connection.post(&key, CHAT, &chat(host, "hello")).await?;
        assert_eq!(answer.status, 200, "{host}\n{}", gateway.log());
        answer.bytes().await?;
    }
    drop(dead);
    Ok(())
}

/// What a caller is answered for a model whose enclave is at `url`.
async fn answer_for(directory: &ScratchDir, url: &str) -> Result<(OpenAiError, String)> {
    let timeouts = "[timeouts]\nconnect = \"1s\"\nreport = \"2s\"";
    let config = gateway_trusting(directory, "enclave")?
        .and(timeouts)
        .serving(Model::confidential("model", url));
    let gateway = start(directory, "gateway", config).await?;
    let key = gateway.create_key("tests").await?;
    let mut connection = gateway.connect().await?;
    let answer = connection.post(&key, CHAT, &chat("model", "hello")).await?;
    if answer.status == 200 {
        bail!("the chat was answered");
    }
    let refused = error(answer).await?;
    // Lines of requests are written a moment after their answers.
    eventually("the request is logged", async || {
        gateway.log().contains(" request_finished ")
    })
    .await;
    Ok((refused, gateway.log()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_enclave_is_reported_as_unavailable() -> Result<()> {
    let directory = trusting_directory("unreached")?;
    let closed = format!("https://{}", free_address()?);
    let (refused, log) = answer_for(&directory, &closed).await?;
    assert_eq!(
        (refused.status, refused.code.as_deref()),
        (502, Some("upstream_unavailable"))
    );
    assert!(log.contains("outcome=upstream_unavailable"), "{log}");

    let directory = trusting_directory("swallowed")?;
    let dead = Blackhole::open((Ipv4Addr::LOCALHOST, 0).into()).await?;
    let (refused, log) = answer_for(&directory, &format!("https://{}", dead.address)).await?;
    assert_eq!(
        (refused.status, refused.code.as_deref()),
        (504, Some("upstream_timeout"))
    );
    assert!(log.contains("outcome=upstream_timeout"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_whose_report_times_out_is_reported_as_busy() -> Result<()> {
    let directory = trusting_directory("no-time")?;
    let engine = Engine::start().await?;
    let mut slow = identity("enclave");
    slow.quote_delay = Duration::from_secs(30);
    let config = Config::direct(free_address()?).serving(engine_model(&engine, "model"));
    let enclave = start_as(&directory, slow, config).await?;
    let (refused, log) = answer_for(&directory, &enclave.url()).await?;
    assert_eq!(
        (refused.status, refused.code.as_deref()),
        (503, Some("upstream_verification_busy"))
    );
    assert!(log.contains("outcome=upstream_unavailable"), "{log}");
    Ok(())
}
