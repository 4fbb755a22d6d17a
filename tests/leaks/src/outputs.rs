//! What the processes give away: everything that can be read of them from outside, searched for
//! what they were asked and what they answered.
//!
//! The search has two controls. A marker that may be known everywhere, since it names the tenant and
//! a model, is in the same traffic and has to be found. And copies planted into what was gathered
//! have to be found in every form.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::sleep;

use crate::bodies::{ANSWER_ID, Ask, CHAT};
use crate::canary::{Canary, Side};
use crate::collector::Collector;
use crate::keeping::Keeping;
use crate::memory::{Found, Needles};
use crate::panics::die;
use crate::scenario::Scenario;
use crate::stage::{Manner, Stage};
use crate::wire::{Length, Wire};
use testkit::client::Connection;
use testkit::service::free_address;

/// What the log of the client's own proxy is called.
const PROXY: &str = "proxy";
const TIMEOUT: Duration = Duration::from_secs(30);

/// A kind of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Log,
    /// The database with its write-ahead log and its free pages, and whatever else lies on the disk.
    File,
    Metrics,
    Telemetry,
    Error,
    Receipt,
    /// Session documents and attestation reports.
    Session,
    /// Command line and environment.
    Process,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Log,
        Self::File,
        Self::Metrics,
        Self::Telemetry,
        Self::Error,
        Self::Receipt,
        Self::Session,
        Self::Process,
    ];
    /// Those that outlive a request or are there for others than its caller.
    pub const LASTING: [Self; 6] = [
        Self::Log,
        Self::File,
        Self::Metrics,
        Self::Telemetry,
        Self::Session,
        Self::Process,
    ];
    /// Those that name tenants or models.
    pub const TELLING: [Self; 5] = [
        Self::Log,
        Self::File,
        Self::Metrics,
        Self::Telemetry,
        Self::Receipt,
    ];
}

/// Something that left a process.
pub struct Output {
    pub kind: Kind,
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Everything that was gathered, and what to search it for.
pub struct Outputs {
    pub all: Vec<Output>,
    pub prompts: Canary,
    /// Prompts and answers.
    pub needles: Needles,
    /// What may be known.
    pub marker: Needles,
    /// Receipt ids, and the id that the engine gives its answers: each names a request.
    pub names: Vec<String>,
}

/// Drives the traffic at the most verbose log level and gathers what came out, twice: while the
/// processes run, and after they have stopped.
pub async fn gather(scenarios: &[Scenario], keeping: Keeping) -> Result<Outputs> {
    let collector = Collector::start().await?;
    let marker = Canary::fresh();
    let metrics = [free_address()?, free_address()?];
    let verbose = |format: &str, metrics| {
        format!(
            "[log]\nlevel = \"trace\"\nformat = \"{format}\"\n[metrics]\nlisten = \"{metrics}\"\n\
             [telemetry]\notlp = \"{}\"\nevery = \"1s\"",
            collector.url()
        )
    };
    let mut stage = Stage::in_manner(&Manner {
        enclave: verbose("json", metrics[0]),
        aggregator: verbose("text", metrics[1]),
        model: Some(marker.word().to_owned()),
        keeping,
    })
    .await?;

    let mut all = play(&stage, scenarios, marker.word()).await?;
    die(
        &stage,
        stage.doors.last().context("a door")?,
        &stage.panic_file("gateway"),
    )
    .await?;
    for address in metrics {
        // It has to stay until the last of the text is here.
        let mut connection = Connection::plain(address).await?;
        let text = connection.get("/metrics").await?;
        all.push(output(Kind::Metrics, address, text.bytes().await?));
    }
    all.extend(documents(&stage).await?);
    all.extend(processes(&stage)?);
    // Without a span for each request there is nothing to wait for; what is left is sent at the end.
    if keeping != Keeping::Zero {
        exported(&collector, &stage, marker.word()).await?;
    }
    files(stage.directory(), &mut all)?;
    for service in [&mut stage.aggregator, &mut stage.enclave] {
        service.process().signal("TERM")?;
        service.process().ended().await?;
    }
    files(stage.directory(), &mut all)?;
    for (name, text) in [
        ("aggregator", stage.aggregator.log()),
        ("enclave", stage.enclave.log()),
        (
            PROXY,
            stage
                .proxy
                .as_ref()
                .map(|proxy| proxy.log())
                .unwrap_or_default(),
        ),
    ] {
        all.push(output(Kind::Log, name, text.into_bytes()));
    }
    for export in collector.taken() {
        all.push(output(Kind::Telemetry, export.path, export.body));
    }
    let receipts = all.iter().filter(|output| output.kind == Kind::Receipt);
    let ids = receipts.map(|receipt| receipt.name.clone());
    Ok(Outputs {
        names: ids.chain([ANSWER_ID.to_owned()]).collect(),
        all,
        prompts: stage.prompts,
        needles: stage.needles,
        marker: Needles::new(marker.needles(Side::Prompt)),
    })
}

fn output(kind: Kind, name: impl ToString, bytes: Vec<u8>) -> Output {
    let name = name.to_string();
    Output { kind, name, bytes }
}

/// Plays the scenarios through every door; gives the errors and the receipts.
async fn play(stage: &Stage, scenarios: &[Scenario], marker: &str) -> Result<Vec<Output>> {
    let mut all = Vec::new();
    let mut receipts = Vec::new();
    for door in &stage.doors {
        let mut wires = Vec::new();
        for scenario in scenarios {
            let played = scenario.play(door, &stage.prompts).await;
            wires.extend(
                played.with_context(|| format!("{} through {}", scenario.name, door.name))?,
            );
        }
        let mut wire = Wire::open(door).await?;
        let body = Ask::Chat(8 << 10).body(marker, &stage.prompts);
        wire.head(&door.key, CHAT, Length::Announced(body.len()))
            .await?;
        wire.write(&body).await?;
        let head = wire.answer().await?;
        head.expect(&[200])?;
        wire.body(&head).await?;
        wires.push(wire);
        for wire in wires {
            receipts.extend(wire.receipts);
            all.extend(
                wire.errors
                    .into_iter()
                    .map(|body| output(Kind::Error, door.name, body)),
            );
        }
    }
    let door = stage.doors.last().context("a door")?;
    let mut connection = stage.aggregator.connect().await?;
    for id in receipts {
        let body = blackbox::asking::receipt(&mut connection, &door.key, &id).await?;
        all.push(output(Kind::Receipt, id, body));
    }
    Ok(all)
}

/// Reports, the list of sessions, and each session of it.
async fn documents(stage: &Stage) -> Result<Vec<Output>> {
    let mut all = Vec::new();
    let nonce = "0".repeat(64);
    for service in [&stage.aggregator, &stage.enclave] {
        let mut connection = service.connect().await?;
        let path = format!("/v1/aci/attestation?nonce={nonce}");
        let report = connection.get(&path).await?.bytes().await?;
        all.push(output(Kind::Session, path, report));
    }
    let mut connection = stage.aggregator.connect().await?;
    let list = connection.get("/v1/aci/sessions").await?.bytes().await?;
    let parsed: Value = serde_json::from_slice(&list).context("a list of sessions")?;
    let mut ids = Vec::new();
    session_ids(&parsed, &mut ids);
    ensure!(!ids.is_empty(), "no session is listed: {parsed}");
    all.push(output(Kind::Session, "the list", list));
    for id in ids {
        let path = format!("/v1/aci/sessions/{id}");
        let session = connection.get(&path).await?.bytes().await?;
        all.push(output(Kind::Session, path, session));
    }
    Ok(all)
}

/// Whatever is called `session_id` or `id` in a document.
fn session_ids(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| session_ids(item, found)),
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(id) if ["id", "session_id"].contains(&key.as_str()) => {
                        found.push(id.clone());
                    }
                    _ => session_ids(value, found),
                }
            }
        }
        _ => {}
    }
}

fn processes(stage: &Stage) -> Result<Vec<Output>> {
    let mut all = Vec::new();
    for process in stage.doors.iter().flat_map(|door| &door.hunted) {
        for what in ["cmdline", "environ"] {
            let path = format!("/proc/{}/{what}", process.pid);
            let bytes = std::fs::read(&path).with_context(|| path.clone())?;
            all.push(output(
                Kind::Process,
                format!("{} {what}", process.name),
                bytes,
            ));
        }
    }
    Ok(all)
}

/// Waits until the last request has come out as a span of each gateway.
async fn exported(collector: &Collector, stage: &Stage, marker: &str) -> Result<()> {
    let over = Instant::now() + TIMEOUT;
    let doors = stage.doors.len();
    let spans = |body: &[u8]| {
        let document: Value = serde_json::from_slice(body).unwrap_or_default();
        document
            .to_string()
            .matches(&format!("\"{marker}\""))
            .count()
    };
    loop {
        let of_traces = |path: &str| path.ends_with("/v1/traces");
        let taken = collector.taken();
        let traces = taken.iter().filter(|export| of_traces(&export.path));
        if traces.map(|export| spans(&export.body)).sum::<usize>() >= 2 * doors {
            return Ok(());
        }
        ensure!(Instant::now() < over, "the last requests are in no trace");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Every file below a directory.
pub fn files(directory: &Path, all: &mut Vec<Output>) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, all)?;
        } else if let Ok(bytes) = std::fs::read(&path) {
            // A file that was removed meanwhile, such as a journal, is skipped.
            all.push(output(Kind::File, path.display(), bytes));
        }
    }
    Ok(())
}

impl Outputs {
    /// Where prompts or answers are.
    pub fn leaks(&self) -> Vec<(Kind, &str, Found)> {
        let found = self.all.iter().map(|output| {
            let found = self.needles.found_in(&output.bytes);
            (output.kind, output.name.as_str(), found)
        });
        found.filter(|(_, _, found)| found.all() > 0).collect()
    }

    /// What names a request though it lasts: the kind, the output, and the name in it. The proxy is the client's, and
    /// may tell it everything.
    pub fn naming(&self) -> Vec<(Kind, &str, &str)> {
        let gateways = self.all.iter().filter(|output| output.name != PROXY);
        let lasting = gateways.filter(|output| Kind::LASTING.contains(&output.kind));
        let named = lasting.flat_map(|output| {
            let names = self.names.iter().map(String::as_str);
            let in_it = names.filter(|name| holds(&output.bytes, name));
            in_it.map(|name| (output.kind, output.name.as_str(), name))
        });
        named.collect()
    }

    /// The kinds of output in which the marker is.
    pub fn marked(&self) -> Vec<Kind> {
        let holds = |kind| {
            let mut of_kind = self.all.iter().filter(|output| output.kind == kind);
            of_kind.any(|output| self.marker.found_in(&output.bytes).all() > 0)
        };
        Kind::ALL.into_iter().filter(|kind| holds(*kind)).collect()
    }

    /// Plants a copy in each form into one output of each kind, and says how many are found.
    pub fn planted(&self) -> Vec<(Kind, Found)> {
        let plant = |kind| {
            let of_kind = self.all.iter().filter(move |output| output.kind == kind);
            let largest = of_kind.max_by_key(|output| output.bytes.len());
            let mut bytes = largest
                .map(|output| output.bytes.clone())
                .unwrap_or_default();
            let middle = bytes.len() / 2;
            for text in self.prompts.in_each_form() {
                bytes.splice(middle..middle, text.into_bytes());
            }
            (kind, self.needles.found_in(&bytes))
        };
        Kind::ALL.into_iter().map(plant).collect()
    }
}

fn holds(bytes: &[u8], name: &str) -> bool {
    bytes
        .windows(name.len())
        .any(|window| window == name.as_bytes())
}
