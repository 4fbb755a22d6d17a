//! What every form of a policy says; the forms differ in how tenants and recipients are written.

use super::Terms;
use super::rules::Rules;
use crate::digest::Sha256Digest;

/// Terms for some requests. Without tenants it is for all of them, without models for all models.
///
/// `T` is a tenant and `R` a recipient: names in the policy that a service acts on, names or commitments in the one it
/// publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule<T, R> {
    /// Whose requests.
    pub tenants: Option<Vec<T>>,
    /// To which configured models.
    pub models: Option<Vec<String>>,
    /// What holds for them.
    pub terms: Terms<R>,
}

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document<T, R> {
    pub(super) format: Format,
    pub(super) epoch: u64,
    pub(super) predecessor: Option<Sha256Digest>,
    pub(super) description: Option<String>,
    pub(super) rules: Rules<T, R>,
}

/// The shape of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Names tenants and recipients wherever it is shown.
    One,
    /// Is published with commitments in place of names.
    Two,
}

impl Format {
    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::One => "sealgate/retention/1",
            Self::Two => "sealgate/retention/2",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::One, Self::Two]
            .into_iter()
            .find(|format| format.as_str() == text)
    }
}

impl<T, R> Document<T, R> {
    /// The same with other tenants and recipients.
    pub(super) fn map<U, S>(
        &self,
        tenant: impl Fn(&T) -> U,
        recipient: impl Fn(&R) -> S,
    ) -> Document<U, S> {
        Document {
            format: self.format,
            epoch: self.epoch,
            predecessor: self.predecessor,
            description: self.description.clone(),
            rules: self.rules.map(tenant, recipient),
        }
    }
}
