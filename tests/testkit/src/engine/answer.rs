//! The engine's answer: a short text that depends only on the request.

/// The answer to a question.
pub fn to(question: &str, images: usize) -> String {
    let words = match question.split_whitespace().count() {
        1 => "one word".to_owned(),
        several => format!("{several} words"),
    };
    let seen = match images {
        0 => String::new(),
        1 => " and one image".to_owned(),
        several => format!(" and {several} images"),
    };
    format!(
        "You asked: \"{}\". I am a demo engine without a model, so all I can say is that I \
         received {words}{seen}.",
        shortened(question.trim())
    )
}

fn shortened(text: &str) -> String {
    const MOST: usize = 240;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(MOST).collect();
    short.push('…');
    short
}

/// Tokens, as this engine counts them: words with the space before them.
pub fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut in_word = false;
    for (at, character) in text.char_indices() {
        if character.is_whitespace() && in_word {
            tokens.push(&text[start..at]);
            start = at;
            in_word = false;
        } else if !character.is_whitespace() {
            in_word = true;
        }
    }
    if start < text.len() {
        tokens.push(&text[start..]);
    }
    tokens
}

/// At most `limit` tokens of `text`, and why it ended there.
pub fn limited(text: &str, limit: Option<u64>) -> (String, &'static str) {
    let tokens = tokens(text);
    match limit.and_then(|limit| usize::try_from(limit).ok()) {
        Some(limit) if limit < tokens.len() => (tokens[..limit].concat(), "length"),
        _ => (text.to_owned(), "stop"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_join_back_to_the_text() {
        for text in ["", " ", "one", "  one two\nthree ", "ünï çödé"] {
            assert_eq!(tokens(text).concat(), text);
        }
    }

    #[test]
    fn a_limit_below_the_length_truncates_with_finish_reason_length() {
        assert_eq!(
            limited("one two three", Some(2)),
            ("one two".to_owned(), "length")
        );
        assert_eq!(limited("one two three", Some(3)).1, "stop");
        assert_eq!(limited("one two three", None).1, "stop");
    }
}
