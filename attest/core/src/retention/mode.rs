//! The modes of retention: how much of a request is kept.

use std::fmt;

/// Ordered: each keeps more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetentionMode {
    /// Counters in memory only.
    Zero,
    /// Who, when, which model, token counts, latency, status and receipt hashes.
    Metadata,
    /// All of that, and prompt and response sealed to the tenant's own keys.
    Content,
}

impl RetentionMode {
    /// From the least to the most.
    pub const ALL: [Self; 3] = [Self::Zero, Self::Metadata, Self::Content];

    /// The word in documents, headers and receipts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Metadata => "metadata",
            Self::Content => "content",
        }
    }

    /// Reads the one spelling of each.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

impl fmt::Display for RetentionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
