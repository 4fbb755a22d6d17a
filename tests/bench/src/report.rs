//! From measurements to the table: medians over rounds, differences against the direct connection of the same round,
//! ratios against nginx.

use crate::load::Outcome;
use crate::targets::{DIRECT, NGINX};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As fast as answers come.
    Saturated,
    /// A fixed number of requests per second.
    Rate,
    /// Streams with paced chunks.
    Stream,
}

/// One target, one shape, one round.
pub struct Measurement {
    pub target: &'static str,
    pub shape: Shape,
    pub round: usize,
    pub outcome: Outcome,
}

/// The figures of one row, medians over the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub target: &'static str,
    requests_per_second: f64,
    cpu_saturated: f64,
    added_p50: f64,
    added_p99: f64,
    cpu_at_rate: f64,
    added_first_chunk: f64,
    cpu_per_chunk: f64,
    resident: f64,
}

pub fn rows(measurements: &[Measurement]) -> Vec<Row> {
    let mut targets: Vec<&'static str> = Vec::new();
    for measurement in measurements {
        if !targets.contains(&measurement.target) {
            targets.push(measurement.target);
        }
    }
    targets
        .into_iter()
        .map(|target| row(measurements, target))
        .collect()
}

fn row(all: &[Measurement], target: &'static str) -> Row {
    let of = |shape: Shape, figure: fn(&Outcome) -> f64| {
        median(
            all.iter()
                .filter(|m| m.target == target && m.shape == shape)
                .map(|m| figure(&m.outcome))
                .collect(),
        )
    };
    // Rounds differ from each other more than targets within one: the difference is taken inside a round.
    let added = |shape: Shape, figure: fn(&Outcome) -> f64| {
        let differences = all
            .iter()
            .filter(|m| m.target == target && m.shape == shape)
            .filter_map(|m| {
                let direct = all
                    .iter()
                    .find(|d| d.target == DIRECT && d.shape == shape && d.round == m.round)?;
                Some(figure(&m.outcome) - figure(&direct.outcome))
            })
            .collect();
        median(differences)
    };
    Row {
        target,
        requests_per_second: of(Shape::Saturated, |o| o.requests_per_second),
        cpu_saturated: of(Shape::Saturated, |o| o.cpu_us / o.requests as f64),
        added_p50: added(Shape::Rate, |o| o.latency_p50_us.unwrap_or(f64::NAN)),
        added_p99: added(Shape::Rate, |o| o.latency_p99_us.unwrap_or(f64::NAN)),
        cpu_at_rate: of(Shape::Rate, |o| o.cpu_us / o.requests as f64),
        added_first_chunk: added(Shape::Stream, |o| o.first_chunk_p50_us.unwrap_or(f64::NAN)),
        cpu_per_chunk: of(Shape::Stream, |o| o.cpu_us / o.chunks as f64),
        resident: of(Shape::Saturated, |o| o.resident_mib),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// The table, and below it the same rows as multiples of nginx.
pub fn render(rows: &[Row], rate: u32) -> String {
    let mut text = format!(
        "{:<38}{:>9}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>9}\n",
        "",
        "req/s",
        "CPU µs/req",
        "added p50",
        "added p99",
        "CPU µs/req",
        "added 1st",
        "CPU µs",
        "RSS"
    );
    text += &format!(
        "{:<38}{:>9}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>9}\n",
        "",
        "saturated",
        "saturated",
        format!("µs at {rate}/s"),
        format!("at {rate}/s"),
        format!("at {rate}/s"),
        "chunk µs",
        "per chunk",
        "MiB"
    );
    for row in rows {
        let direct = row.target == DIRECT;
        let own = |value: f64, digits: usize| {
            if direct || value.is_nan() {
                "–".to_owned()
            } else {
                format!("{value:.digits$}")
            }
        };
        text += &format!(
            "{:<38}{:>9.0}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>9}\n",
            row.target,
            row.requests_per_second,
            own(row.cpu_saturated, 1),
            own(row.added_p50, 0),
            own(row.added_p99, 0),
            own(row.cpu_at_rate, 1),
            own(row.added_first_chunk, 0),
            own(row.cpu_per_chunk, 1),
            own(row.resident, 0)
        );
    }
    if let Some(nginx) = rows.iter().find(|row| row.target == NGINX) {
        text += "\nAs multiples of nginx:\n";
        for row in rows
            .iter()
            .filter(|row| row.target != NGINX && row.target != DIRECT)
        {
            text += &format!(
                "{:<38}{:>9.2}{:>12.2}{:>12.2}{:>12.2}{:>12.2}{:>12.2}{:>12.2}\n",
                row.target,
                row.requests_per_second / nginx.requests_per_second,
                row.cpu_saturated / nginx.cpu_saturated,
                row.added_p50 / nginx.added_p50,
                row.added_p99 / nginx.added_p99,
                row.cpu_at_rate / nginx.cpu_at_rate,
                row.added_first_chunk / nginx.added_first_chunk,
                row.cpu_per_chunk / nginx.cpu_per_chunk,
            );
        }
    }
    text
}

/// One line for a reader in a hurry.
pub fn last_line(rows: &[Row], failures: u64) -> String {
    let parts: Vec<String> = rows
        .iter()
        .filter(|row| row.target != DIRECT)
        .map(|row| {
            format!(
                "{} {:.0} req/s {:.0} µs/req {:.0} µs/chunk +{:.0} µs",
                row.target,
                row.requests_per_second,
                row.cpu_saturated,
                row.cpu_per_chunk,
                row.added_p50
            )
        })
        .collect();
    format!("bench: {} failed requests; {}", failures, parts.join("; "))
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
            at_rate(DIRECT, 0, 100.0),
            at_rate("x", 0, 150.0),
            at_rate(DIRECT, 1, 900.0),
            at_rate("x", 1, 960.0),
            at_rate(DIRECT, 2, 100.0),
            at_rate("x", 2, 400.0),
        ];
        let rows = rows(&all);
        assert_eq!(rows[1].added_p50, 60.0);
        assert_eq!(rows[1].cpu_at_rate, 10.0);
    }

    #[test]
    fn a_missing_figure_is_not_a_number() {
        assert!(median(vec![]).is_nan());
        assert_eq!(median(vec![3.0, 1.0]), 2.0);
    }
}
