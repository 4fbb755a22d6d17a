//! Token counts as upstreams report them.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use gateway_base::metering::{TokenSource, Usage};

/// The members of a `usage` object that are read.
#[derive(Deserialize)]
struct UsageMembers {
    #[serde(default, deserialize_with = "count")]
    prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    completion_tokens: Option<u64>,
}

/// Parses a `usage` object. `None` if it is not one or has neither count.
pub(super) fn read_usage(text: &[u8]) -> Option<Usage> {
    let UsageMembers {
        prompt_tokens,
        completion_tokens,
    } = serde_json::from_slice(text).ok()?;
    prompt_tokens.or(completion_tokens)?;
    Some(Usage {
        prompt_tokens,
        completion_tokens,
        source: TokenSource::default(),
    })
}

/// A whole number, written with or without a fraction of zero. Other values are ignored.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = match Value::deserialize(deserializer)? {
        Value::Number(number) => number,
        _ => return Ok(None),
    };
    let from_fraction = || {
        let number = number.as_f64()?;
        let whole = number.fract() == 0.0 && (0.0..=EXACT).contains(&number);
        whole.then_some(number as u64)
    };
    Ok(number.as_u64().or_else(from_fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_numbers_in_any_spelling() {
        let read = |text: &str| {
            read_usage(text.as_bytes()).map(|usage| (usage.prompt_tokens, usage.completion_tokens))
        };
        assert_eq!(
            read(r#"{"prompt_tokens":9.0,"completion_tokens":4e0,"total_tokens":13.0}"#),
            Some((Some(9), Some(4)))
        );
        assert_eq!(
            read(r#"{"prompt_tokens":9,"completion_tokens":null,"d":{"x":[1]}}"#),
            Some((Some(9), None))
        );
        for text in [
            "{}",
            "null",
            "[]",
            r#"{"prompt_tokens":-1}"#,
            r#"{"prompt_tokens":1.5,"completion_tokens":"9"}"#,
            r#"{"prompt_tokens":1e300}"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
