//! What is kept of one request, and for how long.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::{Recipient, RetentionMode};

/// Metadata that a policy can leave out. What it cannot leave out where it keeps metadata at all: the time, the
/// tenant, the endpoint, whether it was a stream, status and outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    /// The public id of the API key.
    Key,
    /// The configured name of the model.
    Model,
    /// The configured name of the upstream.
    Upstream,
    /// Prompt and completion token counts.
    Tokens,
    /// Latency and time to the first byte.
    Timing,
    /// Sizes of request and response in bytes.
    Sizes,
    /// The signed receipt, and its id in the row.
    Receipt,
}

impl Field {
    /// In the order in which they are written.
    pub const ALL: [Self; 7] = [
        Self::Key,
        Self::Model,
        Self::Upstream,
        Self::Tokens,
        Self::Timing,
        Self::Sizes,
        Self::Receipt,
    ];

    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Model => "model",
            Self::Upstream => "upstream",
            Self::Tokens => "tokens",
            Self::Timing => "timing",
            Self::Sizes => "sizes",
            Self::Receipt => "receipt",
        }
    }
}

/// What happens to a request whose metadata or content cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It is served; receipt and metrics say that nothing was kept.
    Serve,
    /// It is refused, or its response is broken off before its end.
    Refuse,
}

impl OnFailure {
    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Refuse => "refuse",
        }
    }
}

/// Who may delete a sealed record before it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deletion {
    /// The operator alone.
    Operator,
    /// The API key that made the request, too.
    Caller,
}

impl Deletion {
    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Caller => "caller",
        }
    }
}

/// The metadata that is kept of a request, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptMetadata {
    /// How long: it is deleted after this time.
    pub ttl: Duration,
    /// The metadata beyond what is always there.
    pub fields: BTreeSet<Field>,
    /// What happens when it cannot be kept.
    pub on_failure: OnFailure,
}

/// What holds for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terms<R = Recipient> {
    /// Nothing outlives it.
    Zero,
    /// Metadata does.
    Metadata(KeptMetadata),
    /// Metadata, and its content sealed.
    Content {
        /// The metadata, and how long both are kept.
        kept: KeptMetadata,
        /// Whose keys open the records: at least one, and none of the service's.
        recipients: Vec<R>,
        /// Who may delete them.
        deletion: Deletion,
    },
}

impl<R> Terms<R> {
    /// The mode in one word.
    pub const fn mode(&self) -> RetentionMode {
        match self {
            Self::Zero => RetentionMode::Zero,
            Self::Metadata(_) => RetentionMode::Metadata,
            Self::Content { .. } => RetentionMode::Content,
        }
    }

    /// What is kept, if anything.
    pub const fn kept(&self) -> Option<&KeptMetadata> {
        match self {
            Self::Zero => None,
            Self::Metadata(kept) | Self::Content { kept, .. } => Some(kept),
        }
    }

    /// Whose keys open the records; none where no content is kept.
    pub fn recipients(&self) -> &[R] {
        match self {
            Self::Content { recipients, .. } => recipients,
            Self::Zero | Self::Metadata(_) => &[],
        }
    }

    /// Whether this piece of metadata is kept.
    pub fn keeps(&self, field: Field) -> bool {
        self.kept().is_some_and(|kept| kept.fields.contains(&field))
    }

    /// The same with other recipients.
    pub(super) fn map<S>(&self, recipient: impl Fn(&R) -> S) -> Terms<S> {
        match self {
            Self::Zero => Terms::Zero,
            Self::Metadata(kept) => Terms::Metadata(kept.clone()),
            Self::Content {
                kept,
                recipients,
                deletion,
            } => Terms::Content {
                kept: kept.clone(),
                recipients: recipients.iter().map(recipient).collect(),
                deletion: *deletion,
            },
        }
    }
}

/// In words, for an operator's plan.
impl<R: fmt::Display> fmt::Display for Terms<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.mode())?;
        let Some(kept) = self.kept() else {
            return Ok(());
        };
        write!(f, " for {}", super::canonical::duration(kept.ttl))?;
        if kept.fields.len() < Field::ALL.len() {
            let words: Vec<_> = kept.fields.iter().map(|field| field.as_str()).collect();
            let words = if words.is_empty() {
                "none".to_owned()
            } else {
                words.join(", ")
            };
            write!(f, " (optional fields: {words})")?;
        }
        write!(f, ", {} on failure", kept.on_failure.as_str())?;
        if let Self::Content {
            recipients,
            deletion,
            ..
        } = self
        {
            f.write_str(", sealed to")?;
            for recipient in recipients {
                write!(f, " {recipient}")?;
            }
            write!(f, ", deleted by {}", deletion.as_str())?;
        }
        Ok(())
    }
}
