//! What the gateway may cost. A run fails if it is more.

use crate::report::{Figure, Report, Spread};
use crate::targets::{AGGREGATOR, DIRECT, DIRECT_DEFERRED, DIRECT_TWO_CORES, NGINX, PLAIN};

/// One goal, and how it ended.
pub struct Goal {
    pub name: &'static str,
    figure: Spread,
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Result {
    Met,
    Missed,
    /// A figure is missing: nginx is not installed, for example.
    NotMeasured,
}

impl Goal {
    pub fn at_most(name: &'static str, figure: Spread, limit: f64) -> Self {
        Self {
            name,
            figure,
            limit,
        }
    }

    pub fn result(&self) -> Result {
        let median = self.figure.median;
        match (median.is_finite(), median <= self.limit) {
            (false, _) => Result::NotMeasured,
            (true, true) => Result::Met,
            (true, false) => Result::Missed,
        }
    }

    pub fn line(&self) -> String {
        let Spread {
            median,
            least,
            most,
        } = self.figure;
        let result = match self.result() {
            Result::Met => "met",
            Result::Missed => "MISSED",
            Result::NotMeasured => return format!("{:<58}  not measured", self.name),
        };
        format!(
            "{:<58}{median:>9.2}  ({least:.2} to {most:.2})  at most {:.2}  {result}",
            self.name, self.limit
        )
    }
}

/// The goals that follow from the tables. Each is the median of what the rounds say.
pub fn of_report(report: &Report) -> Vec<Goal> {
    let times = |target, other, figure| report.compare(target, other, figure, |a, b| a / b);
    let more = |target, other, figure| report.compare(target, other, figure, |a, b| a - b);
    let saturated = Figure::CpuSaturated;
    vec![
        Goal::at_most(
            "direct, signing on fetch, saturated: times nginx",
            times(DIRECT_DEFERRED, NGINX, saturated),
            1.6,
        ),
        Goal::at_most(
            "direct, saturated: times nginx",
            times(DIRECT, NGINX, saturated),
            2.7,
        ),
        Goal::at_most(
            "without a TEE, saturated: times nginx",
            times(PLAIN, NGINX, saturated),
            1.5,
        ),
        Goal::at_most(
            "attested out, saturated: µs more than direct",
            more(AGGREGATOR, DIRECT, saturated),
            10.0,
        ),
        Goal::at_most(
            "direct, signing on fetch, at the fixed rate: times nginx",
            times(DIRECT_DEFERRED, NGINX, Figure::CpuAtRate),
            1.35,
        ),
        Goal::at_most(
            "direct, at the fixed rate: times nginx",
            times(DIRECT, NGINX, Figure::CpuAtRate),
            1.6,
        ),
        Goal::at_most(
            "direct, a paced chunk: times nginx",
            times(DIRECT, NGINX, Figure::CpuPerPacedChunk),
            1.1,
        ),
        Goal::at_most(
            "attested out, an unpaced chunk: times direct",
            times(AGGREGATOR, DIRECT, Figure::CpuPerUnpacedChunk),
            UNPACED_CHUNK,
        ),
        Goal::at_most(
            "direct, added p50: µs more than nginx",
            more(DIRECT, NGINX, Figure::AddedP50),
            60.0,
        ),
        Goal::at_most(
            "direct, added p99: µs more than nginx",
            more(DIRECT, NGINX, Figure::AddedP99),
            150.0,
        ),
        Goal::at_most(
            "direct, a new connection: times nginx",
            times(DIRECT, NGINX, Figure::CpuPerConnection),
            0.75,
        ),
        Goal::at_most(
            "direct, an idle connection: KiB",
            report.spread(DIRECT, Figure::IdleConnection),
            18.0,
        ),
        Goal::at_most(
            "direct on two cores, saturated: times on one core",
            times(DIRECT_TWO_CORES, DIRECT, saturated),
            SAME,
        ),
    ]
}

/// "The same", with room for what two measurements of one thing differ by.
pub const SAME: f64 = 1.1;

/// An attested chunk is decrypted, and a plain one is not: a little more than the same.
const UNPACED_CHUNK: f64 = 1.25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_up_to_its_limit_and_not_measured_without_a_figure() {
        let result = |figure| Goal::at_most("x", Spread::of([figure]), 1.5).result();
        assert_eq!(result(1.5), Result::Met);
        assert_eq!(result(1.51), Result::Missed);
        assert_eq!(result(f64::NAN), Result::NotMeasured);
    }

    #[test]
    fn without_measurements_no_goal_is_met() {
        let nothing = Report {
            targets: Vec::new(),
            measurements: Vec::new(),
            idle: Vec::new(),
        };
        for goal in of_report(&nothing) {
            assert_eq!(goal.result(), Result::NotMeasured, "{}", goal.name);
        }
    }
}
