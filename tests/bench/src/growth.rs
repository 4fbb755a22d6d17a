//! The cost of a request by the size of the ledger. The ledger is filled by requests through the gateway, so that every
//! table, index and queue is as it is in service. At each size the gateway is measured in turns with the bare proxy.

use anyhow::{Context, Result};

use crate::goals::{Goal, SAME};
use crate::load::Outcome;
use crate::report::{Spread, median};
use crate::targets::Target;

/// Requests in the ledger when it is measured.
pub const SIZES: [u64; 3] = [0, 200_000, 1_000_000];
pub const QUICK_SIZES: [u64; 2] = [0, 50_000];

/// Beside each other at least so often at each size, since a single turn may differ from the next by a third.
pub const TURNS: usize = 5;

/// What one load on a target needs: its target and how many requests it makes, or how long it lasts if `None`.
pub type Load<'a> = dyn FnMut(&mut Target, Option<u64>) -> Result<Outcome> + 'a;

/// The cost of a request at each size, in µs and as a multiple of the bare proxy's.
pub struct Point {
    size: u64,
    pub cpu: f64,
    pub times_floor: f64,
}

pub fn measure(
    gateway: &mut Target,
    floor: &mut Target,
    sizes: &[u64],
    turns: usize,
    load: &mut Load<'_>,
) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    for &size in sizes {
        let missing = size.saturating_sub(gateway.answered);
        if missing > 0 {
            load(gateway, Some(missing)).context("filling the ledger")?;
        }
        let (mut cpu, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            let own = cost(&load(gateway, None)?);
            cpu.push(own);
            ratios.push(own / cost(&load(floor, None)?));
        }
        points.push(Point {
            size: gateway.answered,
            cpu: median(cpu),
            times_floor: median(ratios),
        });
    }
    Ok(points)
}

/// With the work that is done later: it is what a larger ledger may make dearer.
fn cost(outcome: &Outcome) -> f64 {
    outcome.cpu_us / outcome.requests as f64 + outcome.deferred_us / outcome.answered as f64
}

pub fn render(points: &[Point]) -> String {
    let mut text =
        "requests in the ledger, µs a request with deferred work, times the bare proxy\n"
            .to_owned();
    for point in points {
        text += &format!(
            "{:>12}{:>12.1}{:>12.2}\n",
            point.size, point.cpu, point.times_floor
        );
    }
    text
}

/// The largest ledger beside the empty one.
pub fn goal(points: &[Point]) -> Goal {
    let at = |point: Option<&Point>| point.map_or(f64::NAN, |point| point.times_floor);
    let growth = at(points.last()) / at(points.first());
    Goal::at_most(
        "direct, the largest ledger: times the empty one",
        Spread::of([growth]),
        SAME,
    )
}
