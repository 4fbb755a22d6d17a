//! A text as a sequence of words, and the places where a phrase stands in it.
//!
//! Words are separated by everything that is not a letter, and by a change from lower to upper case, so that a
//! phrase is found in a sentence, over a line break, in `a_function_name` and in `ATypeName`.

/// One word in lower case, and the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    pub line: usize,
}

/// The words of a text in their order.
pub fn words(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut word = String::new();
        let mut after_lower_case = false;
        for c in line.chars().chain([' ']) {
            let starts_a_word = after_lower_case && c.is_uppercase();
            if (!c.is_alphabetic() || starts_a_word) && !word.is_empty() {
                let text = std::mem::take(&mut word);
                let line = index + 1;
                found.push(Word { text, line });
            }
            if c.is_alphabetic() {
                word.extend(c.to_lowercase());
            }
            after_lower_case = c.is_lowercase();
        }
    }
    found
}

/// The lines on which `phrase`, words in lower case separated by one space, begins.
pub fn lines_with(words: &[Word], phrase: &str) -> Vec<usize> {
    let phrase: Vec<&str> = phrase.split(' ').collect();
    words
        .windows(phrase.len())
        .filter(|window| {
            window
                .iter()
                .map(|word| word.text.as_str())
                .eq(phrase.iter().copied())
        })
        .map(|window| window[0].line)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_phrase_in_sentences_names_and_over_a_line_break() {
        let text =
            "a process of its own.\n/// of its\n/// own\nfn of_its_own() {}\nstruct OfItsOwn;";
        assert_eq!(lines_with(&words(text), "of its own"), [1, 2, 4, 5]);
    }

    #[test]
    fn does_not_find_a_word_inside_a_longer_one() {
        assert!(lines_with(&words("retold TOLDER untold"), "told").is_empty());
        assert_eq!(lines_with(&words("Told: it was\ntold."), "told"), [1, 2]);
    }
}
