//! How long an upstream wants clients to wait, in every form in use.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, HeaderName, RETRY_AFTER};

/// The form of OpenAI and Azure: milliseconds. Their packages prefer it to `Retry-After`.
pub(super) const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// Longer waits are shortened to this.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The wait that a head asks for: `retry-after-ms`, or `Retry-After` in seconds, with a fraction, or as a date
/// (RFC 9110 §10.2.3), which counts from the upstream's own `Date` where there is one.
pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let milliseconds = text(&RETRY_AFTER_MS).and_then(|text| number(text, 0.001));
    let wait = milliseconds.or_else(|| {
        let text = text(&RETRY_AFTER)?;
        number(text, 1.0).or_else(|| {
            let until = httpdate::parse_http_date(text).ok()?;
            let from = headers.get(DATE).and_then(|date| date.to_str().ok());
            let from = from.and_then(|date| httpdate::parse_http_date(date).ok());
            // A date in the past means now.
            Some(
                until
                    .duration_since(from.unwrap_or(now))
                    .unwrap_or_default(),
            )
        })
    });
    wait.map(|wait| wait.min(LONGEST))
}

/// A non-negative number of units of `seconds`.
fn number(text: &str, seconds: f64) -> Option<Duration> {
    let plain = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = plain.then(|| text.parse().ok())??;
    let longest = LONGEST.as_secs_f64();
    Duration::try_from_secs_f64((number * seconds).min(longest)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn wait(fields: &[(&'static str, &str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, HeaderValue::from_str(value).expect("a value"));
        }
        let now = httpdate::parse_http_date("Wed, 21 Oct 2015 07:27:40 GMT").expect("a date");
        read(&headers, now)
    }

    #[test]
    fn reads_retry_after_in_seconds_and_as_a_date_and_caps_long_waits() {
        let seconds = |seconds: f64| Some(Duration::from_secs_f64(seconds));
        for (value, expected) in [
            ("7", seconds(7.0)),
            (" 30 ", seconds(30.0)),
            ("0", seconds(0.0)),
            ("2.5", seconds(2.5)),
            ("287441", Some(LONGEST)),
            ("99999999999999999999999", Some(LONGEST)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", seconds(20.0)),
            ("Wednesday, 21-Oct-15 07:28:00 GMT", seconds(20.0)),
            ("Wed Oct 21 07:28:00 2015", seconds(20.0)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", seconds(0.0)),
            ("Wed, 21 Oct 2099 07:00:00 GMT", Some(LONGEST)),
            ("-1", None),
            ("1e9", None),
            ("inf", None),
            ("secret prompt", None),
            ("", None),
        ] {
            assert_eq!(wait(&[("retry-after", value)]), expected, "{value}");
        }
        assert_eq!(
            wait(&[("retry-after-ms", "1500"), ("retry-after", "9")]),
            seconds(1.5)
        );
        assert_eq!(
            wait(&[("retry-after-ms", "soon"), ("retry-after", "9")]),
            seconds(9.0)
        );
        let dates = [
            ("date", "Wed, 21 Oct 2015 07:27:55 GMT"),
            ("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ];
        assert_eq!(wait(&dates), seconds(5.0), "by the upstream's own clock");
    }
}
