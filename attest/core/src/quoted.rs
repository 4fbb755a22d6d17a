//! A text from evidence in a message for people: in quotes, or that there is none.

use std::fmt;

/// Writes `"550.54"` or `none`. Characters that draw on a terminal are escaped.
pub(crate) struct QuotedOrNone<'a>(pub(crate) &'a Option<String>);

impl fmt::Display for QuotedOrNone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) => write!(f, "\"{}\"", text.escape_debug()),
            None => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_and_its_absence_is_a_word() {
        assert_eq!(
            QuotedOrNone(&Some("550.54".to_owned())).to_string(),
            "\"550.54\""
        );
        assert_eq!(
            QuotedOrNone(&Some("a\x1b\"".to_owned())).to_string(),
            "\"a\\u{1b}\\\"\""
        );
        assert_eq!(QuotedOrNone(&None).to_string(), "none");
    }
}
