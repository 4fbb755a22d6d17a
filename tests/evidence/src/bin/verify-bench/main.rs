//! How long verification takes: each kind of evidence verified and appraised over and over, beside the
//! signature checks that it cannot do without, by themselves.
//!
//! *Cold* is everything, collateral read from its wire form; *warm* is what a verifier pays that has
//! seen the same endorsements before and keeps them ([`attest_core::EndorsementCache`]). *Bare* is
//! ring alone, over the same keys, bytes and signatures. CPU time of this thread; every round measures
//! all four in turns, and the least of each counts, so that what the machine does besides falls on
//! both sides of a ratio or on neither. Fails if a ratio is above its limit. Build it with `--release`.
//! Arguments limit it to the subjects whose names begin with one of them.

mod bare;
mod clock;
mod composite;
mod recorded;
mod signed;

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use attest_core::{Decision, Verdict};
use evidence::index::Index;
use evidence::vectors_or_skip;

use bare::{SignatureCheck, counts, run_all};
use clock::{micros, spent};

/// Rounds go on until a subject has had this much CPU time, and there are at least so many.
const LONG_ENOUGH: Duration = Duration::from_secs(3);
const ROUNDS: usize = 15;

/// How many times its bare signature checks a verification may cost.
#[derive(Clone, Copy)]
pub struct Limits {
    pub cold: f64,
    pub warm: f64,
}

/// One kind of evidence, ready to be verified again and again.
pub struct Subject {
    name: &'static str,
    limits: Limits,
    cold: Box<dyn Fn()>,
    cold_checks: Vec<SignatureCheck>,
    warm: Box<dyn FnMut()>,
    warm_checks: Vec<SignatureCheck>,
}

/// The least that each took, in microseconds of CPU.
struct Line {
    name: &'static str,
    limits: Limits,
    cold: f64,
    cold_bare: f64,
    warm: f64,
    warm_bare: f64,
}

fn main() -> anyhow::Result<ExitCode> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut subjects = Vec::new();
    if let Some(vectors) = vectors_or_skip("the cost of verifying recorded evidence") {
        subjects.extend(recorded::subjects(&vectors, &Index::read(&vectors)?)?);
    }
    subjects.push(composite::subject()?);
    subjects.retain(|it| {
        wanted.is_empty() || wanted.iter().any(|name| it.name.starts_with(name.as_str()))
    });
    println!(
        "{:32}{:>9}{:>9}{:>8}{:>9}{:>9}{:>8}   signature checks cold; warm",
        "µs of CPU", "cold", "bare", "ratio", "warm", "bare", "ratio"
    );
    let mut lines = Vec::new();
    for subject in &mut subjects {
        let line = measure(subject);
        println!(
            "{:32}{:>9.0}{:>9.0}{:>8.2}{:>9.0}{:>9.0}{:>8.2}   {}; {}",
            line.name,
            line.cold,
            line.cold_bare,
            line.cold_ratio(),
            line.warm,
            line.warm_bare,
            line.warm_ratio(),
            counts(&subject.cold_checks),
            counts(&subject.warm_checks),
        );
        lines.push(line);
    }
    let beyond: Vec<_> = lines
        .iter()
        .filter(|line| !line.is_within_limits())
        .collect();
    let beyond: Vec<&str> = beyond.iter().map(|line| line.name).collect();
    let all: Vec<String> = lines.iter().map(Line::to_string).collect();
    if !beyond.is_empty() {
        println!("above its limit: {}", beyond.join(", "));
    }
    println!("bench-verify: {}", all.join("; "));
    Ok(match beyond.as_slice() {
        [] => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn measure(subject: &mut Subject) -> Line {
    let mut least = [f64::INFINITY; 4];
    let end = spent() + LONG_ENOUGH;
    let mut rounds = 0;
    while rounds < ROUNDS || spent() < end {
        let round = [
            micros(&subject.cold),
            micros(|| run_all(&subject.cold_checks)),
            micros(&mut subject.warm),
            micros(|| run_all(&subject.warm_checks)),
        ];
        for (least, value) in least.iter_mut().zip(round) {
            *least = least.min(value);
        }
        rounds += 1;
    }
    let [cold, cold_bare, warm, warm_bare] = least;
    Line {
        name: subject.name,
        limits: subject.limits,
        cold,
        cold_bare,
        warm,
        warm_bare,
    }
}

impl Line {
    fn cold_ratio(&self) -> f64 {
        self.cold / self.cold_bare
    }

    fn warm_ratio(&self) -> f64 {
        self.warm / self.warm_bare
    }

    fn is_within_limits(&self) -> bool {
        self.cold_ratio() <= self.limits.cold && self.warm_ratio() <= self.limits.warm
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cold {:.0} µs = {:.2}x bare (limit {}), warm {:.0} µs = {:.2}x (limit {})",
            self.name,
            self.cold,
            self.cold_ratio(),
            self.limits.cold,
            self.warm,
            self.warm_ratio(),
            self.limits.warm
        )
    }
}

fn accepted(verdict: &Verdict) {
    assert_eq!(verdict.decision(), Decision::Accepted, "{verdict}");
}
