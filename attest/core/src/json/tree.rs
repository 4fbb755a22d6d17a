//! What was parsed, borrowing from the text: for documents of many small objects that are read once.

use std::borrow::Cow;

use serde_json::Value;

/// One JSON value. Texts without escapes are those of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tree<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    String(Cow<'a, str>),
    Array(Vec<Self>),
    /// In the document's order, no name twice.
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl Tree<'_> {
    /// The same, owned.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Integer(value) => Value::from(value),
            Self::String(text) => Value::String(text.into_owned()),
            Self::Array(items) => items.into_iter().map(Self::into_value).collect(),
            Self::Object(members) => {
                let owned =
                    |(name, value): (Cow<'_, str>, Self)| (name.into_owned(), value.into_value());
                members.into_iter().map(owned).collect()
            }
        }
    }
}

/// What a value is, in either of its forms.
pub(crate) enum View<'v, T> {
    Null,
    Bool(bool),
    /// If it is not negative.
    Unsigned(u64),
    String(&'v str),
    Array(&'v [T]),
    Object,
    Other,
}

/// A value whose members can be read: owned ([`Value`]) or borrowing ([`Tree`]).
pub(crate) trait Node: Sized {
    fn view(&self) -> View<'_, Self>;

    /// A member of an object.
    fn member(&self, name: &str) -> Option<&Self>;

    /// The names of an object's members.
    fn names(&self) -> impl Iterator<Item = &str>;
}

impl Node for Value {
    fn view(&self) -> View<'_, Self> {
        match self {
            Self::Null => View::Null,
            Self::Bool(value) => View::Bool(*value),
            Self::Number(number) => number.as_u64().map_or(View::Other, View::Unsigned),
            Self::String(text) => View::String(text),
            Self::Array(items) => View::Array(items),
            Self::Object(_) => View::Object,
        }
    }

    fn member(&self, name: &str) -> Option<&Self> {
        self.as_object()?.get(name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let members = self.as_object().into_iter();
        members.flat_map(|members| members.keys().map(String::as_str))
    }
}

impl Node for Tree<'_> {
    fn view(&self) -> View<'_, Self> {
        match self {
            Self::Null => View::Null,
            Self::Bool(value) => View::Bool(*value),
            Self::Integer(value) => u64::try_from(*value).map_or(View::Other, View::Unsigned),
            Self::String(text) => View::String(text),
            Self::Array(items) => View::Array(items),
            Self::Object(_) => View::Object,
        }
    }

    fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        let found = members.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let members: &[_] = match self {
            Self::Object(members) => members,
            _ => &[],
        };
        members.iter().map(|(name, _)| name.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse_borrowed;
    use super::*;

    #[test]
    fn texts_borrow_from_the_document_unless_they_have_escapes() {
        let text = br#"{"a":"plain","b":"with \u0041","c":[-1,2,true,null]}"#;
        let tree = parse_borrowed(text, 100).unwrap();
        assert!(matches!(
            tree.member("a"),
            Some(Tree::String(Cow::Borrowed("plain")))
        ));
        assert!(matches!(
            tree.member("b"),
            Some(Tree::String(Cow::Owned(text))) if text == "with A"
        ));
        let value = serde_json::json!({"a": "plain", "b": "with A", "c": [-1, 2, true, null]});
        assert_eq!(tree.into_value(), value);
    }

    #[test]
    fn both_forms_are_viewed_alike() {
        let text = br#"{"n":-1,"u":7,"t":true,"s":"x","z":null,"l":[1,2],"o":{}}"#;
        let tree = parse_borrowed(text, 100).unwrap();
        let value = tree.clone().into_value();
        let names = |names: Vec<&str>| {
            let mut names: Vec<_> = names.into_iter().map(str::to_owned).collect();
            names.sort();
            names
        };
        assert_eq!(
            names(tree.names().collect()),
            names(value.names().collect())
        );
        for name in tree.names() {
            assert_eq!(
                described(tree.member(name).unwrap()),
                described(value.member(name).unwrap()),
                "{name}"
            );
        }
        assert_eq!(tree.member("absent"), None);
    }

    fn described<T: Node>(node: &T) -> String {
        match node.view() {
            View::Null => "null".to_owned(),
            View::Bool(value) => value.to_string(),
            View::Unsigned(value) => value.to_string(),
            View::String(text) => format!("{text:?}"),
            View::Array(items) => items.iter().map(described).collect(),
            View::Object => "object".to_owned(),
            View::Other => "other".to_owned(),
        }
    }

    /// The set takes over at the sixteenth member.
    #[test]
    fn a_name_twice_is_refused_among_few_members_and_among_many() {
        for count in [1, 15, 16, 17, 40] {
            let members = |last: usize| {
                let names = (0..count).chain([last]);
                let members: Vec<_> = names.map(|name| format!("\"m{name}\":0")).collect();
                format!("{{{}}}", members.join(","))
            };
            for last in [0, count / 2, count - 1] {
                let twice = parse_borrowed(members(last).as_bytes(), 1000).map(Tree::into_value);
                assert!(twice.is_err(), "{last} of {count}");
            }
            assert!(parse_borrowed(members(count).as_bytes(), 1000).is_ok());
        }
    }
}
