//! LiteLLM's `model_prices_and_context_window.json`, read as a price table.
//!
//! Prices for single tokens are JSON numbers there, such as `1.5e-07`. They are converted from that text, digit by digit:
//! no amount passes through a float. A price that has no exact counterpart is left out and listed.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde_json::value::RawValue;

use gateway_base::quota::Money;
use gateway_base::request::{Name, NameError};

/// A price table, and what is not in it.
pub struct ImportedPrices {
    pub table: String,
    pub models: usize,
    pub left_out: Vec<LeftOut>,
}

/// Why a file cannot be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PricesError {
    #[error("is not a JSON object with an object for each model")]
    Form,
    #[error("has no model with prices of tokens")]
    Empty,
}

/// A price, or a whole model, that is not in the table.
#[derive(Debug, PartialEq)]
pub struct LeftOut {
    model: String,
    /// `None`: the whole model.
    member: Option<String>,
    reason: Reason,
}

#[derive(Debug, PartialEq)]
enum Reason {
    Name(NameError),
    NotAnObject,
    NoTokenPrice,
    NotANumber,
    Negative,
    TooPrecise,
    TooLarge,
    NoCounterpart,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Quoted: the text is the file's.
        write!(f, "left out: {:?}", self.model)?;
        if let Some(member) = &self.member {
            write!(f, " {member:?}")?;
        }
        match &self.reason {
            Reason::Name(error) => write!(f, ": the name {error}"),
            Reason::NotAnObject => f.write_str(": is not an object"),
            Reason::NoTokenPrice => f.write_str(": has no price of tokens"),
            Reason::NotANumber => f.write_str(": is not a number"),
            Reason::Negative => f.write_str(": is negative"),
            Reason::TooPrecise => {
                f.write_str(": for a million tokens it has more than nine digits after the point")
            }
            Reason::TooLarge => f.write_str(": is too large"),
            Reason::NoCounterpart => f.write_str(": has no counterpart in a price table"),
        }
    }
}

/// LiteLLM's members, ours, and the power of ten between them and billionths.
const MEMBERS: [(&str, &str, i32); 6] = [
    ("input_cost_per_token", "input", PER_TOKEN),
    ("output_cost_per_token", "output", PER_TOKEN),
    ("cache_read_input_token_cost", "cached_input", PER_TOKEN),
    ("output_cost_per_reasoning_token", "reasoning", PER_TOKEN),
    ("input_cost_per_request", "request", PER_PIECE),
    ("input_cost_per_image", "image", PER_PIECE),
];
/// A price of one token becomes one of a million, in billionths.
const PER_TOKEN: i32 = 6 + 9;
const PER_PIECE: i32 = 9;

type Model<'a> = BTreeMap<String, &'a RawValue>;

pub fn import(json: &str) -> Result<ImportedPrices, PricesError> {
    let models: BTreeMap<String, &RawValue> =
        serde_json::from_str(json).map_err(|_| PricesError::Form)?;
    let mut imported = ImportedPrices {
        table: "currency = \"USD\"\n".to_owned(),
        models: 0,
        left_out: Vec::new(),
    };
    // An explanation of the format, not a model.
    for (name, value) in models.iter().filter(|(name, _)| *name != "sample_spec") {
        imported.model(name, value);
    }
    match imported.models {
        0 => Err(PricesError::Empty),
        _ => Ok(imported),
    }
}

impl ImportedPrices {
    fn model(&mut self, model: &str, value: &RawValue) {
        let name = match Name::from_operator(model) {
            Ok(name) => name,
            Err(error) => return self.leave(model, None, Reason::Name(error)),
        };
        let Ok(members) = serde_json::from_str::<Model<'_>>(value.get()) else {
            return self.leave(model, None, Reason::NotAnObject);
        };
        let mut prices = Vec::new();
        for (theirs, ours, power) in MEMBERS {
            match members.get(theirs).map(|value| amount(value.get(), power)) {
                None | Some(Ok(None)) => {}
                Some(Ok(Some(amount))) => prices.push((ours, amount)),
                Some(Err(reason)) => self.leave(model, Some(theirs), reason),
            }
        }
        for (member, value) in &members {
            let known = MEMBERS.iter().any(|(theirs, ..)| theirs == member);
            let is_price = member.contains("cost") && !matches!(value.get(), "null" | "0" | "0.0");
            if is_price && !known {
                self.leave(model, Some(member), Reason::NoCounterpart);
            }
        }
        let has = |wanted: &str| prices.iter().any(|(ours, _)| *ours == wanted);
        // Models without tokens in their answers, such as embeddings, have no price of these.
        let no_output = !members.contains_key("output_cost_per_token");
        if no_output && has("input") {
            prices.insert(1, ("output", Money::ZERO));
        } else if !has("input") || !has("output") {
            return self.leave(model, None, Reason::NoTokenPrice);
        }
        self.models += 1;
        // Writing to a string does not fail. A name has no character that TOML would read in another way.
        let _ = write!(self.table, "\n[[price]]\nmodel = \"{name}\"\n");
        for (ours, amount) in prices {
            let _ = writeln!(self.table, "{ours} = \"{amount}\"");
        }
    }

    fn leave(&mut self, model: &str, member: Option<&str>, reason: Reason) {
        self.left_out.push(LeftOut {
            model: model.to_owned(),
            member: member.map(str::to_owned),
            reason,
        });
    }
}

/// A JSON number times a power of ten, as billionths. `None` for `null`.
fn amount(text: &str, power: i32) -> Result<Option<Money>, Reason> {
    if text == "null" {
        return Ok(None);
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.starts_with('-') {
        return Err(Reason::Negative);
    }
    // Anything but a number begins with a quote, a bracket or a letter.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Reason::NotANumber);
    }
    let exponent: i32 = exponent.parse().map_err(|_| Reason::TooLarge)?;
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok(Some(Money::ZERO));
    }
    let dropped = digits.len() - digits.trim_end_matches('0').len();
    let places = |count: usize| i32::try_from(count).map_err(|_| Reason::TooLarge);
    let power = exponent
        .checked_add(power)
        .and_then(|power| power.checked_sub(places(fraction.len()).ok()?))
        .and_then(|power| power.checked_add(places(dropped).ok()?))
        .ok_or(Reason::TooLarge)?;
    let power = u32::try_from(power).map_err(|_| Reason::TooPrecise)?;
    let nanos = significant.parse::<i64>().ok();
    let nanos = nanos.and_then(|digits| digits.checked_mul(10_i64.checked_pow(power)?));
    nanos
        .map(|nanos| Some(Money::from_nanos(nanos)))
        .ok_or(Reason::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_base::config::parse_prices;
    use std::path::Path;

    fn shown(text: &str) -> Result<String, Reason> {
        amount(text, PER_TOKEN).map(|money| money.unwrap_or_default().to_string())
    }

    #[test]
    fn numbers_are_converted_digit_by_digit() {
        for (text, million) in [
            ("1.5e-07", "0.15"),
            ("1.5E-7", "0.15"),
            ("0.00000015", "0.15"),
            ("2.5e-06", "2.5"),
            ("2.50000e-06", "2.5"),
            ("3e-05", "30"),
            ("0.000001234567891", "1.234567891"),
            ("100e-8", "1"),
            ("0", "0"),
            ("0.0", "0"),
            ("0e-99", "0"),
            ("1e-15", "0.000000001"),
            ("0.06", "60000"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(million), "{text}");
        }
        for (text, reason) in [
            ("-1e-6", Reason::Negative),
            ("\"1e-6\"", Reason::NotANumber),
            ("true", Reason::NotANumber),
            ("{}", Reason::NotANumber),
            ("1.00000000000000001e-06", Reason::TooPrecise),
            ("1e-16", Reason::TooPrecise),
            ("1e99", Reason::TooLarge),
            ("1e99999999999", Reason::TooLarge),
            ("123456789012345678901234567890", Reason::TooLarge),
        ] {
            assert_eq!(shown(text), Err(reason), "{text}");
        }
    }

    /// In the shape of LiteLLM's file.
    const LIST: &str = r#"{
        "sample_spec": {"input_cost_per_token": 0.0, "mode": "one of: chat, embedding"},
        "gpt-4o": {
            "max_tokens": 16384, "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05,
            "cache_read_input_token_cost": 1.25e-06, "litellm_provider": "openai", "mode": "chat",
            "input_cost_per_token_batches": 1.25e-06
        },
        "o1": {"input_cost_per_token": 1.5e-05, "output_cost_per_token": 6e-05, "output_cost_per_reasoning_token": 6e-05},
        "text-embedding-3-small": {"input_cost_per_token": 2e-08, "mode": "embedding"},
        "vision": {"input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06, "input_cost_per_image": 0.0048, "input_cost_per_request": 0.001},
        "dall-e-3": {"input_cost_per_pixel": 3.81469e-08, "mode": "image_generation"},
        "two words": {"input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
        "odd": {"input_cost_per_token": 1.00000000000000001e-06, "output_cost_per_token": 1e-06},
        "text": 7
    }"#;

    #[test]
    fn a_list_becomes_a_table_that_is_accepted_and_the_rest_is_listed() {
        let imported = import(LIST).expect("imported");
        let table = parse_prices(Path::new("prices.toml"), &imported.table).expect("a table");
        let mut found: Vec<String> = table
            .prices()
            .map(|price| {
                let rates = &price.rates;
                format!(
                    "{} {} {} {} {} {} {}",
                    price.model,
                    rates.input,
                    rates.output,
                    rates.cached_input,
                    rates.reasoning,
                    rates.request,
                    rates.image
                )
            })
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                "gpt-4o 2.5 10 1.25 10 0 0",
                "o1 15 60 15 60 0 0",
                "text-embedding-3-small 0.02 0 0.02 0 0 0",
                "vision 1 1 1 1 0.001 0.0048",
            ]
        );
        let left: Vec<String> = imported.left_out.iter().map(ToString::to_string).collect();
        assert_eq!(
            left,
            [
                "left out: \"dall-e-3\" \"input_cost_per_pixel\": has no counterpart in a price table",
                "left out: \"dall-e-3\": has no price of tokens",
                "left out: \"gpt-4o\" \"input_cost_per_token_batches\": has no counterpart in a price table",
                "left out: \"odd\" \"input_cost_per_token\": for a million tokens it has more than nine digits after the point",
                "left out: \"odd\": has no price of tokens",
                "left out: \"text\": is not an object",
                "left out: \"two words\": the name contains ' '; letters, digits and . _ - : / @ + are allowed",
            ]
        );
    }

    #[test]
    fn rejects_what_is_no_list_of_models() {
        for text in ["", "[]", "7", "{\"a\":", "{\"a\": 1} x"] {
            assert!(matches!(import(text), Err(PricesError::Form)), "{text}");
        }
        for text in ["{}", "{\"sample_spec\": {}}", "{\"a\": {}}"] {
            assert!(matches!(import(text), Err(PricesError::Empty)), "{text}");
        }
    }
}
