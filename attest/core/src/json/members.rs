//! Reading the members of one JSON object, each wrong one reported with its path.
//!
//! The parser has refused duplicate names before. Whether unknown members are refused ([`Members::only`]),
//! collected ([`Members::unknown`]) or ignored is a property of the format, so its reader decides. Each
//! format converts a [`MemberError`] into its own error enum.

use std::marker::PhantomData;

use serde_json::Value;

use super::{Node, View};
use crate::encoding::{EncodingError, parse_hex};
use crate::time::UnixTime;

/// What is wrong with a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberError {
    /// Path of the object; empty for the document itself.
    pub(crate) object: &'static str,
    /// The member; empty if the problem is the object itself.
    pub(crate) member: &'static str,
    pub(crate) problem: MemberProblem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MemberProblem {
    Missing,
    WrongType(Expected),
    /// The object has this member, which its format does not have.
    Unknown(String),
    Empty,
    Encoding(EncodingError),
    /// A string outside the set that the format enumerates.
    UnknownValue(String),
}

/// What a member has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Object,
    Array,
    NonEmptyArray,
    Strings,
    String,
    StringOrNull,
    Boolean,
    /// Within the range of the field.
    Unsigned,
    Rfc3339,
}

impl Expected {
    /// With its article.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::NonEmptyArray => "an array that is not empty",
            Self::Strings => "an array of strings",
            Self::String => "a string",
            Self::StringOrNull => "a string or null",
            Self::Boolean => "a boolean",
            Self::Unsigned => "a non-negative integer",
            Self::Rfc3339 => "a time as RFC 3339 writes it",
        }
    }
}

impl MemberError {
    /// The dotted path of the member, or of the object if the problem is the object itself.
    pub(crate) fn path(&self) -> String {
        let member = match &self.problem {
            MemberProblem::Unknown(member) => member,
            _ => self.member,
        };
        match (self.object, member) {
            ("", "") => "document".to_owned(),
            (object, "") => object.to_owned(),
            ("", member) => member.to_owned(),
            (object, member) => format!("{object}.{member}"),
        }
    }
}

/// The members of one object. `E` is the error of the format that is read, `T` the form of its values.
pub(crate) struct Members<'a, E, T = Value> {
    path: &'static str,
    object: &'a T,
    error: PhantomData<fn() -> E>,
}

impl<E, T> Clone for Members<'_, E, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E, T> Copy for Members<'_, E, T> {}

impl<'a, E: From<MemberError>, T: Node> Members<'a, E, T> {
    /// The members of `value`; `path` is empty for the document itself.
    pub(crate) fn new(value: &'a T, path: &'static str) -> Result<Self, E> {
        match value.view() {
            View::Object => Ok(Self {
                path,
                object: value,
                error: PhantomData,
            }),
            _ => Err(E::from(MemberError {
                object: path,
                member: "",
                problem: MemberProblem::WrongType(Expected::Object),
            })),
        }
    }

    /// The error for a member that its reader refuses.
    pub(crate) fn error(&self, member: &'static str, problem: MemberProblem) -> E {
        E::from(MemberError {
            object: self.path,
            member,
            problem,
        })
    }

    pub(crate) fn wrong_type(&self, member: &'static str, expected: Expected) -> E {
        self.error(member, MemberProblem::WrongType(expected))
    }

    pub(crate) fn unknown_value<V>(&self, member: &'static str, found: &str) -> Result<V, E> {
        Err(self.error(member, MemberProblem::UnknownValue(found.to_owned())))
    }

    /// The members that are not in `known`.
    pub(crate) fn unknown<'k>(&self, known: &'k [&str]) -> impl Iterator<Item = &'a str> + 'k
    where
        'a: 'k,
    {
        self.object
            .names()
            .filter(move |name| !known.contains(name))
    }

    /// Refuses every member that is not in `known`.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), E> {
        match self.unknown(known).next() {
            None => Ok(()),
            Some(name) => Err(self.error("", MemberProblem::Unknown(name.to_owned()))),
        }
    }

    pub(crate) fn get(&self, member: &str) -> Option<&'a T> {
        self.object.member(member)
    }

    pub(crate) fn required(&self, member: &'static str) -> Result<&'a T, E> {
        let value = self.get(member);
        value.ok_or_else(|| self.error(member, MemberProblem::Missing))
    }

    pub(crate) fn object(&self, member: &'static str, path: &'static str) -> Result<Self, E> {
        Self::new(self.required(member)?, path)
    }

    pub(crate) fn array(&self, member: &'static str) -> Result<&'a [T], E> {
        match self.required(member)?.view() {
            View::Array(items) => Ok(items),
            _ => Err(self.wrong_type(member, Expected::Array)),
        }
    }

    pub(crate) fn non_empty_array(&self, member: &'static str) -> Result<&'a [T], E> {
        match self.required(member)?.view() {
            View::Array(items) if !items.is_empty() => Ok(items),
            _ => Err(self.wrong_type(member, Expected::NonEmptyArray)),
        }
    }

    pub(crate) fn strings(&self, member: &'static str) -> Result<Vec<String>, E> {
        let items = self.array(member)?.iter();
        let texts = items.map(|item| match item.view() {
            View::String(text) => Some(text.to_owned()),
            _ => None,
        });
        let texts = texts.collect::<Option<_>>();
        texts.ok_or_else(|| self.wrong_type(member, Expected::Strings))
    }

    pub(crate) fn string(&self, member: &'static str) -> Result<&'a str, E> {
        match self.required(member)?.view() {
            View::String(text) => Ok(text),
            _ => Err(self.wrong_type(member, Expected::String)),
        }
    }

    pub(crate) fn non_empty_string(&self, member: &'static str) -> Result<&'a str, E> {
        match self.string(member)? {
            "" => Err(self.error(member, MemberProblem::Empty)),
            text => Ok(text),
        }
    }

    /// A member that must be there and is a string or `null`.
    pub(crate) fn string_or_null(&self, member: &'static str) -> Result<Option<String>, E> {
        match self.required(member)?.view() {
            View::Null => Ok(None),
            View::String(text) => Ok(Some(text.to_owned())),
            _ => Err(self.wrong_type(member, Expected::StringOrNull)),
        }
    }

    /// A string that may also be `null` or absent.
    pub(crate) fn optional_string(&self, member: &'static str) -> Result<Option<String>, E> {
        match self.get(member) {
            None => Ok(None),
            Some(_) => self.string_or_null(member),
        }
    }

    /// A string that may be absent but not `null`.
    pub(crate) fn string_if_present(&self, member: &'static str) -> Result<Option<String>, E> {
        match self.get(member) {
            None => Ok(None),
            Some(_) => self.string(member).map(|text| Some(text.to_owned())),
        }
    }

    pub(crate) fn boolean(&self, member: &'static str) -> Result<bool, E> {
        match self.required(member)?.view() {
            View::Bool(value) => Ok(value),
            _ => Err(self.wrong_type(member, Expected::Boolean)),
        }
    }

    pub(crate) fn unsigned<N: TryFrom<u64>>(&self, member: &'static str) -> Result<N, E> {
        let number = match self.required(member)?.view() {
            View::Unsigned(number) => N::try_from(number).ok(),
            _ => None,
        };
        number.ok_or_else(|| self.wrong_type(member, Expected::Unsigned))
    }

    /// Seconds since 1970.
    pub(crate) fn time(&self, member: &'static str) -> Result<UnixTime, E> {
        self.unsigned(member).map(UnixTime::from_secs)
    }

    pub(crate) fn rfc3339(&self, member: &'static str) -> Result<UnixTime, E> {
        UnixTime::parse_rfc3339(self.string(member)?)
            .map_err(|_| self.wrong_type(member, Expected::Rfc3339))
    }

    /// A string run through `parse`.
    pub(crate) fn encoded<V>(
        &self,
        member: &'static str,
        parse: impl FnOnce(&str) -> Result<V, EncodingError>,
    ) -> Result<V, E> {
        parse(self.string(member)?)
            .map_err(|error| self.error(member, MemberProblem::Encoding(error)))
    }

    pub(crate) fn hex<const N: usize>(&self, member: &'static str) -> Result<[u8; N], E> {
        self.encoded(member, parse_hex)
    }

    /// Hexadecimal in either case.
    pub(crate) fn hex_of_either_case<const N: usize>(
        &self,
        member: &'static str,
    ) -> Result<[u8; N], E> {
        self.encoded(member, |text| parse_hex(&text.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    type Plain<'a> = Members<'a, MemberError>;

    fn error(object: &'static str, member: &'static str, problem: MemberProblem) -> MemberError {
        MemberError {
            object,
            member,
            problem,
        }
    }

    #[test]
    fn each_problem_is_reported_with_its_path() {
        let value = json!({"a": {"text": 5, "empty": "", "hex": "0", "number": 256, "list": []}});
        let document = Plain::new(&value, "").unwrap();
        let a = document.object("a", "document.a").unwrap();
        let wrong =
            |member, expected| error("document.a", member, MemberProblem::WrongType(expected));
        assert_eq!(a.string("text"), Err(wrong("text", Expected::String)));
        assert_eq!(
            a.unsigned::<u8>("number"),
            Err(wrong("number", Expected::Unsigned))
        );
        assert_eq!(
            a.non_empty_array("list"),
            Err(wrong("list", Expected::NonEmptyArray))
        );
        assert_eq!(a.array("empty"), Err(wrong("empty", Expected::Array)));
        assert_eq!(a.boolean("text"), Err(wrong("text", Expected::Boolean)));
        assert_eq!(
            a.string_or_null("text"),
            Err(wrong("text", Expected::StringOrNull))
        );
        assert_eq!(a.strings("text"), Err(wrong("text", Expected::Array)));
        assert_eq!(a.rfc3339("empty"), Err(wrong("empty", Expected::Rfc3339)));
        let missing = error("document.a", "absent", MemberProblem::Missing);
        assert_eq!(a.string("absent"), Err(missing.clone()));
        assert_eq!(missing.path(), "document.a.absent");
        let empty = error("document.a", "empty", MemberProblem::Empty);
        assert_eq!(a.non_empty_string("empty"), Err(empty));
        assert!(matches!(
            a.hex::<1>("hex"),
            Err(MemberError {
                member: "hex",
                problem: MemberProblem::Encoding(_),
                ..
            })
        ));
        let not_an_object = Plain::new(&value["a"]["text"], "document.a.text").err();
        assert_eq!(
            not_an_object.map(|error| error.path()),
            Some("document.a.text".to_owned())
        );
        assert_eq!(
            Plain::new(&json!([]), "").err().map(|error| error.path()),
            Some("document".to_owned())
        );
    }

    #[test]
    fn unknown_members_are_refused_or_listed_as_the_caller_asks() {
        let value = json!({"a": 1, "b": 2, "c": 3});
        let members = Plain::new(&value, "x").unwrap();
        assert_eq!(members.only(&["a", "b", "c", "d"]), Ok(()));
        let unknown = error("x", "", MemberProblem::Unknown("b".to_owned()));
        assert_eq!(unknown.path(), "x.b");
        assert_eq!(members.only(&["a", "c"]), Err(unknown));
        assert_eq!(members.unknown(&["a"]).collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn reads_values_of_the_right_type() {
        let value =
            json!({"s": "x", "n": null, "u": 7, "t": true, "h": "0a", "H": "0A", "l": ["y"]});
        let members = Plain::new(&value, "").unwrap();
        assert_eq!(members.string("s"), Ok("x"));
        assert_eq!(members.optional_string("n"), Ok(None));
        assert_eq!(members.optional_string("absent"), Ok(None));
        assert!(members.string_if_present("n").is_err());
        assert_eq!(members.string_if_present("absent"), Ok(None));
        assert_eq!(members.unsigned::<u8>("u"), Ok(7));
        assert_eq!(members.time("u"), Ok(UnixTime::from_secs(7)));
        assert_eq!(members.boolean("t"), Ok(true));
        assert_eq!(members.hex("h"), Ok([10]));
        assert!(members.hex::<1>("H").is_err());
        assert_eq!(members.hex_of_either_case("H"), Ok([10]));
        assert_eq!(members.strings("l"), Ok(vec!["y".to_owned()]));
    }
}
