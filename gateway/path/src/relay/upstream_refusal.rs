//! Translates an upstream's error for the client.
//!
//! An upstream's error text may contain the prompt, names of machines or keys, so none of it is passed on. The status is
//! translated to what it means for a client of the gateway, and a code is passed on only if it is on our own list.

use std::time::Duration;

use serde_json::Value;

use super::overflow;
use gateway_base::metering::Cause;

/// Error bodies are read up to this size.
pub const MAX_ERROR_BODY: usize = 256 * 1024;

/// An upstream's refusal, without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamRefusal {
    pub kind: RefusalKind,
    /// The upstream's status; `None` if it reported the error inside a successful response.
    pub upstream_status: Option<u16>,
}

/// What the refusal means for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request itself was at fault; the code is one of a closed list.
    InvalidRequest { code: Option<&'static str> },
    /// The request is too large for the upstream.
    TooLarge,
    /// The upstream limits us, or is overloaded.
    Busy {
        overloaded: bool,
        retry_after: Option<Duration>,
    },
    /// The upstream's own timeout passed.
    TimedOut,
    /// The upstream failed. A retry may succeed.
    Failed,
    /// Only the operator can correct it: sending the request again changes nothing.
    Operator(OperatorFault),
}

impl RefusalKind {
    /// One of each kind, for the reference page.
    pub(super) fn each() -> impl Iterator<Item = Self> {
        let busy = |overloaded| RefusalKind::Busy {
            overloaded,
            retry_after: None,
        };
        let code = Some(CONTEXT_LENGTH);
        [
            RefusalKind::InvalidRequest { code: None },
            RefusalKind::InvalidRequest { code },
            RefusalKind::TooLarge,
            busy(false),
            busy(true),
            RefusalKind::TimedOut,
            RefusalKind::Failed,
        ]
        .into_iter()
        .chain(OperatorFault::ALL.map(RefusalKind::Operator))
    }
}

/// Why an upstream does not accept requests of this service at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorFault {
    /// 401, 403: our credentials are invalid there, or not sufficient.
    Credentials,
    /// 402, or a limit that payment lifts and not time.
    Quota,
    /// 404: no such model or path there.
    NotFound,
    /// Another status that means that a retry is useless.
    Other,
}

/// Codes that are passed on: names that OpenAI publishes, none of which can contain content.
const KNOWN_CODES: &[&str] = &[
    "context_length_exceeded",
    "content_filter",
    "content_policy_violation",
    "invalid_type",
    "invalid_value",
    "missing_required_parameter",
    "unknown_parameter",
    "unsupported_parameter",
    "unsupported_value",
    "string_above_max_length",
    "array_above_max_length",
    "integer_above_max_value",
    "integer_below_min_value",
    "invalid_image_format",
    "image_too_large",
    "invalid_json_schema",
];

/// Codes and types of a limit that payment lifts.
const QUOTA_CODES: &[&str] = &[
    "insufficient_quota",
    "billing_hard_limit_reached",
    "insufficient_balance",
    "credit_balance_exhausted",
];

/// Codes of a refusal that is about content, whatever its status.
const CONTENT_CODES: &[&str] = &["content_filter", "content_policy_violation"];

/// The status that an error inside a successful response would have had, by its code or type.
const STATUS_WORDS: &[(&str, u16)] = &[
    ("rate_limit_exceeded", 429),
    ("rate_limit_error", 429),
    ("insufficient_quota", 429),
    ("upstream_overloaded", 503),
    ("overloaded_error", 503),
    ("upstream_timeout", 504),
    ("timeout_error", 504),
    ("invalid_request_error", 400),
    ("BadRequestError", 400),
];

const CONTEXT_LENGTH: &str = "context_length_exceeded";

impl UpstreamRefusal {
    /// Translates a status, the wait its head asks for, and as much of its body as was read.
    pub fn read(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        Self {
            kind: RefusalKind::read(status, retry_after, &Reported::read(body), body),
            upstream_status: Some(status),
        }
    }

    /// Translates an error inside a successful response. Its code decides the status that it would have had.
    pub fn inside_success(body: &[u8]) -> Self {
        let reported = Reported::read(body);
        let named = || {
            let listed = STATUS_WORDS
                .iter()
                .find(|(word, _)| reported.words.iter().any(|said| said == word));
            listed.map(|(_, status)| *status)
        };
        let status = reported.status.or_else(named).unwrap_or(500);
        Self {
            kind: RefusalKind::read(status, None, &reported, body),
            upstream_status: None,
        }
    }

    pub fn cause(&self) -> Cause {
        self.upstream_status
            .map_or(Cause::ReportedError, Cause::Status)
    }
}

impl RefusalKind {
    fn read(status: u16, retry_after: Option<Duration>, reported: &Reported, body: &[u8]) -> Self {
        let code = reported.known(KNOWN_CODES);
        let busy = |overloaded| RefusalKind::Busy {
            overloaded,
            retry_after,
        };
        let too_long = || reported.is_overflow || overflow::is_reported_in(body);
        match status {
            400 | 413 | 422 | 500 if too_long() => RefusalKind::InvalidRequest {
                code: Some(CONTEXT_LENGTH),
            },
            400 | 422 => RefusalKind::InvalidRequest { code },
            413 => RefusalKind::TooLarge,
            403 if reported.known(CONTENT_CODES).is_some() => RefusalKind::InvalidRequest { code },
            402 => RefusalKind::Operator(OperatorFault::Quota),
            403 | 429 if reported.known(QUOTA_CODES).is_some() => {
                RefusalKind::Operator(OperatorFault::Quota)
            }
            401 | 403 => RefusalKind::Operator(OperatorFault::Credentials),
            404 => RefusalKind::Operator(OperatorFault::NotFound),
            429 => busy(false),
            503 | 529 => busy(true),
            408 | 504 => RefusalKind::TimedOut,
            // Another gateway of ours: it has translated its engine's error already.
            424 => RefusalKind::Operator(OperatorFault::from_code(reported)),
            409 | 425 | 500.. => RefusalKind::Failed,
            _ => RefusalKind::Operator(OperatorFault::Other),
        }
    }
}

impl OperatorFault {
    const ALL: [Self; 4] = [Self::Credentials, Self::Quota, Self::NotFound, Self::Other];

    fn from_code(reported: &Reported) -> Self {
        let is_named = |fault: &Self| {
            reported
                .words
                .iter()
                .any(|word| word == fault.code_and_message().0)
        };
        Self::ALL.into_iter().find(is_named).unwrap_or(Self::Other)
    }
}

/// The codes and types of an error body, to be compared with our lists.
#[derive(Default)]
struct Reported {
    words: Vec<String>,
    /// A code that is an HTTP status.
    status: Option<u16>,
    is_overflow: bool,
}

impl Reported {
    /// From an error object in any of the shapes in use: `{"error": {…}}`, the object alone, FastAPI's `detail`.
    fn read(body: &[u8]) -> Self {
        let mut reported = Self::default();
        let Ok(whole) = serde_json::from_slice::<Value>(body) else {
            return reported;
        };
        for object in [whole.get("error"), whole.get("detail"), Some(&whole)] {
            reported.add(object.unwrap_or(&Value::Null));
        }
        reported.is_overflow = reported.words.iter().any(|word| overflow::is_code(word));
        reported
    }

    fn add(&mut self, object: &Value) {
        for member in ["code", "type", "error_type", "status"] {
            match object.get(member) {
                Some(Value::String(word)) => {
                    self.status = self.status.or_else(|| error_status(word.parse().ok()?));
                    self.words.push(word.clone());
                }
                Some(Value::Number(number)) => {
                    self.status = self.status.or_else(|| error_status(number.as_u64()?));
                }
                _ => {}
            }
        }
    }

    fn known(&self, list: &[&'static str]) -> Option<&'static str> {
        let known = |word: &String| list.iter().find(|known| *known == word).copied();
        self.words.iter().find_map(known)
    }
}

fn error_status(number: u64) -> Option<u16> {
    (400..600).contains(&number).then_some(number as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: RefusalKind = RefusalKind::Operator(OperatorFault::Quota);

    fn kind(status: u16, body: &str) -> RefusalKind {
        let wait = Some(Duration::from_secs(7));
        UpstreamRefusal::read(status, wait, body.as_bytes()).kind
    }

    #[test]
    fn translates_each_class_of_status() {
        let busy = |overloaded| RefusalKind::Busy {
            overloaded,
            retry_after: Some(Duration::from_secs(7)),
        };
        let operator = RefusalKind::Operator;
        let cases = [
            (400, RefusalKind::InvalidRequest { code: None }),
            (422, RefusalKind::InvalidRequest { code: None }),
            (401, operator(OperatorFault::Credentials)),
            (403, operator(OperatorFault::Credentials)),
            (402, QUOTA),
            (404, operator(OperatorFault::NotFound)),
            (302, operator(OperatorFault::Other)),
            (405, operator(OperatorFault::Other)),
            (413, RefusalKind::TooLarge),
            (429, busy(false)),
            (503, busy(true)),
            (504, RefusalKind::TimedOut),
            (409, RefusalKind::Failed),
            (500, RefusalKind::Failed),
        ];
        for (status, expected) in cases {
            assert_eq!(kind(status, "{}"), expected, "{status}");
            let refusal = UpstreamRefusal::read(status, None, b"");
            assert_eq!(refusal.cause(), Cause::Status(status));
        }
    }

    #[test]
    fn a_used_up_quota_is_distinguished_from_a_rate_limit() {
        for body in [
            r#"{"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            r#"{"error":{"code":"billing_hard_limit_reached"}}"#,
        ] {
            assert_eq!(kind(429, body), QUOTA, "{body}");
        }
        assert!(matches!(
            kind(429, r#"{"error":{"code":"rate_limit_exceeded"}}"#),
            RefusalKind::Busy { .. }
        ));
    }

    #[test]
    fn passes_on_the_operator_fault_of_another_gateway() {
        for fault in OperatorFault::ALL {
            let body = format!(r#"{{"error":{{"code":"{}"}}}}"#, fault.code_and_message().0);
            assert_eq!(kind(424, &body), RefusalKind::Operator(fault));
        }
        assert_eq!(kind(424, "{}"), RefusalKind::Operator(OperatorFault::Other));
    }

    #[test]
    fn passes_on_listed_codes_only() {
        let code = |status, body: &str| match kind(status, body) {
            RefusalKind::InvalidRequest { code } => code,
            other => panic!("{other:?}"),
        };
        let context = Some(CONTEXT_LENGTH);
        for (status, body) in [
            (
                400,
                r#"{"error":{"code":"context_length_exceeded","message":"my prompt"}}"#,
            ),
            (
                400,
                r#"{"object":"error","message":"This model's maximum context length is 2048 tokens.","code":400}"#,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"x","type":"exceed_context_size_error"}}"#,
            ),
            (
                422,
                r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 1 `max_new_tokens`","error_type":"validation"}"#,
            ),
            (
                500,
                r#"{"detail":{"message":"Prompt length (5056) exceeds maximum input length (2048)"}}"#,
            ),
            (
                413,
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens. Cut he"#,
            ),
        ] {
            assert_eq!(code(status, body), context, "{body}");
        }
        assert_eq!(
            code(400, r#"{"error":{"code":"unsupported_parameter"}}"#),
            Some("unsupported_parameter")
        );
        assert_eq!(
            code(403, r#"{"error":{"code":"content_policy_violation"}}"#),
            Some("content_policy_violation")
        );
        for unlisted in [
            r#"{"error":{"code":"the prompt was: hello"}}"#,
            r#"{"error":{"code":{"invalid_value":1}}}"#,
            r#"{"error":{"message":"invalid_value"}}"#,
            "context_length_exceeded",
            "",
            "[]",
        ] {
            assert_eq!(code(400, unlisted), None, "{unlisted}");
        }
    }

    #[test]
    fn an_error_inside_a_success_is_translated_by_its_code() {
        let inside = |body: &str| UpstreamRefusal::inside_success(body.as_bytes());
        assert_eq!(
            inside(r#"{"error":{"message":"x"}}"#).kind,
            RefusalKind::Failed
        );
        assert_eq!(
            inside(r#"{"object":"error","message":"x","code":400}"#).kind,
            RefusalKind::InvalidRequest { code: None }
        );
        assert_eq!(
            inside(r#"{"error":{"code":"429"}}"#).kind,
            RefusalKind::Busy {
                overloaded: false,
                retry_after: None
            }
        );
        assert_eq!(
            inside(r#"{"error":{"type":"server_error","code":"upstream_overloaded"}}"#).kind,
            RefusalKind::Busy {
                overloaded: true,
                retry_after: None
            }
        );
        assert_eq!(inside("nothing").cause(), Cause::ReportedError);
    }
}
