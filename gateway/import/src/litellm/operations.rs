//! Limits and budgets. They are operational state here and not configuration, so they become a script of commands.

use std::fmt::Write;

use super::document::Section;
use super::{Draft, Model, Notes};
use gateway_base::quota::{Money, Period};

/// What LiteLLM limits of one deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub requests_per_minute: Option<u64>,
    pub tokens_per_minute: Option<u64>,
    pub concurrent: Option<u64>,
}

/// `max_budget` and `budget_duration`: what all requests together may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    pub money: Money,
    pub period: Period,
}

impl Counts {
    /// From `litellm_params` or the entry of `model_list` itself: LiteLLM accepts both.
    pub fn take(section: &mut Section, notes: &mut Notes) -> Self {
        Self {
            requests_per_minute: section.count("rpm", notes),
            tokens_per_minute: section.count("tpm", notes),
            concurrent: section.count("max_parallel_requests", notes),
        }
    }

    pub fn or(self, other: Self) -> Self {
        Self {
            requests_per_minute: self.requests_per_minute.or(other.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.or(other.tokens_per_minute),
            concurrent: self.concurrent.or(other.concurrent),
        }
    }

    /// Of two deployments of one model. It is as unlimited as one of them.
    fn plus(self, other: Self) -> Self {
        let sum = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a.saturating_add(b));
        Self {
            requests_per_minute: sum(self.requests_per_minute, other.requests_per_minute),
            tokens_per_minute: sum(self.tokens_per_minute, other.tokens_per_minute),
            concurrent: sum(self.concurrent, other.concurrent),
        }
    }

    fn arguments(self) -> Option<String> {
        let counts = [
            ("--requests-per-minute", self.requests_per_minute),
            ("--tokens-per-minute", self.tokens_per_minute),
            ("--concurrent", self.concurrent),
        ];
        let given = counts
            .into_iter()
            .filter_map(|(flag, count)| Some(format!("{flag} {}", count?)));
        let arguments: Vec<String> = given.collect();
        (!arguments.is_empty()).then(|| arguments.join(" "))
    }
}

impl Model {
    /// The limits of its deployments together: in LiteLLM each has limits.
    pub fn counts(&self) -> Counts {
        let counts = self.deployments.iter().map(|deployment| deployment.counts);
        counts.reduce(Counts::plus).unwrap_or_default()
    }
}

/// Reads `max_budget` and `budget_duration`.
pub fn take_budget(section: &mut Section, draft: &mut Draft) {
    let duration = section.string("budget_duration", &mut draft.notes);
    let Some(amount) = section.take("max_budget") else {
        return;
    };
    // A number of YAML in its shortest form is the text that was written, up to 15 digits.
    let money: Option<Money> = amount.to_string().trim_end_matches(".0").parse().ok();
    let period = match duration.as_deref() {
        Some("1d" | "24h") => Some(Period::Day),
        Some("7d" | "1w") => Some(Period::Week),
        Some("30d" | "1mo") => Some(Period::Month),
        None => Some(Period::Total),
        Some(_) => None,
    };
    let place = section.place_of("max_budget");
    match (money.filter(|money| *money > Money::ZERO), period) {
        (Some(money), Some(period)) => {
            if period != Period::Total {
                let reason = "is a budget of the calendar's day, week or month here";
                draft.notes.changed(&place, reason);
            }
            draft.budget = Some(Budget { money, period });
        }
        (None, _) => draft
            .notes
            .not_imported(&place, "is not an amount of money above zero"),
        (_, None) => draft
            .notes
            .not_imported(&place, "its budget_duration is not a day, 7 or 30 days"),
    }
}

/// A shell script with one command for each limit, or nothing. Names have no characters that a shell reads in another way.
pub fn script(draft: &Draft) -> Option<String> {
    let mut commands = String::new();
    for model in &draft.models {
        let Some(arguments) = model.counts().arguments() else {
            continue;
        };
        let id = &model.id;
        let _ = writeln!(
            commands,
            "sealgate limits set sealgate.toml {id} --scope total --model {id} {arguments}"
        );
    }
    if let Some(Budget { money, period }) = &draft.budget {
        let _ = writeln!(
            commands,
            "# Needs a price table: sealgate import prices litellm, and [prices] in sealgate.toml\n\
             # sealgate budgets set sealgate.toml total --scope total --period {period} --money {money}"
        );
    }
    (!commands.is_empty()).then(|| {
        format!(
            "#!/bin/sh\n# Limits and budgets are no configuration: run this once in this directory, with the service running or not.\n\
             set -eu\n{commands}"
        )
    })
}
