//! How long verification takes: each kind of evidence judged over and over, beside the signature
//! checks that its judgement cannot do without, by themselves.
//!
//! *Cold* is everything, collateral read from its wire form; *warm* is what a verifier pays that has
//! seen the same endorsements before and keeps them ([`attest_core::EndorsementCache`]). CPU time of this
//! thread, medians over rounds in which everything is measured in turns, so that what the machine
//! does besides falls on both sides of a ratio. Fails if a warm judgement costs more than twice its
//! signature checks. Build it with `--release`.

mod bare;
mod clock;
mod composite;
mod recorded;

use anyhow::ensure;
use attest_core::{Decision, Verdict};
use evidence::index::Index;
use evidence::vectors_or_skip;

use bare::{Bare, Needs};
use clock::{median, micros};

const ROUNDS: usize = 9;
/// More than this and a warm verification does too much besides.
const ALLOWED: f64 = 1.6;

/// One kind of evidence, ready to be judged again and again.
pub struct Subject {
    name: &'static str,
    cold: Box<dyn Fn()>,
    cold_needs: Needs,
    warm: Box<dyn FnMut()>,
    warm_needs: Needs,
}

/// Medians over the rounds, in microseconds.
struct Line {
    name: &'static str,
    cold: f64,
    cold_bare: f64,
    warm: f64,
    warm_bare: f64,
    warm_ratio: f64,
}

fn main() -> anyhow::Result<()> {
    let mut subjects = Vec::new();
    if let Some(vectors) = vectors_or_skip("the cost of verifying recorded evidence") {
        subjects.extend(recorded::subjects(&vectors, &Index::read(&vectors)?)?);
    }
    subjects.push(composite::subject()?);
    let bare = Bare::new()?;
    let one = bare.cost_of_each();
    println!(
        "one check: ECDSA P-256 {:.0} µs, P-384 {:.0} µs, RSA-4096 {:.0} µs, Ed25519 {:.0} µs\n",
        one.p256, one.p384, one.rsa, one.ed25519
    );
    println!(
        "{:32}{:>9}{:>9}{:>9}{:>9}{:>8}   signature checks cold, warm",
        "µs of CPU", "cold", "bare", "warm", "bare", "ratio"
    );
    let mut lines = Vec::new();
    for subject in &mut subjects {
        let line = measure(subject, &bare);
        println!(
            "{:32}{:>9.0}{:>9.0}{:>9.0}{:>9.0}{:>8.2}   {}; {}",
            line.name,
            line.cold,
            line.cold_bare,
            line.warm,
            line.warm_bare,
            line.warm_ratio,
            subject.cold_needs,
            subject.warm_needs,
        );
        lines.push(line);
    }
    let short: Vec<_> = lines
        .iter()
        .filter(|line| line.warm_ratio > ALLOWED)
        .map(|line| line.name)
        .collect();
    println!("{}", last_line(&lines));
    ensure!(
        short.is_empty(),
        "more than {ALLOWED} times its signature checks: {}",
        short.join(", ")
    );
    Ok(())
}

fn measure(subject: &mut Subject, bare: &Bare) -> Line {
    let mut rounds: [Vec<f64>; 5] = Default::default();
    for _ in 0..ROUNDS {
        let cold = micros(&subject.cold);
        let cold_bare = micros(|| bare.check(&subject.cold_needs));
        let warm = micros(&mut subject.warm);
        let warm_bare = micros(|| bare.check(&subject.warm_needs));
        for (kept, value) in
            rounds
                .iter_mut()
                .zip([cold, cold_bare, warm, warm_bare, warm / warm_bare])
        {
            kept.push(value);
        }
    }
    let [cold, cold_bare, warm, warm_bare, warm_ratio] = rounds.map(median);
    Line {
        name: subject.name,
        cold,
        cold_bare,
        warm,
        warm_bare,
        warm_ratio,
    }
}

fn last_line(lines: &[Line]) -> String {
    let each: Vec<String> = lines
        .iter()
        .map(|line| {
            format!(
                "{} cold {:.0} µs, warm {:.0} µs = {:.2}x bare",
                line.name, line.cold, line.warm, line.warm_ratio
            )
        })
        .collect();
    format!("bench-verify: {}; allowed {ALLOWED}x warm", each.join("; "))
}

fn accepted(verdict: &Verdict) {
    assert_eq!(verdict.decision(), Decision::Accepted, "{verdict}");
}
