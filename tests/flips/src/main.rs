//! Prints how many flips of each kind were made, and fails if one was accepted.

use std::collections::BTreeMap;
use std::process::ExitCode;

const THREADS: usize = 2;

#[derive(Default)]
struct Total {
    flips: usize,
    accepted: usize,
    parts: usize,
    exhaustive: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let mut subjects = flips::software();
    match evidence::vectors_or_skip("flips of recorded evidence") {
        Some(vectors) => subjects.extend(flips::recorded::subjects(&vectors)?),
        None => println!("(software platforms only)"),
    }
    let mut totals: BTreeMap<&str, Total> = BTreeMap::new();
    for subject in &subjects {
        let count = flips::run(subject, usize::MAX, THREADS).map_err(anyhow::Error::msg)?;
        let how = if count.exhaustive {
            "every bit"
        } else {
            "sampled"
        };
        println!(
            "{:26} {:58} {:>8} flips  {:>2} accepted  {how}",
            subject.kind,
            subject.part,
            count.flips,
            count.accepted.len()
        );
        for (byte, bit) in count.accepted.iter().take(16) {
            println!("    ACCEPTED: byte {byte:#x}, bit {bit}");
        }
        let total = totals.entry(subject.kind).or_default();
        total.flips += count.flips;
        total.accepted += count.accepted.len();
        total.parts += 1;
        total.exhaustive += usize::from(count.exhaustive);
    }
    println!();
    for (kind, total) in &totals {
        println!(
            "{kind:26} {:>8} flips in {} parts, {} of them in every bit; {} accepted",
            total.flips, total.parts, total.exhaustive, total.accepted
        );
    }
    let (flips, accepted) = totals
        .values()
        .fold((0, 0), |(f, a), it| (f + it.flips, a + it.accepted));
    println!("{flips} flips, {accepted} accepted");
    Ok(match accepted {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
