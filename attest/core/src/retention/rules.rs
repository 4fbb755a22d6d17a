//! Which terms hold for a request: of all rules for it, the strictest; without one, the default.
//!
//! The code asks only whether two tenants are the same, so it is one for names and for commitments.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use super::{KeptMetadata, OnFailure, RetentionMode, Rule, Terms};

/// Everything in a document that decides what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules<T, R> {
    pub(super) default: Terms<R>,
    pub(super) rules: Vec<Rule<T, R>>,
}

impl<T: Ord, R: Clone> Rules<T, R> {
    /// What holds for a request. `tenant` is none for one that no rule names, `model` where the request names no model
    /// that is configured.
    pub(super) fn effective<Q>(&self, tenant: Option<&Q>, model: Option<&str>) -> Terms<R>
    where
        T: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.rules
            .iter()
            .filter(|rule| {
                names(rule.tenants.as_deref(), tenant) && names(rule.models.as_deref(), model)
            })
            .map(|rule| rule.terms.clone())
            .reduce(stricter)
            .unwrap_or_else(|| self.default.clone())
    }

    /// All terms that hold for some request: of this tenant or of any, to this model or to any.
    pub(super) fn possible<Q>(&self, tenant: Option<&Q>, model: Option<&str>) -> Vec<Terms<R>>
    where
        T: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let tenants: Vec<Option<&Q>> = match tenant {
            Some(tenant) => vec![Some(tenant)],
            None => {
                let named = self.named_tenants().into_iter().map(|name| name.borrow());
                named.map(Some).chain([None]).collect()
            }
        };
        let models: Vec<Option<&str>> = match model {
            Some(model) => vec![Some(model)],
            None => {
                let named = self.named_models().into_iter();
                named.map(Some).chain([None]).collect()
            }
        };
        let pairs = tenants
            .iter()
            .flat_map(|tenant| models.iter().map(move |model| (*tenant, *model)));
        pairs
            .map(|(tenant, model)| self.effective(tenant, model))
            .collect()
    }

    /// Every tenant that a rule names.
    pub(super) fn named_tenants(&self) -> BTreeSet<&T> {
        let lists = self.rules.iter().filter_map(|rule| rule.tenants.as_deref());
        lists.flatten().collect()
    }
}

impl<T, R> Rules<T, R> {
    /// Every model that a rule names.
    pub(super) fn named_models(&self) -> BTreeSet<&str> {
        let lists = self.rules.iter().filter_map(|rule| rule.models.as_deref());
        lists.flatten().map(String::as_str).collect()
    }

    /// Whether they name a tenant or a recipient.
    pub(super) fn have_names(&self) -> bool {
        let recipients = |terms: &Terms<R>| !terms.recipients().is_empty();
        recipients(&self.default)
            || self
                .rules
                .iter()
                .any(|rule| rule.tenants.is_some() || recipients(&rule.terms))
    }

    /// The same with other tenants and recipients.
    pub(super) fn map<U, S>(
        &self,
        tenant: impl Fn(&T) -> U,
        recipient: impl Fn(&R) -> S,
    ) -> Rules<U, S> {
        let rule = |rule: &Rule<T, R>| Rule {
            tenants: rule
                .tenants
                .as_ref()
                .map(|tenants| tenants.iter().map(&tenant).collect()),
            models: rule.models.clone(),
            terms: rule.terms.map(&recipient),
        };
        Rules {
            default: self.default.map(&recipient),
            rules: self.rules.iter().map(rule).collect(),
        }
    }
}

impl<T: Eq, R> Rules<T, R> {
    /// Two rules, counted from 1, of mode `content` that are for the same request: it would be sealed twice, to
    /// different recipients.
    pub(super) fn content_overlap(&self) -> Option<(usize, usize)> {
        let content = |rule: &Rule<T, R>| rule.terms.mode() == RetentionMode::Content;
        let rules = self.rules.iter().enumerate();
        for (index, rule) in rules.filter(|(_, rule)| content(rule)) {
            for (earlier, other) in self.rules[..index].iter().enumerate() {
                let meet = meet(rule.tenants.as_deref(), other.tenants.as_deref())
                    && meet(rule.models.as_deref(), other.models.as_deref());
                if content(other) && meet {
                    return Some((earlier + 1, index + 1));
                }
            }
        }
        None
    }
}

/// The mode of those terms that keep most.
pub(super) fn most<R>(terms: &[Terms<R>]) -> RetentionMode {
    let modes = terms.iter().map(Terms::mode);
    modes.max().unwrap_or(RetentionMode::Content)
}

/// Whether a rule with this list is for a request with this name. A list is for no request without a name.
fn names<N, Q>(list: Option<&[N]>, name: Option<&Q>) -> bool
where
    N: Borrow<Q>,
    Q: Eq + ?Sized,
{
    list.is_none_or(|list| name.is_some_and(|name| list.iter().any(|one| one.borrow() == name)))
}

fn meet<N: Eq>(one: Option<&[N]>, other: Option<&[N]>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.iter().any(|name| other.contains(name)),
        _ => true,
    }
}

/// Of two terms for one request the one that keeps less; where both keep the same kind, what both would. That two
/// rules of mode `content` never meet was checked when the document was read.
fn stricter<R>(one: Terms<R>, other: Terms<R>) -> Terms<R> {
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
