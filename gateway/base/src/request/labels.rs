//! What a request is counted to: a scenario and an owner, which the caller names in headers.
//!
//! An operator registers the values for each tenant. A header chooses one of them: the [`Name`] that is stored is the
//! operator's, and no text of a request goes further.

use http::HeaderName;

use super::{Name, OWNER, SCENARIO};

/// The most registered values of one kind.
pub const MAX_VALUES: usize = 256;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    Scenario,
    Owner,
}

impl Label {
    pub const ALL: [Label; 2] = [Label::Scenario, Label::Owner];

    pub const fn as_str(self) -> &'static str {
        match self {
            Label::Scenario => "scenario",
            Label::Owner => "owner",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|label| label.as_str() == text)
    }

    pub fn header(self) -> HeaderName {
        match self {
            Label::Scenario => SCENARIO,
            Label::Owner => OWNER,
        }
    }
}

/// The labels of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    pub scenario: Option<Name>,
    pub owner: Option<Name>,
}

/// The labels that a tenant's requests may have, and those that they must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelRules {
    // Sorted, each value once.
    scenarios: Vec<Name>,
    owners: Vec<Name>,
    requires_scenario: bool,
    requires_owner: bool,
}

/// Why values cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{list} has more than {MAX_VALUES} entries")]
pub struct LabelsError {
    pub list: &'static str,
}

impl LabelRules {
    /// The registered values.
    pub fn values(&self, label: Label) -> &[Name] {
        match label {
            Label::Scenario => &self.scenarios,
            Label::Owner => &self.owners,
        }
    }

    /// Registers these values and no others.
    pub fn set_values(&mut self, label: Label, mut values: Vec<Name>) -> Result<(), LabelsError> {
        values.sort();
        values.dedup();
        let (list, place) = match label {
            Label::Scenario => ("scenarios", &mut self.scenarios),
            Label::Owner => ("owners", &mut self.owners),
        };
        if values.len() > MAX_VALUES {
            return Err(LabelsError { list });
        }
        *place = values;
        Ok(())
    }

    /// Whether a request without this label is refused.
    pub fn requires(&self, label: Label) -> bool {
        match label {
            Label::Scenario => self.requires_scenario,
            Label::Owner => self.requires_owner,
        }
    }

    /// Requires these labels and no others.
    pub fn set_required(&mut self, required: &[Label]) {
        self.requires_scenario = required.contains(&Label::Scenario);
        self.requires_owner = required.contains(&Label::Owner);
    }

    /// The labels that are required.
    pub fn required(&self) -> impl Iterator<Item = Label> {
        Label::ALL.into_iter().filter(|label| self.requires(*label))
    }

    /// The registered value that a header names.
    pub fn find(&self, label: Label, named: &str) -> Option<&Name> {
        let values = self.values(label);
        let place = values.binary_search_by(|value| value.as_str().cmp(named));
        values.get(place.ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_operator(text).expect("a name")
    }

    #[test]
    fn finds_registered_values_of_the_same_kind_only() {
        let mut rules = LabelRules::default();
        let scenarios = ["b", "a", "c", "a"].map(name).to_vec();
        assert_eq!(rules.set_values(Label::Scenario, scenarios), Ok(()));
        assert_eq!(rules.values(Label::Scenario), ["a", "b", "c"].map(name));
        assert_eq!(rules.find(Label::Scenario, "b"), Some(&name("b")));
        for (label, named) in [
            (Label::Scenario, "d"),
            (Label::Scenario, ""),
            (Label::Scenario, "B"),
            (Label::Owner, "b"),
        ] {
            assert_eq!(rules.find(label, named), None, "{named}");
        }
    }

    #[test]
    fn requires_what_was_set_last() {
        let mut rules = LabelRules::default();
        rules.set_required(&[Label::Owner]);
        assert_eq!(rules.required().collect::<Vec<_>>(), [Label::Owner]);
        rules.set_required(&[]);
        assert!(!rules.requires(Label::Owner));
    }

    #[test]
    fn rejects_more_values_than_can_be_registered() {
        let mut rules = LabelRules::default();
        let many = (0..=MAX_VALUES).map(|n| name(&n.to_string())).collect();
        let error = rules.set_values(Label::Owner, many);
        assert_eq!(error, Err(LabelsError { list: "owners" }));
        assert!(rules.values(Label::Owner).is_empty());
    }
}
