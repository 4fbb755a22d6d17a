//! What the gateway may cost. A run fails if it is more.

use crate::report::{Figure, Row};
use crate::targets::{AGGREGATOR, DIRECT, DIRECT_DEFERRED, DIRECT_TWO_CORES, NGINX, PLAIN};

/// One goal, and how it ended.
pub struct Goal {
    pub name: &'static str,
    figure: f64,
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
    pub fn at_most(name: &'static str, figure: f64, limit: f64) -> Self {
        Self {
            name,
            figure,
            limit,
        }
    }

    pub fn result(&self) -> Result {
        match (self.figure.is_finite(), self.figure <= self.limit) {
            (false, _) => Result::NotMeasured,
            (true, true) => Result::Met,
            (true, false) => Result::Missed,
        }
    }

    pub fn line(&self) -> String {
        let result = match self.result() {
            Result::Met => "met",
            Result::Missed => "MISSED",
            Result::NotMeasured => "not measured",
        };
        format!(
            "{:<58}{:>10.2}  at most {:>7.2}  {result}",
            self.name, self.figure, self.limit
        )
    }
}

/// The goals that follow from the tables.
pub fn of_rows(rows: &[Row]) -> Vec<Goal> {
    let get = |target: &str, figure| {
        let row = rows.iter().find(|row| row.target == target);
        row.map_or(f64::NAN, |row| row.get(figure))
    };
    let times_nginx = |target, figure| get(target, figure) / get(NGINX, figure);
    let above_nginx = |target, figure| get(target, figure) - get(NGINX, figure);
    let saturated = Figure::CpuSaturated;
    vec![
        Goal::at_most(
            "direct, signing on fetch, saturated: times nginx",
            times_nginx(DIRECT_DEFERRED, saturated),
            1.6,
        ),
        Goal::at_most(
            "direct, saturated: times nginx",
            times_nginx(DIRECT, saturated),
            2.7,
        ),
        Goal::at_most(
            "without a TEE, saturated: times nginx",
            times_nginx(PLAIN, saturated),
            1.5,
        ),
        Goal::at_most(
            "attested out, saturated: µs more than direct",
            get(AGGREGATOR, saturated) - get(DIRECT, saturated),
            10.0,
        ),
        Goal::at_most(
            "direct, signing on fetch, at the fixed rate: times nginx",
            times_nginx(DIRECT_DEFERRED, Figure::CpuAtRate),
            1.35,
        ),
        Goal::at_most(
            "direct, at the fixed rate: times nginx",
            times_nginx(DIRECT, Figure::CpuAtRate),
            1.6,
        ),
        Goal::at_most(
            "direct, a paced chunk: times nginx",
            times_nginx(DIRECT, Figure::CpuPerPacedChunk),
            1.1,
        ),
        Goal::at_most(
            "attested out, an unpaced chunk: times direct",
            get(AGGREGATOR, Figure::CpuPerUnpacedChunk) / get(DIRECT, Figure::CpuPerUnpacedChunk),
            UNPACED_CHUNK,
        ),
        Goal::at_most(
            "direct, added p50: µs more than nginx",
            above_nginx(DIRECT, Figure::AddedP50),
            60.0,
        ),
        Goal::at_most(
            "direct, added p99: µs more than nginx",
            above_nginx(DIRECT, Figure::AddedP99),
            150.0,
        ),
        Goal::at_most(
            "direct, a new connection: times nginx",
            times_nginx(DIRECT, Figure::CpuPerConnection),
            0.75,
        ),
        Goal::at_most(
            "direct, an idle connection: KiB",
            get(DIRECT, Figure::IdleConnection),
            18.0,
        ),
        Goal::at_most(
            "direct on two cores, saturated: times on one core",
            get(DIRECT_TWO_CORES, saturated) / get(DIRECT, saturated),
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
        let result = |figure| Goal::at_most("x", figure, 1.5).result();
        assert_eq!(result(1.5), Result::Met);
        assert_eq!(result(1.51), Result::Missed);
        assert_eq!(result(f64::NAN), Result::NotMeasured);
    }

    #[test]
    fn without_measurements_no_goal_is_met() {
        for goal in of_rows(&[]) {
            assert_eq!(goal.result(), Result::NotMeasured, "{}", goal.name);
        }
    }
}
