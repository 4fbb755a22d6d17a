//! A writer that is killed repeatedly, at any moment, over one database.
//!
//! Every entry that it acknowledged must be there afterwards, at the same index, and no two heads of one size may have
//! different roots. `SEALGATE_LOG_KILLS` sets the number of kills; `make log-crashes` uses a thousand. After some kills
//! the log is checked against everything acknowledged and a new one is begun, because every start reads the whole log.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use super::support::{beginning, open, purged};
use attest_core::log::{Replay, SignedHead, TreeHash};
use attest_core::{Sha256Digest, VerifyingKey};
use gateway_store::audit::{AuditLog, EpochLog};
use testkit::scratch::ScratchDir;

const DIRECTORY: &str = "SEALGATE_LOG_DIRECTORY";
const KILLS: &str = "SEALGATE_LOG_KILLS";
const USUAL_KILLS: u32 = 240;
/// Of one log.
const KILLS_OF_A_LOG: u32 = 40;
/// The longest that a writer lives. Opening takes part of it, so that this is interrupted, too.
const MAX_LIFE_MILLIS: u16 = 120;
/// How long a silent writer is waited for.
const TIMEOUT: Duration = Duration::from_secs(20);

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("random bytes");
    bytes
}

/// Prints one acknowledgement as a line. A killed writer may leave the last line incomplete.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(format!("\n{line}\n").as_bytes());
    let _ = out.flush();
}

/// Not a test: the writer that the test below runs as a separate process and kills.
#[test]
#[ignore = "a process that is started to be killed"]
fn child_process_that_writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(write_for_ever(&directory));
}

async fn write_for_ever(directory: &Path) {
    let log = match AuditLog::open(directory).await {
        Ok(log) => Arc::new(log),
        Err(error) => return say(&format!("broken {error}")),
    };
    let (size, _) = log_size(&log).await;
    let epoch = log.begin_epoch(beginning(size + 1, &random())).await;
    let epoch = epoch.expect("an epoch");
    tell_head(&epoch);
    let entering = (0..3).map(|_| tokio::spawn(enter(log.clone(), epoch.clone())));
    let entering: Vec<_> = entering.collect();
    tokio::spawn(receive(log.clone(), epoch.clone()));
    for task in entering {
        let _ = task.await;
    }
}

async fn log_size(log: &AuditLog) -> (u64, Option<SignedHead>) {
    let head = log.latest_head().await.expect("readable");
    (head.as_ref().map_or(0, |head| head.claimed().size), head)
}

/// Writes entries one after another, and prints each once it is acknowledged, and every head published meanwhile.
async fn enter(log: Arc<AuditLog>, epoch: Arc<EpochLog>) {
    loop {
        // Fast enough to be killed at work, and no faster: every start reads the whole log.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let number = u64::from_be_bytes(random()) >> 12;
        let entry = purged(number);
        let digest = Sha256Digest::hash(&entry.to_bytes());
        let done = log.append(entry).await.expect("entered");
        say(&format!("entered {} {digest}", done.index));
        tell_head(&epoch);
    }
}

/// Receipts, acknowledged by their proofs.
async fn receive(log: Arc<AuditLog>, epoch: Arc<EpochLog>) {
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let digest = Sha256Digest::from_bytes(random());
        log.receipt(digest);
        log.flush().await.expect("flushed");
        if let Ok(Some(_)) = log.receipt_proof(&digest, &epoch).await {
            say(&format!("proven {digest}"));
        }
    }
}

fn tell_head(epoch: &EpochLog) {
    let head = epoch.head();
    let claimed = head.claimed();
    say(&format!("head {} {}", claimed.size, claimed.root));
}

/// Everything that was promised, by all writers together.
#[derive(Default)]
struct Promises {
    entered: HashMap<u64, String>,
    heads: BTreeMap<u64, String>,
    proven: Vec<String>,
}

impl Promises {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["entered", index, digest] if digest.len() == 71 => {
                let index = index.parse().expect("an index");
                let earlier = self.entered.insert(index, digest.to_owned());
                assert!(earlier.is_none(), "entry {index} was given away twice");
            }
            ["head", size, root] if root.len() == 64 => {
                let size = size.parse().expect("a size");
                let earlier = self.heads.insert(size, root.to_owned());
                assert!(
                    earlier.as_deref().is_none_or(|earlier| earlier == root),
                    "two heads of {size} entries: {earlier:?} and {root}"
                );
            }
            ["proven", digest] if digest.len() == 71 => self.proven.push(digest.to_owned()),
            ["broken", ..] => panic!("a writer found the log of the one before broken: {line}"),
            _ => {}
        }
    }
}

fn start(directory: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "audit_log::crashes::child_process_that_writes_until_it_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(DIRECTORY, directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a writer")
}

#[test]
fn killed_at_any_moment_it_loses_no_acknowledged_entry_and_never_forks_its_heads() {
    let kills = std::env::var(KILLS)
        .ok()
        .and_then(|kills| kills.parse().ok());
    let kills = kills.unwrap_or(USUAL_KILLS);
    let mut sums = Sums::default();
    while sums.kills < kills {
        kill_one_log(KILLS_OF_A_LOG.min(kills - sums.kills), &mut sums);
    }
    assert!(
        sums.entering > kills / 10,
        "hardly a writer lived long enough to promise anything: {} of {kills}",
        sums.entering
    );
    println!(
        "{kills} kills of {} logs, {} while entering: {} entries, {} heads and {} receipts promised, all kept",
        sums.logs, sums.entering, sums.entries, sums.heads, sums.receipts
    );
}

/// What the test did in all.
#[derive(Default)]
struct Sums {
    kills: u32,
    logs: u32,
    /// Kills of a writer that had acknowledged something.
    entering: u32,
    entries: usize,
    heads: usize,
    receipts: usize,
}

fn kill_one_log(kills: u32, sums: &mut Sums) {
    let scratch = ScratchDir::new("log-crashes").expect("a directory");
    let mut promises = Promises::default();
    for turn in 0..kills {
        let lines = write_and_die(scratch.path(), turn % 3 == 0);
        sums.entering += u32::from(lines.iter().any(|line| line.starts_with("entered")));
        lines.iter().for_each(|line| promises.hear(line));
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(hold_to(&promises, scratch.path()));
    sums.kills += kills;
    sums.logs += 1;
    sums.entries += promises.entered.len();
    sums.heads += promises.heads.len();
    sums.receipts += promises.proven.len();
}

/// One writer, killed after a while; what it had said by then. `patient` waits for its first head however slow the
/// machine is: a log without entries would show nothing.
fn write_and_die(directory: &Path, patient: bool) -> Vec<String> {
    let mut child = start(directory);
    let stdout = child.stdout.take().expect("its output");
    let (said, hear) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.for_each(|line| drop(said.send(line)));
    });
    let life = u16::from_be_bytes(random()) % MAX_LIFE_MILLIS;
    std::thread::sleep(Duration::from_millis(life.into()));
    let mut lines = Vec::new();
    while patient && !lines.iter().any(|line: &String| line.starts_with("head")) {
        match hear.recv_timeout(TIMEOUT) {
            Ok(line) => lines.push(line),
            Err(_) => break,
        }
    }
    child.kill().expect("killed");
    child.wait().expect("gone");
    reader.join().expect("its words");
    lines.extend(hear.try_iter());
    lines
}

async fn hold_to(promises: &Promises, directory: &Path) {
    let log = open(directory).await;
    // A last head, which counts everything that was entered before.
    let (size, _) = log_size(&log).await;
    let epoch = log
        .begin_epoch(beginning(size + 1, &random()))
        .await
        .expect("an epoch");
    let head = epoch.head();
    let mut replay = Replay::default();
    for bytes in log.entries(0..head.claimed().size).await.expect("entries") {
        let index = replay.size();
        if let Some(promised) = promises.entered.get(&index) {
            assert_eq!(
                &Sha256Digest::hash(&bytes).to_string(),
                promised,
                "entry {index}"
            );
        }
        replay.push(&bytes).expect("an entry in its place");
        if let Some(promised) = promises.heads.get(&replay.size()) {
            let root: TreeHash = replay.root();
            assert_eq!(&root.to_string(), promised, "head of {}", replay.size());
        }
    }
    let last = promises.entered.keys().max().copied().unwrap_or(0);
    let highest = promises.heads.keys().max().copied().unwrap_or(0);
    assert!(
        replay.size() > last && replay.size() >= highest,
        "entries were lost"
    );
    let key: VerifyingKey = epoch.head_key();
    head.verify(&key).expect("its own key signed the head");
    for digest in &promises.proven {
        let digest = Sha256Digest::parse(digest).expect("a digest");
        let proof = log.receipt_proof(&digest, &epoch).await.expect("readable");
        let proof = proof.expect("a receipt that was proven once stays in the log");
        assert_eq!(proof.verify_inclusion(&digest), Ok(()));
    }
    log.close().await;
}
