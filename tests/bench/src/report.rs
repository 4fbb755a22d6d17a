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
    /// Spent after the load, until the process is idle again.
    CpuDeferred,
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
    const ALL: [Figure; 17] = [
        Figure::RequestsPerSecond,
        Figure::CpuSaturated,
        Figure::CpuDeferred,
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
            Figure::CpuDeferred => ["µs a req.", "deferred"],
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
            Figure::CpuDeferred => (Shape::Saturated, |o| o.deferred_us / o.answered as f64),
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

/// What was measured without a load: the memory of an idle connection, in KiB.
pub type IdleMemory = Vec<(&'static str, f64)>;

/// Everything that was measured.
pub struct Report {
    pub targets: Vec<&'static str>,
    pub measurements: Vec<Measurement>,
    pub idle: IdleMemory,
}

impl Report {
    /// The median over the rounds. NaN if it was not measured.
    pub fn get(&self, target: &str, figure: Figure) -> f64 {
        median(self.by_round(target, figure).map(|(_, value)| value))
    }

    /// A figure of each round.
    fn by_round<'a>(
        &'a self,
        target: &'a str,
        figure: Figure,
    ) -> Box<dyn Iterator<Item = (usize, f64)> + 'a> {
        let Some((shape, read)) = figure.source() else {
            let own = self.idle.iter().filter(move |(name, _)| *name == target);
            return Box::new(own.map(|(_, kib)| *kib).enumerate());
        };
        let own = self.of(target, shape);
        if !figure.is_added() {
            return Box::new(own.map(move |m| (m.round, read(&m.outcome))));
        }
        Box::new(own.filter_map(move |m| {
            let mut without = self.of(NO_GATEWAY, shape);
            let without = without.find(|without| without.round == m.round)?;
            Some((m.round, read(&m.outcome) - read(&without.outcome)))
        }))
    }

    fn of<'a>(
        &'a self,
        target: &'a str,
        shape: Shape,
    ) -> impl Iterator<Item = &'a Measurement> + 'a {
        let all = self.measurements.iter();
        all.filter(move |m| m.target == target && m.shape == shape)
    }

    /// One target beside another, round by round: rounds differ from each other more than targets within one.
    pub fn compare(
        &self,
        target: &str,
        other: &str,
        figure: Figure,
        with: fn(f64, f64) -> f64,
    ) -> Spread {
        let others: Vec<_> = self.by_round(other, figure).collect();
        let both = self.by_round(target, figure).filter_map(|(round, value)| {
            let (_, other) = others.iter().find(|(other, _)| *other == round)?;
            Some(with(value, *other))
        });
        Spread::of(both)
    }

    pub fn spread(&self, target: &str, figure: Figure) -> Spread {
        Spread::of(self.by_round(target, figure).map(|(_, value)| value))
    }
}

/// Several values of one thing. NaN if there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
        Self {
            least: values.iter().copied().fold(f64::NAN, f64::min),
            most: values.iter().copied().fold(f64::NAN, f64::max),
            median: median(values),
        }
    }
}

pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// Two tables, since one would be wider than a screen, and below each the same rows as multiples of nginx.
pub fn render(report: &Report) -> String {
    let (first, second) = Figure::ALL.split_at(11);
    format!("{}\n{}", table(report, first), table(report, second))
}

fn table(report: &Report, figures: &[Figure]) -> String {
    let mut text = String::new();
    for line in 0..2 {
        text += &format!("{:<44}", "");
        for figure in figures {
            text += &format!("{:>11}", figure.heading()[line]);
        }
        text.push('\n');
    }
    for target in &report.targets {
        text += &line(target, figures, |figure| report.get(target, figure), 1);
    }
    if report.targets.contains(&NGINX) {
        text += "as multiples of nginx, the median of the rounds\n";
        let others = [NGINX, NO_GATEWAY];
        for target in report.targets.iter().filter(|name| !others.contains(name)) {
            let ratio = |figure| report.compare(target, NGINX, figure, |a, b| a / b).median;
            text += &line(target, figures, ratio, 2);
        }
    }
    text
}

fn line(name: &str, figures: &[Figure], value: impl Fn(Figure) -> f64, digits: usize) -> String {
    let mut text = format!("{name:<44}");
    for figure in figures {
        let value = value(*figure);
        match value.is_finite() {
            true => text += &format!("{value:>11.digits$}"),
            false => text += &format!("{:>11}", "–"),
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
    fn figures_are_compared_within_a_round() {
        let report = Report {
            targets: vec![NO_GATEWAY, "x", "y"],
            measurements: vec![
                at_rate(NO_GATEWAY, 0, 100.0),
                at_rate("x", 0, 150.0),
                at_rate("y", 0, 300.0),
                at_rate(NO_GATEWAY, 1, 900.0),
                at_rate("x", 1, 960.0),
                at_rate("y", 1, 1110.0),
                at_rate(NO_GATEWAY, 2, 100.0),
                at_rate("x", 2, 400.0),
            ],
            idle: vec![("x", 3.0), ("x", 5.0)],
        };
        assert_eq!(report.get("x", Figure::AddedP50), 60.0);
        assert_eq!(report.get("x", Figure::CpuAtRate), 10.0);
        assert_eq!(report.get("x", Figure::IdleConnection), 4.0);
        assert!(report.get("x", Figure::CpuSaturated).is_nan());
        // The third round has no `y`.
        let compared = report.compare("y", "x", Figure::AddedP50, |y, x| y / x);
        let expected = Spread {
            median: 3.75,
            least: 3.5,
            most: 4.0,
        };
        assert_eq!(compared, expected);
    }

    #[test]
    fn a_missing_figure_is_not_a_number() {
        assert!(Spread::of([f64::NAN]).median.is_nan());
        assert!(Spread::of([]).least.is_nan());
        assert_eq!(median([3.0, f64::NAN, 1.0]), 2.0);
    }
}
