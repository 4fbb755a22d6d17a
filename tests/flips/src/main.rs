//! Prints how many flips of each kind were made, and fails if one was accepted.
//!
//! `flips [AT_MOST] [WORDS]`: at most so many in each part, of the parts whose kind or name has these
//! words in it; `all` is no limit. Without arguments every bit is flipped.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;

#[derive(Default)]
struct Total {
    flips: usize,
    accepted: usize,
    parts: usize,
    exhaustive: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let at_most = match arguments.next() {
        Some(number) if number != "all" => {
            number.parse().context("the number of flips in each part")?
        }
        _ => usize::MAX,
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let words = arguments.next().unwrap_or_default();
    let mut subjects = flips::software();
    match evidence::vectors_or_skip("flips of recorded evidence") {
        Some(vectors) => subjects.extend(flips::recorded::subjects(&vectors)?),
        None => println!("(software platforms only)"),
    }
    subjects.retain(|it| it.kind.contains(&words) || it.part.contains(&words));
    let mut totals: BTreeMap<&str, Total> = BTreeMap::new();
    for subject in &subjects {
        let started = Instant::now();
        let count = flips::run(subject, at_most, threads).map_err(anyhow::Error::msg)?;
        let how = if count.exhaustive {
            "every bit"
        } else {
            "sampled"
        };
        println!(
            "{:26} {:58} {:>8} flips  {:>2} accepted  {how}, {:.1} s",
            subject.kind,
            subject.part,
            count.flips,
            count.accepted.len(),
            started.elapsed().as_secs_f64()
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
    let refused = flips - accepted;
    println!("{flips} flips, {refused} refused, {accepted} accepted");
    Ok(if accepted == 0 && flips > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
