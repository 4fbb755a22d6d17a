//! `log replay`: replays every entry from the first, and compares the result with the log's head and with saved heads.

use std::collections::BTreeMap;

use attest_core::UnixTime;
use attest_core::log::tile::{Tile, Tiler, bundles};
use attest_core::log::{Entry, Fact, Replay, ReplayError, SignedHead, Word, receipts_root};

use super::{ReplayArgs, head_text};
use crate::conclusion::print;
use crate::failure::Failure;
use crate::findings::{DocumentResult, Finding};
use crate::log::{Head, LogReadError, Source};
use crate::qualified_verdict::PolicyOrigin;
use crate::render;
use crate::trust_inputs::TrustInputs;

pub(super) async fn run(args: &ReplayArgs) -> Result<u8, Failure> {
    let trust = TrustInputs::from_args(&args.trust)?;
    let source = Source::open(args.export.as_deref(), args.database.as_deref()).await?;
    let own = source.head().await?;
    let mut kept = Vec::new();
    for path in &args.head {
        kept.push(Head::read(path, &trust, None)?);
    }
    let mut run = Run::new(&source, &own, &kept);
    let ended = run.entries().await;
    let result = DocumentResult {
        title: "result log, replayed".to_owned(),
        facts: run.facts(),
        findings: run.findings(ended).await,
        verdict: None,
        policy: PolicyOrigin::Absent,
    };
    print(&render::document_output(&result, args.output.form()));
    Ok(result.exit_code())
}

/// Why a replay did not reach the end.
enum Stopped {
    /// An entry is missing, or a file is invalid.
    Read(LogReadError),
    /// An entry cannot be parsed, or is not allowed at its position.
    Replay(ReplayError),
}

struct Run<'a> {
    source: &'a Source,
    own: &'a SignedHead,
    kept: &'a [Head],
    replay: Replay,
    tiler: Tiler,
    tiles: Result<u64, LogReadError>,
    batches: SideFiles,
    openings: SideFiles,
    /// The result for each saved head, by its index in `kept`.
    met: BTreeMap<usize, Result<(), ReplayError>>,
    own_content: Option<Result<(), ReplayError>>,
    own_signer: Option<Result<(), ReplayError>>,
    modes: Vec<(Word, UnixTime)>,
}

/// Files beside the log: their numbers, and the first one that is wrong.
#[derive(Default)]
struct SideFiles {
    there: u64,
    absent: u64,
    wrong: Option<String>,
}

impl<'a> Run<'a> {
    fn new(source: &'a Source, own: &'a SignedHead, kept: &'a [Head]) -> Self {
        Self {
            source,
            own,
            kept,
            replay: Replay::default(),
            tiler: Tiler::default(),
            tiles: Ok(0),
            batches: SideFiles::default(),
            openings: SideFiles::default(),
            met: BTreeMap::new(),
            own_content: None,
            own_signer: None,
            modes: Vec::new(),
        }
    }

    async fn entries(&mut self) -> Result<(), Stopped> {
        for bundle in bundles(self.own.claimed().size) {
            let entries = self.source.entries(&bundle).await.map_err(Stopped::Read)?;
            for bytes in &entries {
                self.entry(bytes).await.map_err(Stopped::Replay)?;
            }
        }
        // The last tile of each level is compared once, at the end: it is not complete, and each entry changes it.
        let partial: Vec<_> = self.tiler.partial().map(|(t, b)| (t, b.to_vec())).collect();
        for (tile, bytes) in partial {
            self.compare(&tile, &bytes).await;
        }
        Ok(())
    }

    async fn entry(&mut self, bytes: &[u8]) -> Result<(), ReplayError> {
        let index = self.replay.size();
        let mut full = Vec::new();
        let tiler = &mut self.tiler;
        let entry = self
            .replay
            .push_reporting(bytes, |node, hash| full.extend(tiler.push(node, &hash)))?;
        for (tile, bytes) in full {
            self.compare(&tile, &bytes).await;
        }
        self.beside(index, &entry).await;
        if let Fact::EpochBegan(start) = &entry.fact {
            self.modes.push((start.mode.clone(), entry.at));
            self.modes.dedup_by(|(later, _), (mode, _)| later == mode);
        }
        // Heads are compared at the moment at which the log has their size: afterwards its root is another, and so may be
        // the epoch that signs.
        for (place, head) in self.kept.iter().enumerate() {
            if head.signed.claimed().size == self.replay.size() {
                let found = self.replay.check_content(head.signed.claimed());
                let found = found.and_then(|()| self.replay.check_signer(&head.signed).map(|_| ()));
                self.met.insert(place, found);
            }
        }
        if self.own.claimed().size == self.replay.size() {
            self.own_content = Some(self.replay.check_content(self.own.claimed()));
            self.own_signer = Some(self.replay.check_signer(self.own).map(|_| ()));
        }
        Ok(())
    }

    async fn compare(&mut self, tile: &Tile, bytes: &[u8]) {
        // After the first difference no more tiles are read: one is enough, and the source may be slow.
        let Ok(compared) = &mut self.tiles else {
            return;
        };
        match self.source.hashes(tile).await {
            Ok(found) if found == bytes => *compared += 1,
            Ok(_) => {
                self.tiles = Err(LogReadError::Broken {
                    what: tile.path(),
                    cause: "not the hashes of the entries".to_owned(),
                });
            }
            Err(error) => self.tiles = Err(error),
        }
    }

    async fn beside(&mut self, index: u64, entry: &Entry) {
        match &entry.fact {
            Fact::Receipts { root } => {
                let found = self.source.batch(index).await;
                let found = found.map(|batch| batch.map(|batch| receipts_root(&batch) == *root));
                self.batches
                    .note(index, found, "other receipts than were entered");
            }
            Fact::Admin { subject, .. } => {
                let found = self.source.opening(index).await;
                let found =
                    found.map(|opening| opening.map(|(salt, text)| subject.opens_to(&text, &salt)));
                self.openings
                    .note(index, found, "another subject than was entered");
            }
            _ => {}
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let own = self.own.claimed();
        let modes = self.modes.iter();
        let modes: Vec<_> = modes
            .map(|(mode, at)| format!("{mode} from {at}"))
            .collect();
        let epochs = self.replay.epochs();
        let cut_off = epochs
            .iter()
            .rev()
            .skip(1)
            .filter(|epoch| epoch.ended_at.is_none());
        vec![
            ("log", own.origin.to_string()),
            ("head", head_text(own)),
            (
                "epochs",
                format!("{}, {} cut off", epochs.len(), cut_off.count()),
            ),
            ("retention", modes.join(", ")),
        ]
    }

    async fn findings(self, ended: Result<(), Stopped>) -> Vec<Finding> {
        let stopped = ended.is_err();
        let (entries, order) = match ended {
            Ok(()) => (
                Finding::pass("log.entries", format!("{} read", self.replay.size())),
                Finding::pass("log.order", ""),
            ),
            Err(Stopped::Read(error)) => (
                Finding::fail("log.entries", error),
                Finding::missing("log.order", "log.entries did not pass"),
            ),
            Err(Stopped::Replay(error @ ReplayError::Entry { .. })) => (
                Finding::fail("log.entries", error),
                Finding::missing("log.order", "log.entries did not pass"),
            ),
            Err(Stopped::Replay(error)) => (
                Finding::pass("log.entries", format!("{} read", self.replay.size())),
                Finding::fail("log.order", error),
            ),
        };
        let at_the_head = |id, outcome: Option<Result<(), ReplayError>>| match outcome {
            Some(outcome) => Finding::from_result(id, outcome),
            None => Finding::missing(id, "the entries do not reach as far as the head"),
        };
        let mut findings = vec![
            entries,
            order,
            at_the_head("log.root", self.own_content),
            at_the_head("log.signer", self.own_signer),
            match self.tiles {
                Err(error) => Finding::fail("log.tiles", error),
                Ok(_) if stopped => Finding::missing("log.tiles", "the entries are not whole"),
                Ok(count) => Finding::pass("log.tiles", format!("{count} compared")),
            },
            self.batches.finding("log.receipts", "batches"),
            self.openings.finding("log.subjects", "commitments"),
        ];
        for (place, head) in self.kept.iter().enumerate() {
            findings.push(head.verified_signer("log.head.report"));
            findings.push(kept_head(head, self.met.get(&place), self.own));
        }
        findings
    }
}

/// Whether the log continues a saved head.
fn kept_head(head: &Head, met: Option<&Result<(), ReplayError>>, own: &SignedHead) -> Finding {
    const ID: &str = "log.head";
    let (kept, size) = (head.signed.claimed(), own.claimed().size);
    match met {
        Some(Ok(())) => Finding::pass(ID, format!("{} is part of it", head.name)),
        Some(Err(error)) => Finding::fail(ID, format!("{}: {error}", head.name)),
        None if kept.size > size => Finding::fail(
            ID,
            format!(
                "{}: the log had {} entries and has {size}: rolled back",
                head.name, kept.size
            ),
        ),
        None => Finding::missing(ID, format!("{}: the entries do not reach it", head.name)),
    }
}

impl SideFiles {
    fn note(&mut self, index: u64, found: Result<Option<bool>, LogReadError>, otherwise: &str) {
        let wrong = match found {
            Ok(Some(true)) => {
                self.there += 1;
                return;
            }
            Ok(None) => {
                self.absent += 1;
                return;
            }
            Ok(Some(false)) => otherwise.to_owned(),
            Err(error) => error.to_string(),
        };
        self.wrong.get_or_insert(format!("entry {index}: {wrong}"));
    }

    fn finding(self, id: &'static str, what: &str) -> Finding {
        match self.wrong {
            Some(wrong) => Finding::fail(id, wrong),
            None if self.there == 0 => {
                Finding::not_checked(id, format!("{} {what}, none came along", self.absent))
            }
            None => Finding::pass(
                id,
                format!("{} {what} compared, {} not there", self.there, self.absent),
            ),
        }
    }
}
