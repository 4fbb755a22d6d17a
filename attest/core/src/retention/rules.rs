//! Which terms hold for a request: of all rules for it, the strictest; without one, the default.

use std::collections::BTreeSet;

use super::{KeptMetadata, OnFailure, RetentionMode, RetentionPolicy, Terms};

/// A tenant that no rule can name, and so stands for every tenant that none does.
pub(super) const NOBODY: &str = "";

impl RetentionPolicy {
    /// What holds for a tenant's request to a configured model. `model` is none where the request names no model that
    /// is configured.
    pub fn effective(&self, tenant: &str, model: Option<&str>) -> Terms {
        self.body
            .rules
            .iter()
            .filter(|rule| rule.is_for_tenant(tenant) && rule.is_for_model(model))
            .map(|rule| rule.terms.clone())
            .reduce(stricter)
            .unwrap_or_else(|| self.body.default.clone())
    }

    /// The most that is kept of a tenant's requests, whatever model they name.
    pub fn most_for(&self, tenant: &str) -> RetentionMode {
        let terms = self.possible(Some(tenant), None);
        terms
            .iter()
            .map(Terms::mode)
            .max()
            .unwrap_or(RetentionMode::Content)
    }

    /// The most that is kept of anybody's request.
    pub fn most(&self) -> RetentionMode {
        let terms = self.possible(None, None);
        terms
            .iter()
            .map(Terms::mode)
            .max()
            .unwrap_or(RetentionMode::Content)
    }

    /// All terms that hold for some request: of this tenant or of any, to this model or to any.
    pub fn possible(&self, tenant: Option<&str>, model: Option<&str>) -> Vec<Terms> {
        let tenants = match tenant {
            Some(tenant) => vec![tenant],
            None => self.named_tenants().into_iter().chain([NOBODY]).collect(),
        };
        let models: Vec<Option<&str>> = match model {
            Some(model) => vec![Some(model)],
            None => self
                .named_models()
                .into_iter()
                .map(Some)
                .chain([None])
                .collect(),
        };
        let pairs = tenants
            .iter()
            .flat_map(|tenant| models.iter().map(move |model| (tenant, model)));
        pairs
            .map(|(tenant, model)| self.effective(tenant, *model))
            .collect()
    }

    /// Every tenant that a rule names.
    pub fn named_tenants(&self) -> BTreeSet<&str> {
        let lists = self
            .body
            .rules
            .iter()
            .filter_map(|rule| rule.tenants.as_deref());
        lists.flatten().map(String::as_str).collect()
    }

    /// Every model that a rule names.
    pub fn named_models(&self) -> BTreeSet<&str> {
        let lists = self
            .body
            .rules
            .iter()
            .filter_map(|rule| rule.models.as_deref());
        lists.flatten().map(String::as_str).collect()
    }
}

/// Of two terms for one request the one that keeps less; where both keep the same kind, what both would. That two
/// rules of mode `content` never meet was seen to when the document was read.
fn stricter(one: Terms, other: Terms) -> Terms {
    match (one, other) {
        (Terms::Metadata(one), Terms::Metadata(other)) => Terms::Metadata(both(&one, &other)),
        (one, other) if one.mode() <= other.mode() => one,
        (_, other) => other,
    }
}

fn both(one: &KeptMetadata, other: &KeptMetadata) -> KeptMetadata {
    KeptMetadata {
        ttl: one.ttl.min(other.ttl),
        fields: one.fields.intersection(&other.fields).copied().collect(),
        on_failure: match (one.on_failure, other.on_failure) {
            (OnFailure::Serve, OnFailure::Serve) => OnFailure::Serve,
            _ => OnFailure::Refuse,
        },
    }
}
