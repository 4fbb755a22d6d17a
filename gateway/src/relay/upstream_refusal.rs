//! What a client is told when an upstream answers with an error.
//!
//! An upstream's words may repeat the prompt, name its machines or carry its keys, so none of them are passed on. The
//! status is translated to what it means from the client's side of the gateway, and a reason is passed only when it
//! is one of the words on our own list.

use serde::Deserialize;

/// Error bodies are read up to this size; a longer one is not interpreted.
pub const MAX_ERROR_BODY: usize = 16 * 1024;
/// A retry hint beyond this many seconds is treated as a mistake.
const MAX_RETRY_AFTER: u32 = 3600;

/// An upstream's refusal, in our own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamRefusal {
    pub kind: RefusalKind,
    /// The status the upstream gave, for metadata.
    pub upstream_status: u16,
}

/// What the refusal means to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request itself was at fault; the code is one of a closed list.
    InvalidRequest { code: Option<&'static str> },
    /// The request is too large for the upstream.
    TooLarge,
    /// The upstream limits us, or is overloaded.
    Busy {
        overloaded: bool,
        retry_after: Option<u32>,
    },
    /// The upstream gave up waiting.
    TimedOut,
    /// The upstream is broken, or refuses *us*: nothing the client can mend.
    Unusable,
}

/// Reasons worth telling a client apart: names OpenAI publishes, none of which can carry content.
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

impl UpstreamRefusal {
    /// Translates a status, its `Retry-After` and its bounded body.
    pub fn read(status: u16, retry_after: Option<&str>, body: &[u8]) -> Self {
        let retry_after = retry_after
            .and_then(|text| text.trim().parse::<u32>().ok())
            .filter(|seconds| *seconds <= MAX_RETRY_AFTER);
        let kind = match status {
            400 | 422 => RefusalKind::InvalidRequest {
                code: known_code(body),
            },
            413 => RefusalKind::TooLarge,
            429 => RefusalKind::Busy {
                overloaded: false,
                retry_after,
            },
            503 | 529 => RefusalKind::Busy {
                overloaded: true,
                retry_after,
            },
            408 | 504 => RefusalKind::TimedOut,
            _ => RefusalKind::Unusable,
        };
        Self {
            kind,
            upstream_status: status,
        }
    }
}

#[derive(Default, Deserialize)]
struct ErrorFields {
    #[serde(default)]
    code: serde_json::Value,
    #[serde(default, rename = "type")]
    kind: serde_json::Value,
    #[serde(default)]
    message: serde_json::Value,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: Option<ErrorFields>,
    #[serde(flatten)]
    bare: ErrorFields,
}

/// The reason, when it is on our list. Engines that have no code for a full context window are recognised by the
/// fixed part of what they say (vLLM, llama.cpp); the sentence itself stays here.
fn known_code(body: &[u8]) -> Option<&'static str> {
    let parsed: ErrorBody = serde_json::from_slice(body).ok()?;
    let fields = parsed.error.unwrap_or(parsed.bare);
    let named = fields
        .code
        .as_str()
        .and_then(|code| KNOWN_CODES.iter().find(|known| **known == code));
    if let Some(known) = named {
        return Some(known);
    }
    let says = |text: &serde_json::Value, part: &str| {
        text.as_str().is_some_and(|text| text.contains(part))
    };
    let context_full = says(&fields.kind, "exceed_context_size_error")
        || says(&fields.message, "maximum context length")
        || says(&fields.message, "exceeds the available context size");
    context_full.then_some("context_length_exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, retry_after: Option<&str>, body: &str) -> RefusalKind {
        UpstreamRefusal::read(status, retry_after, body.as_bytes()).kind
    }

    #[test]
    fn each_class_of_status_means_something_to_the_client() {
        let busy = |overloaded, retry_after| RefusalKind::Busy {
            overloaded,
            retry_after,
        };
        let cases = [
            (400, RefusalKind::InvalidRequest { code: None }),
            (422, RefusalKind::InvalidRequest { code: None }),
            (401, RefusalKind::Unusable),
            (403, RefusalKind::Unusable),
            (404, RefusalKind::Unusable),
            (302, RefusalKind::Unusable),
            (413, RefusalKind::TooLarge),
            (429, busy(false, Some(7))),
            (503, busy(true, Some(7))),
            (504, RefusalKind::TimedOut),
            (500, RefusalKind::Unusable),
        ];
        for (status, expected) in cases {
            assert_eq!(kind(status, Some("7"), "{}"), expected, "{status}");
        }
    }

    #[test]
    fn a_retry_hint_is_passed_only_as_a_plain_small_number() {
        for hint in [
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "-1",
            "999999",
            "secret prompt",
            "",
        ] {
            let expected = RefusalKind::Busy {
                overloaded: false,
                retry_after: None,
            };
            assert_eq!(kind(429, Some(hint), ""), expected, "{hint}");
        }
    }

    #[test]
    fn only_listed_codes_are_recognised() {
        let code = |body: &str| match kind(400, None, body) {
            RefusalKind::InvalidRequest { code } => code,
            other => panic!("{other:?}"),
        };
        let context = Some("context_length_exceeded");
        assert_eq!(
            code(r#"{"error":{"code":"context_length_exceeded","message":"my prompt"}}"#),
            context
        );
        assert_eq!(
            code(
                r#"{"object":"error","message":"This model's maximum context length is 2048 tokens.","code":400}"#
            ),
            context
        );
        assert_eq!(
            code(r#"{"error":{"code":400,"message":"x","type":"exceed_context_size_error"}}"#),
            context
        );
        assert_eq!(
            code(r#"{"error":{"code":"unsupported_parameter"}}"#),
            Some("unsupported_parameter")
        );
        for unlisted in [
            r#"{"error":{"code":"the prompt was: hello"}}"#,
            r#"{"error":{"code":{"context_length_exceeded":1}}}"#,
            r#"{"error":"context_length_exceeded"}"#,
            "context_length_exceeded",
            "",
            "[]",
        ] {
            assert_eq!(code(unlisted), None, "{unlisted}");
        }
    }
}
