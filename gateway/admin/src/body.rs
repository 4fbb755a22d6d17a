//! The bodies of admin requests, small JSON objects with exactly the members that a path accepts, and answers that several
//! paths give.

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use gateway_base::errors::{ApiError, Invalid, UnknownMember};

/// 204.
pub(super) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// 201 and what was created.
pub(super) fn created(document: Response<Body>) -> Response<Body> {
    let mut response = document;
    *response.status_mut() = StatusCode::CREATED;
    response
}

/// Reads `body` as JSON of at most `max` bytes.
pub(super) async fn read<T: for<'a> Deserialize<'a>>(
    headers: &HeaderMap,
    body: Body,
    max: usize,
) -> Result<T, ApiError> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
        return Err(ApiError::UnsupportedMediaType);
    }
    let bytes = match Limited::new(body, max).collect().await {
        Ok(bytes) => bytes.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(ApiError::BodyTooLarge { limit: max as u64 });
        }
        Err(_) => return Err(ApiError::Invalid(Invalid::BodyUnreadable)),
    };
    // serde reads a struct from an array, too.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::Invalid(Invalid::AdminBody));
    }
    serde_json::from_slice(&bytes).map_err(|_| unreadable::<T>(&bytes))
}

/// Why an object is not a `T`: the first member that `T` does not have, if there is one.
fn unreadable<'de, T: Deserialize<'de>>(bytes: &[u8]) -> ApiError {
    let mut known = None;
    // Fails in any case: it has no value, and is here for the names that it is asked for.
    let _ = T::deserialize(MemberNames(&mut known));
    let object: Option<Map<String, Value>> = serde_json::from_slice(bytes).ok();
    let unknown = known.zip(object).and_then(|(known, object)| {
        let name = object.keys().find(|name| !known.contains(&name.as_str()))?;
        Some(UnknownMember::new(name, known))
    });
    unknown.map_or(Invalid::AdminBody.into(), ApiError::UnknownMember)
}

/// Notes the names of the members of a derived struct, and ends with an error.
struct MemberNames<'n>(&'n mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for MemberNames<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        members: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = Some(members);
        Err(Self::Error::custom("only its names"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A member that may be `null`: `Some(None)`. One that is absent is `None`, by `#[serde(default)]`.
pub(super) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        one: u8,
        #[serde(default, deserialize_with = "nullable")]
        two: Option<Option<u8>>,
    }

    #[test]
    fn names_the_first_member_that_is_unknown() {
        for (body, unknown) in [
            (r#"{"one": 1, "three": 2}"#, Some("three")),
            (r#"{"One": 1}"#, Some("One")),
            (r#"{"one": 1, "one": 2}"#, None),
            (r#"{"one": "1"}"#, None),
            ("{}", None),
            ("{", None),
        ] {
            let expected = match unknown {
                Some(name) => ApiError::UnknownMember(UnknownMember::new(name, &["one", "two"])),
                None => Invalid::AdminBody.into(),
            };
            assert_eq!(unreadable::<Wanted>(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn a_member_that_is_null_differs_from_one_that_is_absent() {
        for (body, two) in [
            (r#"{"one": 1}"#, None),
            (r#"{"one": 1, "two": null}"#, Some(None)),
            (r#"{"one": 1, "two": 2}"#, Some(Some(2))),
        ] {
            let read: Wanted = serde_json::from_str(body).expect("a body");
            assert_eq!(read, Wanted { one: 1, two }, "{body}");
        }
    }
}
