//! The logs: every line must be one that the traffic causes.

use std::collections::BTreeMap;

use crate::stage::Stage;

/// What a service says that starts, serves, and stops.
const EXPLAINED: &[&str] = &[
    "hardened",
    "listening",
    "epoch_began",
    "keys_reloaded",
    "upstream_verified",
    "purged",
    "stopping",
    "stopped",
];

/// How requests of this traffic end.
const OUTCOMES: &[&str] = &[
    "completed",
    "refused",
    "upstream_rejected",
    "upstream_unavailable",
    "client_gone",
];

const SHOWN: usize = 5;

/// Lines that nothing explains, a few of each kind.
pub fn faults(stage: &Stage) -> Vec<String> {
    let mut faults = Vec::new();
    for gateway in &stage.gateways {
        let log = gateway.service.log();
        faults.extend(unexplained(gateway.name, &log));
    }
    faults
}

fn unexplained(name: &str, log: &str) -> Vec<String> {
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in log.lines() {
        let event = line.split(' ').nth(1).unwrap_or(line);
        let explained = match event {
            "request_finished" | "upstream_failed" => ended_as_expected(line),
            other => EXPLAINED.contains(&other),
        };
        if !explained {
            kinds.entry(event).or_default().push(line);
        }
    }
    let mut faults = Vec::new();
    for (event, lines) in kinds {
        faults.extend(
            lines
                .iter()
                .take(SHOWN)
                .map(|line| format!("{name}: {line}")),
        );
        if lines.len() > SHOWN {
            faults.push(format!("{name}: {} lines of {event}", lines.len()));
        }
    }
    faults
}

fn ended_as_expected(line: &str) -> bool {
    let outcome = line.split(" outcome=").nth(1);
    let outcome = outcome.and_then(|rest| rest.split(' ').next());
    outcome.is_none_or(|outcome| OUTCOMES.contains(&outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unexpected_log_line_is_a_fault() {
        let good =
            "T hardened holds=x\nT request_finished receipt=r outcome=completed x=1\nT stopped";
        assert_eq!(unexplained("it", good), [""; 0]);
        for bad in [
            "T ledger_failed what=commit",
            "T request_finished receipt=r outcome=failed x=1",
            "thread panicked",
        ] {
            assert_eq!(unexplained("it", bad).len(), 1, "{bad}");
        }
    }
}
