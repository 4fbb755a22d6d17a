//! From measurements to tables: medians over rounds, differences against the connection without a gateway of the same
//! round, ratios against nginx.

use crate::load::Outcome;
use crate::shape::Shape;
use crate::targets::{NGINX, NO_GATEWAY};

/// One target, one shape, one round.
pub struct Measurement {
    pub target: &'static str,
    pub shape: Shape,
    pub round: usize,
    pub outcome: Outcome,
}

/// Reads a figure from one measurement.
type Read = fn(&Outcome) -> f64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    RequestsPerSecond,
    CpuSaturated,
    CpuAtRate,
    /// Against no gateway, at the fixed rate.
    AddedP50,
    AddedP99,
    AddedFirstChunk,
    CpuPerPacedChunk,
    CpuPerUnpacedChunk,
    CpuPerConnection,
    Resident,
    IdleConnection,
    CpuPrompt8K,
    CpuPrompt200K,
    CpuOneConnection,
    CpuThousandConnections,
    P99ThousandConnections,
}

impl Figure {
    const ALL: [Figure; 16] = [
        Figure::RequestsPerSecond,
        Figure::CpuSaturated,
        Figure::CpuAtRate,
        Figure::AddedP50,
        Figure::AddedP99,
        Figure::AddedFirstChunk,
        Figure::CpuPerPacedChunk,
        Figure::CpuPerUnpacedChunk,
        Figure::CpuPerConnection,
        Figure::Resident,
        Figure::IdleConnection,
        Figure::CpuPrompt8K,
        Figure::CpuPrompt200K,
        Figure::CpuOneConnection,
        Figure::CpuThousandConnections,
        Figure::P99ThousandConnections,
    ];

    /// Two lines of a column's head.
    const fn heading(self) -> [&'static str; 2] {
        match self {
            Figure::RequestsPerSecond => ["requests", "a second"],
            Figure::CpuSaturated => ["µs a req.", "saturated"],
            Figure::CpuAtRate => ["µs a req.", "at rate"],
            Figure::AddedP50 => ["added µs", "p50"],
            Figure::AddedP99 => ["added µs", "p99"],
            Figure::AddedFirstChunk => ["added µs", "1st chunk"],
            Figure::CpuPerPacedChunk => ["µs a chunk", "paced"],
            Figure::CpuPerUnpacedChunk => ["µs a chunk", "unpaced"],
            Figure::CpuPerConnection => ["µs a new", "connection"],
            Figure::Resident => ["RSS", "MiB"],
            Figure::IdleConnection => ["idle conn.", "KiB"],
            Figure::CpuPrompt8K => ["µs a req.", "8 KB"],
            Figure::CpuPrompt200K => ["µs a req.", "200 KB"],
            Figure::CpuOneConnection => ["µs a req.", "1 conn."],
            Figure::CpuThousandConnections => ["µs a req.", "1000 conn."],
            Figure::P99ThousandConnections => ["ms p99", "1000 conn."],
        }
    }

    /// The shape it is read from, and how. [`Figure::IdleConnection`] is measured without a load.
    fn source(self) -> Option<(Shape, Read)> {
        let per_request: Read = |o| o.cpu_us / o.requests as f64;
        let per_chunk: Read = |o| o.cpu_us / o.chunks as f64;
        Some(match self {
            Figure::RequestsPerSecond => (Shape::Saturated, |o| o.requests_per_second),
            Figure::CpuSaturated => (Shape::Saturated, per_request),
            Figure::CpuAtRate => (Shape::Rate, per_request),
            Figure::AddedP50 => (Shape::Rate, |o| o.latency_p50_us.unwrap_or(f64::NAN)),
            Figure::AddedP99 => (Shape::Rate, |o| o.latency_p99_us.unwrap_or(f64::NAN)),
            Figure::AddedFirstChunk => {
                (Shape::Stream, |o| o.first_chunk_p50_us.unwrap_or(f64::NAN))
            }
            Figure::CpuPerPacedChunk => (Shape::Stream, per_chunk),
            Figure::CpuPerUnpacedChunk => (Shape::Burst, per_chunk),
            Figure::CpuPerConnection => (Shape::NewConnections, per_request),
            Figure::Resident => (Shape::Saturated, |o| o.resident_mib),
            Figure::IdleConnection => return None,
            Figure::CpuPrompt8K => (Shape::Prompt8K, per_request),
            Figure::CpuPrompt200K => (Shape::Prompt200K, per_request),
            Figure::CpuOneConnection => (Shape::OneConnection, per_request),
            Figure::CpuThousandConnections => (Shape::ThousandConnections, per_request),
            Figure::P99ThousandConnections => (Shape::ThousandConnections, |o| {
                o.latency_p99_us.unwrap_or(f64::NAN) / 1000.0
            }),
        })
    }

    const fn is_added(self) -> bool {
        matches!(
            self,
            Figure::AddedP50 | Figure::AddedP99 | Figure::AddedFirstChunk
        )
    }
}

/// The figures of one target.
pub struct Row {
    pub target: &'static str,
    figures: [f64; Figure::ALL.len()],
}

impl Row {
    /// NaN if it was not measured.
    pub fn get(&self, figure: Figure) -> f64 {
        let at = Figure::ALL.iter().position(|one| *one == figure);
        at.map_or(f64::NAN, |at| self.figures[at])
    }
}

/// What was measured without a load: the memory of an idle connection, in KiB.
pub type IdleMemory = Vec<(&'static str, f64)>;

pub fn rows(targets: &[&'static str], measurements: &[Measurement], idle: &IdleMemory) -> Vec<Row> {
    let row = |target: &'static str| Row {
        target,
        figures: Figure::ALL.map(|figure| match figure.source() {
            None => median(values_of(idle, target)),
            Some((shape, read)) if figure.is_added() => added(measurements, target, shape, read),
            Some((shape, read)) => median(
                of(measurements, target, shape)
                    .map(|m| read(&m.outcome))
                    .collect(),
            ),
        }),
    };
    targets.iter().copied().map(row).collect()
}

fn values_of(idle: &IdleMemory, target: &str) -> Vec<f64> {
    let own = idle.iter().filter(|(name, _)| *name == target);
    own.map(|(_, kib)| *kib).collect()
}

fn of<'a>(
    all: &'a [Measurement],
    target: &'a str,
    shape: Shape,
) -> impl Iterator<Item = &'a Measurement> {
    all.iter()
        .filter(move |m| m.target == target && m.shape == shape)
}

/// Rounds differ from each other more than targets within one: the difference is taken inside a round.
fn added(all: &[Measurement], target: &str, shape: Shape, read: Read) -> f64 {
    let differences = of(all, target, shape).filter_map(|m| {
        let direct = of(all, NO_GATEWAY, shape).find(|direct| direct.round == m.round)?;
        Some(read(&m.outcome) - read(&direct.outcome))
    });
    median(differences.collect())
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// Two tables, since one would be wider than a screen, and below each the same rows as multiples of nginx.
pub fn render(rows: &[Row]) -> String {
    let (first, second) = Figure::ALL.split_at(10);
    format!("{}\n{}", table(rows, first), table(rows, second))
}

fn table(rows: &[Row], figures: &[Figure]) -> String {
    let mut text = String::new();
    for line in 0..2 {
        text += &format!("{:<38}", "");
        for figure in figures {
            text += &format!("{:>12}", figure.heading()[line]);
        }
        text.push('\n');
    }
    for row in rows {
        text += &line(row.target, figures, |figure| row.get(figure), 1);
    }
    if let Some(nginx) = rows.iter().find(|row| row.target == NGINX) {
        text += "as multiples of nginx\n";
        let others = [NGINX, NO_GATEWAY];
        for row in rows.iter().filter(|row| !others.contains(&row.target)) {
            let ratio = |figure| row.get(figure) / nginx.get(figure);
            text += &line(row.target, figures, ratio, 2);
        }
    }
    text
}

fn line(name: &str, figures: &[Figure], value: impl Fn(Figure) -> f64, digits: usize) -> String {
    let mut text = format!("{name:<38}");
    for figure in figures {
        let value = value(*figure);
        match value.is_finite() {
            true => text += &format!("{value:>12.digits$}"),
            false => text += &format!("{:>12}", "–"),
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_rate(target: &'static str, round: usize, p50: f64) -> Measurement {
        let outcome = Outcome {
            requests: 10,
            latency_p50_us: Some(p50),
            cpu_us: 100.0,
            ..Outcome::default()
        };
        Measurement {
            target,
            shape: Shape::Rate,
            round,
            outcome,
        }
    }

    #[test]
    fn added_latency_is_the_median_of_the_differences_within_a_round() {
        let all = [
            at_rate(NO_GATEWAY, 0, 100.0),
            at_rate("x", 0, 150.0),
            at_rate(NO_GATEWAY, 1, 900.0),
            at_rate("x", 1, 960.0),
            at_rate(NO_GATEWAY, 2, 100.0),
            at_rate("x", 2, 400.0),
        ];
        let rows = rows(&[NO_GATEWAY, "x"], &all, &vec![("x", 3.0), ("x", 5.0)]);
        assert_eq!(rows[1].get(Figure::AddedP50), 60.0);
        assert_eq!(rows[1].get(Figure::CpuAtRate), 10.0);
        assert_eq!(rows[1].get(Figure::IdleConnection), 4.0);
        assert!(rows[1].get(Figure::CpuSaturated).is_nan());
    }

    #[test]
    fn a_missing_figure_is_not_a_number() {
        assert!(median(vec![]).is_nan());
        assert_eq!(median(vec![3.0, 1.0]), 2.0);
    }
}
