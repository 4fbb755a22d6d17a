//! `[prices]`, and the price table that it names.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use attest_core::{Sha256Digest, UnixTime};
use strict_toml::Table;

use super::{MAX_FILE, read_text, resolve};
use crate::config::problem::{Problem, Problems};
use crate::config::read::Section;
use crate::config::{Model, Prices};
use crate::quota::{Money, Price, PriceTable, Rates};
use crate::request::Name;

/// A price list of every model there is has some thousand entries.
const MAX_PRICES: u64 = 4 * MAX_FILE;
/// Nothing costs more; an amount beyond it lacks its point.
const MOST: Money = Money::from_nanos(100_000_000 * 1_000_000_000);

pub(super) fn read(
    mut section: Section<'_>,
    base: &Path,
    models: &[Arc<Model>],
    problems: &Problems,
) -> Prices {
    let file = section.string("file");
    let header = section.boolean("cost_header");
    if let (Some(at), None) = (header.as_ref().filter(|at| at.value), &file) {
        section.problem(
            &at.span,
            "cost_header",
            "has no meaning without prices.file",
        );
    }
    let table = file.as_ref().and_then(|at| {
        let path = resolve(base, &at.value);
        match load(&path) {
            Ok(table) => Some(Arc::new(table)),
            Err(reasons) => {
                for reason in reasons {
                    section.problem(&at.span, "file", reason);
                }
                None
            }
        }
    });
    if let (Some(table), Some(at)) = (&table, &file) {
        for reason in gaps(table, models) {
            problems.warn(Some(&at.span), section.key("file"), reason);
        }
    }
    section.finish();
    Prices {
        table,
        cost_header: header.is_some_and(|at| at.value),
    }
}

fn load(file: &Path) -> Result<PriceTable, Vec<String>> {
    let text = read_text(file, MAX_PRICES).map_err(|reason| vec![reason])?;
    parse_prices(file, &text).map_err(|problems| {
        let shown = problems.iter().map(|problem| match problem.line {
            Some(line) => format!("{}:{line}: {problem}", file.display()),
            None => format!("{}: {problem}", file.display()),
        });
        shown.collect()
    })
}

/// Reads a price table.
pub fn parse_prices(file: &Path, text: &str) -> Result<PriceTable, Vec<Problem>> {
    let problems = Problems::new(text);
    let table = match Table::parse(text) {
        Ok(table) => read_table(file, text, Section::new(table, &problems)),
        Err(errors) => {
            for error in errors {
                let reason = format!("is not TOML: {}", error.message);
                problems.add(error.span.as_ref(), "", reason);
            }
            None
        }
    };
    let found = problems.into_vec();
    table.filter(|_| found.is_empty()).ok_or(found)
}

fn read_table(file: &Path, text: &str, mut root: Section<'_>) -> Option<PriceTable> {
    let present = root.has("currency");
    let currency = root.parsed("currency", Name::from_operator);
    let currency = root.required("currency", currency, present);
    let sections = root.sections("price");
    if sections.is_empty() {
        let span = root.span().clone();
        root.problem(&span, "price", "is missing: there is no [[price]]");
    }
    let mut prices: Vec<Price> = Vec::new();
    let mut begins = HashMap::new();
    for section in sections {
        let (span, key) = (section.span().clone(), section.key(""));
        let Some(price) = price(section) else {
            continue;
        };
        let begin = (
            price.model.clone(),
            price.upstream.clone(),
            price.effective_from,
        );
        if let Some(earlier) = begins.insert(begin, key.clone()) {
            let reason = format!(
                "overlaps {earlier}: both are for the same model and upstream, from the same time on"
            );
            root.problem(&span, &key, reason);
        }
        prices.push(price);
    }
    root.finish();
    let digest = Sha256Digest::hash(text.as_bytes());
    Some(PriceTable::new(
        file.to_owned(),
        digest,
        currency?.value,
        prices,
    ))
}

fn price(mut section: Section<'_>) -> Option<Price> {
    let present = section.has("model");
    let model = section.parsed("model", Name::from_operator);
    let model = section.required("model", model, present);
    let upstream = section.parsed("upstream", Name::from_operator);
    let effective_from = section.parsed("effective_from", time);
    let input = required_money(&mut section, "input");
    let output = required_money(&mut section, "output");
    let mut optional = |name| section.money(name, MOST).map(|at| at.value);
    let cached_input = optional("cached_input");
    let reasoning = optional("reasoning");
    let (request, image) = (optional("request"), optional("image"));
    section.finish();
    let (input, output) = (input?, output?);
    Some(Price {
        model: model?.value,
        upstream: upstream.map(|at| at.value),
        effective_from: effective_from.map(|at| at.value),
        rates: Rates {
            input,
            output,
            cached_input: cached_input.unwrap_or(input),
            reasoning: reasoning.unwrap_or(output),
            request: request.unwrap_or(Money::ZERO),
            image: image.unwrap_or(Money::ZERO),
        },
    })
}

fn required_money(section: &mut Section<'_>, name: &'static str) -> Option<Money> {
    let present = section.has(name);
    let money = section.money(name, MOST);
    section.required(name, money, present).map(|at| at.value)
}

/// A date, from its beginning in UTC, or a time.
fn time(text: &str) -> Result<UnixTime, &'static str> {
    let midnight = format!("{text}T00:00:00Z");
    UnixTime::parse_rfc3339(text)
        .or_else(|_| UnixTime::parse_rfc3339(&midnight))
        .map_err(|_| "is neither a date such as \"2027-01-31\" nor a time such as \"2027-01-31T12:00:00Z\"")
}

/// What is served without a price, and prices of upstreams that a configured model does not have.
fn gaps(table: &PriceTable, models: &[Arc<Model>]) -> Vec<String> {
    let mut gaps = Vec::new();
    for model in models {
        for upstream in &model.upstreams {
            if !table.has_price(&model.id, &upstream.name) {
                gaps.push(format!(
                    "{} has no price of {} at {}: what it costs there is not known",
                    table.file.display(),
                    model.id,
                    upstream.name
                ));
            }
        }
        for price in table.prices().filter(|price| price.model == model.id) {
            if let Some(name) = &price.upstream
                && !model
                    .upstreams
                    .iter()
                    .any(|upstream| upstream.name == *name)
            {
                gaps.push(format!(
                    "{} has a price of {} at {name}, which is not one of its upstreams",
                    table.file.display(),
                    model.id
                ));
            }
        }
    }
    gaps
}
