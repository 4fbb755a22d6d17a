//! `log replay`: every entry from the first, against the log's own head and against those that were kept.

use std::collections::BTreeMap;

use attest_core::log::tile::{Tile, Tiler, bundles};
use attest_core::log::{Entry, Fact, Replay, ReplayError, SignedHead, receipts_root};

use super::{ReplayArgs, in_words};
use crate::audit::{Audit, Finding};
use crate::conclusion::print;
use crate::failure::Failure;
use crate::judge::Judge;
use crate::judged::PolicyOrigin;
use crate::log::{Gone, Head, Source};
use crate::render;

pub(super) async fn run(args: &ReplayArgs) -> Result<u8, Failure> {
    let judge = Judge::from_args(&args.judge)?;
    let source = Source::open(args.export.as_deref(), args.database.as_deref()).await?;
    let own = source.head().await?;
    let mut kept = Vec::new();
    for path in &args.head {
        kept.push(Head::read(path, &judge, None)?);
    }
    let mut run = Run::new(&source, &own, &kept);
    let ended = run.entries().await;
    let audit = Audit {
        title: "audit log, replayed".to_owned(),
        facts: run.facts(),
        findings: run.findings(ended).await,
        verdict: None,
        policy: PolicyOrigin::Absent,
    };
    print(&render::audit_output(&audit, args.output.form()));
    Ok(audit.exit_code())
}

/// What keeps a replay from getting to its end.
enum Stopped {
    /// An entry is not there, or a file is not what it should be.
    Gone(Gone),
    /// An entry cannot be read, or cannot stand where it stands.
    Replay(ReplayError),
}

struct Run<'a> {
    source: &'a Source,
    own: &'a SignedHead,
    kept: &'a [Head],
    replay: Replay,
    tiler: Tiler,
    tiles: Result<u64, Gone>,
    batches: Side,
    openings: Side,
    /// What was found of each kept head, by its place in `kept`.
    met: BTreeMap<usize, Result<(), ReplayError>>,
    own_content: Option<Result<(), ReplayError>>,
    own_signer: Option<Result<(), ReplayError>>,
    modes: Vec<String>,
}

/// What is kept beside the log: counted, and the first that is wrong.
#[derive(Default)]
struct Side {
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
            batches: Side::default(),
            openings: Side::default(),
            met: BTreeMap::new(),
            own_content: None,
            own_signer: None,
            modes: Vec::new(),
        }
    }

    async fn entries(&mut self) -> Result<(), Stopped> {
        for bundle in bundles(self.own.claimed().size) {
            let entries = self.source.entries(&bundle).await.map_err(Stopped::Gone)?;
            for bytes in &entries {
                self.entry(bytes).await.map_err(Stopped::Replay)?;
            }
        }
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
            .push_telling(bytes, |node, hash| full.extend(tiler.push(node, &hash)))?;
        for (tile, bytes) in full {
            self.compare(&tile, &bytes).await;
        }
        self.beside(index, &entry).await;
        if let Fact::EpochBegan(start) = &entry.fact {
            self.modes.push(format!("{} from {}", start.mode, entry.at));
            self.modes
                .dedup_by(|a, b| a.split(' ').next() == b.split(' ').next());
        }
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
        let Ok(compared) = &mut self.tiles else {
            return;
        };
        match self.source.hashes(tile).await {
            Ok(found) if found == bytes => *compared += 1,
            Ok(_) => {
                self.tiles = Err(Gone::Broken {
                    what: tile.path(),
                    cause: "not the hashes of the entries".to_owned(),
                });
            }
            Err(gone) => self.tiles = Err(gone),
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
                    .note(index, found, "somebody else than was entered");
            }
            _ => {}
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let own = self.own.claimed();
        let epochs = self.replay.epochs();
        let cut_off = epochs
            .iter()
            .rev()
            .skip(1)
            .filter(|epoch| epoch.ended_at.is_none());
        vec![
            ("log", own.origin.to_string()),
            ("head", in_words(own)),
            (
                "epochs",
                format!("{}, {} cut off", epochs.len(), cut_off.count()),
            ),
            ("retention", self.modes.join(", ")),
        ]
    }

    async fn findings(self, ended: Result<(), Stopped>) -> Vec<Finding> {
        let stopped = ended.is_err();
        let (entries, order) = match ended {
            Ok(()) => (
                Finding::pass("log.entries", format!("{} read", self.replay.size())),
                Finding::pass("log.order", ""),
            ),
            Err(Stopped::Gone(gone)) => (
                Finding::fail("log.entries", gone),
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
            Some(outcome) => Finding::of(id, outcome),
            None => Finding::missing(id, "the entries do not reach as far as the head"),
        };
        let mut findings = vec![
            entries,
            order,
            at_the_head("log.root", self.own_content),
            at_the_head("log.signer", self.own_signer),
            match self.tiles {
                Err(gone) => Finding::fail("log.tiles", gone),
                Ok(_) if stopped => Finding::missing("log.tiles", "the entries are not whole"),
                Ok(count) => Finding::pass("log.tiles", format!("{count} compared")),
            },
            self.batches.finding("log.receipts", "batches"),
            self.openings.finding("log.subjects", "commitments"),
        ];
        for (place, head) in self.kept.iter().enumerate() {
            findings.push(head.vouched("log.head.report"));
            findings.push(kept_head(head, self.met.get(&place), self.own));
        }
        findings
    }
}

/// Whether the log is a continuation of what somebody once saw.
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

impl Side {
    fn note(&mut self, index: u64, found: Result<Option<bool>, Gone>, otherwise: &str) {
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
            Err(gone) => gone.to_string(),
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
