//! What a change would change, and for whom.

use std::collections::BTreeSet;

use super::rules::NOBODY;
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
/// no entry is for keeps its terms. Where an entry for everybody else, or for every other model, says that something
/// changes, whoever is excepted has an entry whose terms are equal.
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
    let of = |tenant: Option<&str>| {
        let whose = tenant.unwrap_or(NOBODY);
        let entry = |model: Option<&str>| Difference {
            tenant: tenant.map(str::to_owned),
            model: model.map(str::to_owned),
            before: before.effective(whose, model),
            after: after.effective(whose, model),
        };
        let rest = entry(None);
        // What holds for every model need not be said for each.
        let own = |one: &Difference| (&one.before, &one.after) != (&rest.before, &rest.after);
        let mut entries: Vec<_> = all_models
            .iter()
            .map(|model| entry(Some(model)))
            .filter(own)
            .collect();
        entries.push(rest);
        entries
    };
    let everybody_else = of(None);
    let all_may_change = everybody_else.iter().any(Difference::changes);
    let mut differences = Vec::new();
    for tenant in all_tenants {
        let entries = of(Some(tenant));
        if all_may_change || entries.iter().any(Difference::changes) {
            differences.extend(told(entries));
        }
    }
    if all_may_change {
        differences.extend(told(everybody_else));
    }
    differences
}

/// Without what stays as it is, unless it is an exception from what does not.
fn told(entries: Vec<Difference>) -> impl Iterator<Item = Difference> {
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
