//! Canaries: words that occur nowhere else, texts that repeat them, and the forms they could take.

use std::hash::{BuildHasher, RandomState};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// From one canary to the next, in bytes of text.
pub const PERIOD: usize = 63;

/// Whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Prompt,
    Response,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it was said.
    Raw,
    /// As JSON writes it, once or twice over.
    Escaped,
    /// Inside base64, at any alignment, in either alphabet.
    Base64,
    /// In hexadecimal, in either case.
    Hex,
}

impl Form {
    /// Those that the traffic itself takes, so that memory that is not wiped holds them.
    pub const OF_TRAFFIC: [Self; 3] = [Self::Raw, Self::Escaped, Self::Base64];
    pub const ALL: [Self; 4] = [Self::Raw, Self::Escaped, Self::Base64, Self::Hex];
}

/// Two words: one that every encoding of text leaves alone, one that JSON has to escape.
pub struct Canary {
    plain: String,
    awkward: String,
}

impl Canary {
    /// A pair that has never been used.
    pub fn fresh() -> Self {
        let (first, second) = (word(6), word(6));
        Self {
            plain: word(12),
            awkward: format!("{first}\"\né{second}"),
        }
    }

    /// Text of about `length` bytes that holds both words in every period.
    pub fn text(&self, length: usize) -> String {
        let mut period = format!("{} {} ", self.plain, self.awkward);
        while period.len() < PERIOD {
            period.push('.');
        }
        period.repeat(length.div_ceil(PERIOD))
    }

    /// The word that every encoding of text leaves alone.
    pub fn word(&self) -> &str {
        &self.plain
    }

    /// One way to write it in each form, in the order of [`Form::ALL`].
    pub fn in_each_form(&self) -> [String; 4] {
        [
            self.awkward.clone(),
            escaped(&self.awkward),
            STANDARD.encode(&self.plain),
            in_hex(&self.plain),
        ]
    }

    /// Everything to search for.
    pub fn needles(&self, side: Side) -> Vec<Needle> {
        let once = escaped(&self.awkward);
        let ascii = once.replace('é', "\\u00e9");
        let texts = [
            (Form::Raw, self.plain.clone()),
            (Form::Raw, self.awkward.clone()),
            (Form::Escaped, escaped(&once)),
            (Form::Escaped, escaped(&ascii)),
            (Form::Escaped, once),
            (Form::Escaped, ascii),
        ];
        let based = (0..3).map(|shift| in_base64(&self.plain, shift));
        let based = based.flat_map(|text| {
            let other = text.replace('+', "-").replace('/', "_");
            let both = if other == text {
                vec![text]
            } else {
                vec![text, other]
            };
            both.into_iter().map(|text| (Form::Base64, text))
        });
        let lower = in_hex(&self.plain);
        // Letters and digits: some of their codes have a letter in them, so that the cases differ.
        let hex = [(Form::Hex, lower.to_uppercase()), (Form::Hex, lower)];
        let needle = |(form, text): (Form, String)| Needle {
            side,
            form,
            bytes: text.into_bytes(),
        };
        texts
            .into_iter()
            .chain(based)
            .chain(hex)
            .map(needle)
            .collect()
    }
}

/// One byte string to search for.
pub struct Needle {
    pub side: Side,
    pub form: Form,
    pub bytes: Vec<u8>,
}

fn word(length: usize) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = RandomState::new().hash_one(length);
    let letter = |random: &mut u64| {
        let letter = LETTERS[(*random % 36) as usize];
        *random /= 36;
        char::from(letter)
    };
    (0..length).map(|_| letter(&mut random)).collect()
}

/// As the inside of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn in_hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The characters that `word` determines alone when `shift` other bytes stand before it in its
/// group of three.
fn in_base64(word: &str, shift: usize) -> String {
    let skipped = (3 - shift) % 3;
    let whole = &word.as_bytes()[skipped..];
    let whole = &whole[..whole.len() / 3 * 3];
    STANDARD.encode(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &[u8], canary: &Canary, form: Form) -> usize {
        let needles = canary.needles(Side::Prompt);
        let of_form = needles.iter().filter(|needle| needle.form == form);
        of_form
            .map(|needle| {
                let windows = text.windows(needle.bytes.len());
                windows.filter(|window| *window == needle.bytes).count()
            })
            .sum()
    }

    #[test]
    fn every_period_of_a_canary_text_contains_both_search_words() {
        let canary = Canary::fresh();
        let text = canary.text(10 * PERIOD);
        assert_eq!(text.len(), 10 * PERIOD);
        assert_eq!(found(text.as_bytes(), &canary, Form::Raw), 20);
        assert_eq!(found(text.as_bytes(), &canary, Form::Escaped), 0);
    }

    #[test]
    fn json_is_found_in_each_spelling_and_inside_itself() {
        let canary = Canary::fresh();
        let text = escaped(&canary.text(PERIOD));
        let ascii = text.replace('é', "\\u00e9");
        for form in [&text, &ascii, &escaped(&text), &escaped(&ascii)] {
            assert_eq!(found(form.as_bytes(), &canary, Form::Escaped), 1, "{form}");
            assert_eq!(found(form.as_bytes(), &canary, Form::Raw), 1, "{form}");
        }
    }

    #[test]
    fn base64_is_found_at_each_alignment() {
        let canary = Canary::fresh();
        for shift in 0..3 {
            let mut bytes = vec![b'x'; shift];
            bytes.extend_from_slice(canary.text(5 * PERIOD).as_bytes());
            let text = STANDARD.encode(bytes);
            assert_eq!(found(text.as_bytes(), &canary, Form::Base64), 5, "{shift}");
        }
    }
}
