//! Rate limits, as operators set them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Period, Scope, ScopeError};
use crate::request::{Name, NameError};

/// No count may be larger: sums of a few of them must fit.
pub const MAX_COUNT: u64 = 1_000_000_000_000;

/// How much requests of a scope may use. At least one of the counts is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    pub scope: Scope,
    /// Only requests for this model count; all, if there is none.
    pub model: Option<Name>,
    pub requests: WindowCounts,
    pub tokens: WindowCounts,
    /// Requests in progress at one time.
    pub concurrent: Option<u64>,
}

/// Counts for sliding windows of time, each `None` where it is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowCounts {
    pub minute: Option<u64>,
    pub hour: Option<u64>,
    pub day: Option<u64>,
}

impl WindowCounts {
    pub const PERIODS: [Period; 3] = [Period::Minute, Period::Hour, Period::Day];

    /// In the order of [`Self::PERIODS`].
    pub fn counts(&self) -> [Option<u64>; 3] {
        [self.minute, self.hour, self.day]
    }
}

/// A limit as it is written in JSON. What is absent is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenLimit {
    pub scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_hour: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_hour: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<i64>,
}

/// Why a limit cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    #[error("{member:?} is not a member of it; its members are {}", MEMBERS.join(", "))]
    Unknown { member: String },
    #[error("{member} must be {wanted}")]
    Type {
        member: &'static str,
        wanted: &'static str,
    },
    #[error("scope is missing")]
    NoScope,
    #[error("scope {0}")]
    Scope(#[from] ScopeError),
    #[error("model {0}")]
    Model(NameError),
    #[error("limits nothing: a count of requests, of tokens or of concurrent requests is missing")]
    Empty,
    #[error("{0} must be at least 1: to refuse every request, block the key")]
    NotPositive(&'static str),
    #[error("{0} must be at most {MAX_COUNT}")]
    TooLarge(&'static str),
    #[error("{longer} is below {shorter}, which could never be used")]
    Contradiction {
        shorter: &'static str,
        longer: &'static str,
    },
}

impl LimitError {
    /// The member at fault, if it is one.
    pub fn member(&self) -> Option<&'static str> {
        match self {
            LimitError::Scope(_) | LimitError::NoScope => Some("scope"),
            LimitError::Type { member, .. } => Some(member),
            LimitError::Model(_) => Some("model"),
            LimitError::Empty | LimitError::Unknown { .. } => None,
            LimitError::NotPositive(member) | LimitError::TooLarge(member) => Some(member),
            LimitError::Contradiction { longer, .. } => Some(longer),
        }
    }
}

/// Every member of [`WrittenLimit`].
const MEMBERS: [&str; 9] = [
    "scope",
    "model",
    "requests_per_minute",
    "requests_per_hour",
    "requests_per_day",
    "tokens_per_minute",
    "tokens_per_hour",
    "tokens_per_day",
    "concurrent",
];

const REQUESTS: [&str; 3] = [
    "requests_per_minute",
    "requests_per_hour",
    "requests_per_day",
];
const TOKENS: [&str; 3] = ["tokens_per_minute", "tokens_per_hour", "tokens_per_day"];

impl WrittenLimit {
    /// From the members of a JSON object; a member that is `null` is as good as absent.
    pub fn from_members(members: &Map<String, Value>) -> Result<Self, LimitError> {
        let mut written = Self::default();
        for (name, value) in members {
            let known = MEMBERS.into_iter().find(|known| known == name);
            let member = known.ok_or_else(|| LimitError::Unknown {
                member: name.clone(),
            })?;
            if !value.is_null() {
                written.set(member, value)?;
            }
        }
        match written.scope.is_empty() {
            true => Err(LimitError::NoScope),
            false => Ok(written),
        }
    }

    fn set(&mut self, member: &'static str, value: &Value) -> Result<(), LimitError> {
        let count = match member {
            "scope" => {
                self.scope = text(member, value)?;
                return Ok(());
            }
            "model" => {
                self.model = Some(text(member, value)?);
                return Ok(());
            }
            "requests_per_minute" => &mut self.requests_per_minute,
            "requests_per_hour" => &mut self.requests_per_hour,
            "requests_per_day" => &mut self.requests_per_day,
            "tokens_per_minute" => &mut self.tokens_per_minute,
            "tokens_per_hour" => &mut self.tokens_per_hour,
            "tokens_per_day" => &mut self.tokens_per_day,
            _ => &mut self.concurrent,
        };
        let wanted = "a whole number";
        *count = match (value.as_i64(), value.as_u64()) {
            (Some(number), _) => Some(number),
            // Larger than any that can be set.
            (None, Some(_)) => Some(i64::MAX),
            (None, None) => return Err(LimitError::Type { member, wanted }),
        };
        Ok(())
    }

    pub fn read(&self) -> Result<Limit, LimitError> {
        let model = self.model.as_deref().map(Name::from_operator).transpose();
        let limit = Limit {
            scope: self.scope.parse()?,
            model: model.map_err(LimitError::Model)?,
            requests: rates(
                REQUESTS,
                [
                    self.requests_per_minute,
                    self.requests_per_hour,
                    self.requests_per_day,
                ],
            )?,
            tokens: rates(
                TOKENS,
                [
                    self.tokens_per_minute,
                    self.tokens_per_hour,
                    self.tokens_per_day,
                ],
            )?,
            concurrent: count("concurrent", self.concurrent)?,
        };
        let none = WindowCounts::default();
        match limit.requests == none && limit.tokens == none && limit.concurrent.is_none() {
            true => Err(LimitError::Empty),
            false => Ok(limit),
        }
    }
}

impl Limit {
    pub fn written(&self) -> WrittenLimit {
        let count =
            |count: Option<u64>| count.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        let [requests_per_minute, requests_per_hour, requests_per_day] =
            self.requests.counts().map(count);
        let [tokens_per_minute, tokens_per_hour, tokens_per_day] = self.tokens.counts().map(count);
        WrittenLimit {
            scope: self.scope.to_string(),
            model: self.model.as_ref().map(|model| model.as_str().to_owned()),
            requests_per_minute,
            requests_per_hour,
            requests_per_day,
            tokens_per_minute,
            tokens_per_hour,
            tokens_per_day,
            concurrent: count(self.concurrent),
        }
    }
}

fn text(member: &'static str, value: &Value) -> Result<String, LimitError> {
    let wanted = "a text";
    let text = value.as_str().ok_or(LimitError::Type { member, wanted })?;
    Ok(text.to_owned())
}

fn count(member: &'static str, written: Option<i64>) -> Result<Option<u64>, LimitError> {
    let Some(written) = written else {
        return Ok(None);
    };
    match u64::try_from(written) {
        Ok(count) if count > MAX_COUNT => Err(LimitError::TooLarge(member)),
        Ok(0) | Err(_) => Err(LimitError::NotPositive(member)),
        Ok(count) => Ok(Some(count)),
    }
}

/// A longer window must allow at least what a shorter one does.
fn rates(
    members: [&'static str; 3],
    written: [Option<i64>; 3],
) -> Result<WindowCounts, LimitError> {
    let mut counts = [None; 3];
    let mut before: Option<(&'static str, u64)> = None;
    for ((member, written), place) in members.into_iter().zip(written).zip(&mut counts) {
        *place = count(member, written)?;
        let Some(count) = *place else { continue };
        if let Some((shorter, least)) = before
            && count < least
        {
            return Err(LimitError::Contradiction {
                shorter,
                longer: member,
            });
        }
        before = Some((member, count));
    }
    let [minute, hour, day] = counts;
    Ok(WindowCounts { minute, hour, day })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Limit, LimitError> {
        serde_json::from_str::<WrittenLimit>(json)
            .expect("a limit")
            .read()
    }

    #[test]
    fn a_limit_is_read_as_it_is_written() {
        let json = r#"{"scope":"tenant:acme","model":"llama","requests_per_minute":60,"requests_per_day":1000,"tokens_per_hour":5,"concurrent":3}"#;
        let limit = read(json).expect("a limit");
        assert_eq!(limit.requests.counts(), [Some(60), None, Some(1000)]);
        assert_eq!(limit.tokens.counts(), [None, Some(5), None]);
        assert_eq!(
            serde_json::to_string(&limit.written()).ok().as_deref(),
            Some(json)
        );
    }

    #[test]
    fn rejects_limits_that_are_empty_absurd_or_contradict_themselves() {
        for (json, error) in [
            (r#"{"scope":"total"}"#, LimitError::Empty),
            (
                r#"{"scope":"team:a","concurrent":1}"#,
                LimitError::Scope(ScopeError::Form),
            ),
            (
                r#"{"scope":"total","model":"","concurrent":1}"#,
                LimitError::Model(NameError::Empty),
            ),
            (
                r#"{"scope":"total","concurrent":0}"#,
                LimitError::NotPositive("concurrent"),
            ),
            (
                r#"{"scope":"total","tokens_per_day":-5}"#,
                LimitError::NotPositive("tokens_per_day"),
            ),
            (
                r#"{"scope":"total","requests_per_hour":1000000000001}"#,
                LimitError::TooLarge("requests_per_hour"),
            ),
            (
                r#"{"scope":"total","requests_per_minute":10,"requests_per_day":9}"#,
                LimitError::Contradiction {
                    shorter: "requests_per_minute",
                    longer: "requests_per_day",
                },
            ),
        ] {
            assert_eq!(read(json), Err(error), "{json}");
        }
        let members = |json: &str| {
            let members = serde_json::from_str(json).expect("an object");
            WrittenLimit::from_members(&members).and_then(|written| written.read())
        };
        for (json, error) in [
            (
                r#"{"scope":"total","concurrent":1,"burst":2}"#,
                LimitError::Unknown {
                    member: "burst".to_owned(),
                },
            ),
            (
                r#"{"scope":"total","concurrent":1.5}"#,
                LimitError::Type {
                    member: "concurrent",
                    wanted: "a whole number",
                },
            ),
            (
                r#"{"scope":7,"concurrent":1}"#,
                LimitError::Type {
                    member: "scope",
                    wanted: "a text",
                },
            ),
            (
                r#"{"scope":"total","concurrent":18446744073709551615}"#,
                LimitError::TooLarge("concurrent"),
            ),
            (r#"{"concurrent":1}"#, LimitError::NoScope),
        ] {
            assert_eq!(members(json), Err(error), "{json}");
        }
        let limit = members(r#"{"scope":"total","model":null,"concurrent":1}"#).expect("a limit");
        assert_eq!(limit.model, None);
    }
}
