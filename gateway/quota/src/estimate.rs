//! How many tokens a request may use, before it is forwarded.

/// A token of text has some four bytes. JSON around the text makes this too many rather than too few; text in other
/// scripts than Latin can have more tokens.
const BYTES_PER_TOKEN: u64 = 4;

/// The most output that is assumed of a request that sets no limit itself.
pub const DEFAULT_OUTPUT: u64 = 4096;

/// The limit that a request sets to each of its answers: `max_completion_tokens` or `max_tokens`. In the order of how much
/// they allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutputLimit {
    Tokens(u64),
    /// None, or a negative one, which some engines take for none.
    #[default]
    None,
    /// It is not a whole number. Engines may read one from it nevertheless.
    Unreadable,
}

/// Tokens that a request may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    pub prompt_tokens: u64,
    /// Of all answers together.
    pub output_tokens: u64,
}

impl Estimate {
    /// Of a body with so many bytes, which asks for `answers` answers, each of `output` tokens at most.
    pub fn of_body(bytes: u64, output: u64, answers: u64) -> Self {
        Self {
            prompt_tokens: bytes.div_ceil(BYTES_PER_TOKEN),
            output_tokens: output.saturating_mul(answers),
        }
    }

    pub fn total(self) -> u64 {
        self.prompt_tokens.saturating_add(self.output_tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_has_a_token_for_every_four_bytes_begun() {
        let estimate = Estimate::of_body(41, 100, 3);
        assert_eq!(
            (
                estimate.prompt_tokens,
                estimate.output_tokens,
                estimate.total()
            ),
            (11, 300, 311)
        );
        assert_eq!(Estimate::of_body(0, 0, 1), Estimate::default());
        assert_eq!(Estimate::of_body(8, u64::MAX, 2).total(), u64::MAX);
    }
}
