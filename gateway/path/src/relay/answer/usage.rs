//! Token counts as upstreams report them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use gateway_base::metering::{TokenDetails, TokenSource, Usage};

/// The members of a `usage` object that are read.
#[derive(Deserialize)]
struct UsageMembers {
    #[serde(default, deserialize_with = "count")]
    prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    completion_tokens: Option<u64>,
    #[serde(default, deserialize_with = "details")]
    prompt_tokens_details: PromptDetails,
    #[serde(default, deserialize_with = "details")]
    completion_tokens_details: CompletionDetails,
}

#[derive(Default, Deserialize)]
struct PromptDetails {
    #[serde(default, deserialize_with = "count")]
    cached_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
struct CompletionDetails {
    #[serde(default, deserialize_with = "count")]
    reasoning_tokens: Option<u64>,
}

/// Parses a `usage` object. `None` if it is not one or has neither count.
pub(super) fn read_usage(text: &[u8]) -> Option<Usage> {
    let UsageMembers {
        prompt_tokens,
        completion_tokens,
        prompt_tokens_details: PromptDetails { cached_tokens },
        completion_tokens_details: CompletionDetails { reasoning_tokens },
    } = serde_json::from_slice(text).ok()?;
    prompt_tokens.or(completion_tokens)?;
    Some(Usage {
        prompt_tokens,
        completion_tokens,
        details: TokenDetails {
            cached_tokens,
            reasoning_tokens,
        },
        source: TokenSource::default(),
    })
}

/// An object of counts. Anything else is as good as an empty one: the other counts are read all the same.
fn details<'de, D: Deserializer<'de>, T: Default + DeserializeOwned>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    match value.is_object() {
        true => Ok(T::deserialize(value).unwrap_or_default()),
        false => Ok(T::default()),
    }
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
    fn reads_tokens_that_can_have_separate_prices_and_ignores_malformed_details() {
        let read = |details: &str| {
            let text = format!(r#"{{"prompt_tokens":9,"completion_tokens":4,{details}}}"#);
            let usage = read_usage(text.as_bytes()).expect("the other counts");
            assert_eq!(
                (usage.prompt_tokens, usage.completion_tokens),
                (Some(9), Some(4))
            );
            (usage.details.cached_tokens, usage.details.reasoning_tokens)
        };
        let both = r#""prompt_tokens_details":{"cached_tokens":7,"audio_tokens":1},
            "completion_tokens_details":{"reasoning_tokens":2.0}"#;
        assert_eq!(read(both), (Some(7), Some(2)));
        for malformed in [
            r#""prompt_tokens_details":null,"completion_tokens_details":null"#,
            r#""prompt_tokens_details":[7],"completion_tokens_details":"7""#,
            r#""prompt_tokens_details":{"cached_tokens":-1},"completion_tokens_details":{"reasoning_tokens":"7"}"#,
        ] {
            assert_eq!(read(malformed), (None, None), "{malformed}");
        }
    }

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
