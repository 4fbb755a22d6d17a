//! Compares two retention policies: for which tenants and models they keep something else.

use std::collections::BTreeSet;

use super::{RetentionPolicy, Terms};

/// Terms that differ for some requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose requests; none for those of every tenant that is not listed.
    pub tenant: Option<String>,
    /// To which model; none for all that are not listed for this tenant.
    pub model: Option<String>,
    /// What holds now.
    pub before: Terms,
    /// What would hold.
    pub after: Terms,
}

/// Every difference for the given tenants and models and for those that either policy names. Complete: a request that
/// no entry is for keeps its terms. Where the terms of every other tenant, or of every other model, change, each tenant
/// and model that is excepted has an entry whose terms are equal.
pub fn compare(
    before: &RetentionPolicy,
    after: &RetentionPolicy,
    tenants: &[String],
    models: &[String],
) -> Vec<Difference> {
    let mut all_tenants: BTreeSet<&str> = tenants.iter().map(String::as_str).collect();
    let mut all_models: BTreeSet<&str> = models.iter().map(String::as_str).collect();
    for policy in [before, after] {
        all_tenants.extend(policy.named_tenants());
        all_models.extend(policy.named_models());
    }
    let entries_for = |tenant: Option<&str>| {
        let effective = |policy: &RetentionPolicy, model: Option<&str>| match tenant {
            Some(tenant) => policy.effective(tenant, model),
            None => policy.effective_unnamed(model),
        };
        let entry = |model: Option<&str>| Difference {
            tenant: tenant.map(str::to_owned),
            model: model.map(str::to_owned),
            before: effective(before, model),
            after: effective(after, model),
        };
        let rest = entry(None);
        // Models whose terms are those of every other model get no entry.
        let own = |one: &Difference| (&one.before, &one.after) != (&rest.before, &rest.after);
        let mut entries: Vec<_> = all_models
            .iter()
            .map(|model| entry(Some(model)))
            .filter(own)
            .collect();
        entries.push(rest);
        entries
    };
    let all_others = entries_for(None);
    let all_may_change = all_others.iter().any(Difference::changes);
    let mut differences = Vec::new();
    for tenant in all_tenants {
        let entries = entries_for(Some(tenant));
        if all_may_change || entries.iter().any(Difference::changes) {
            differences.extend(relevant(entries));
        }
    }
    if all_may_change {
        differences.extend(relevant(all_others));
    }
    differences
}

/// Leaves out what stays as it is, unless it is an exception from a change.
fn relevant(entries: Vec<Difference>) -> impl Iterator<Item = Difference> {
    let rest_changes = entries.last().is_some_and(Difference::changes);
    let none_changes = !entries.iter().any(Difference::changes);
    entries.into_iter().filter(move |entry| {
        rest_changes || entry.changes() || (none_changes && entry.model.is_none())
    })
}

impl Difference {
    /// Whether anything changes for these requests.
    pub fn changes(&self) -> bool {
        self.before != self.after
    }
}
