//! Notices about a policy for the operator before it is set. None is a reason to refuse it.

use std::fmt;

use attest_core::retention::RetentionPolicy;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Its published form has the names of tenants or recipients.
    PublishesNames,
    /// Its description, which is published, has the name of a tenant.
    DescriptionNames(String),
    /// Openings of the policy before it open nothing in this one.
    SaltChanges,
}

impl Notice {
    /// Everything about one policy.
    pub fn about(policy: &RetentionPolicy) -> Vec<Self> {
        let mut notices = Vec::new();
        if policy.publishes_names() {
            notices.push(Self::PublishesNames);
            return notices;
        }
        let words: Vec<&str> = policy
            .description()
            .unwrap_or_default()
            .split(|letter: char| !letter.is_alphanumeric() && !"-_.".contains(letter))
            .map(|word| word.trim_end_matches('.'))
            .collect();
        let named = policy.named_tenants().into_iter();
        let described = named.filter(|tenant| words.contains(tenant));
        notices.extend(described.map(|tenant| Self::DescriptionNames(tenant.to_owned())));
        notices
    }

    /// Everything about a policy that follows on another.
    pub fn about_change(before: &RetentionPolicy, next: &RetentionPolicy) -> Vec<Self> {
        let mut notices = Self::about(next);
        let opened = before.salt().is_some() && !before.named_tenants().is_empty();
        if opened && next.salt().is_some() && before.salt() != next.salt() {
            notices.push(Self::SaltChanges);
        }
        notices
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PublishesNames => f.write_str(
                "the retention policy names tenants to every client that asks for a report. To publish commitments in \
                 place of names, write the next policy with format = \"sealgate/retention/2\" and a salt, and sign and \
                 set it as any other",
            ),
            Self::DescriptionNames(tenant) => write!(
                f,
                "the retention policy's description, which every report shows, has the name of the tenant {tenant:?}"
            ),
            Self::SaltChanges => f.write_str(
                "the salt changes: openings that tenants hold open nothing in this policy, and their verifiers take the \
                 most lenient terms of any tenant until they fetch new ones. Keep the salt of the policy before unless \
                 it is known to others",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(format: u8, head: &str) -> RetentionPolicy {
        RetentionPolicy::from_toml(&format!(
            "format = \"sealgate/retention/{format}\"\nepoch = 1\n{head}[default]\nmode = \"zero\"\n\
             [[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n"
        ))
        .expect("a policy")
    }

    fn salt(byte: &str) -> String {
        format!("salt = \"{}{byte}\"\n", "0f".repeat(31))
    }

    #[test]
    fn names_that_are_published_are_reported() {
        assert_eq!(Notice::about(&policy(1, "")), [Notice::PublishesNames]);
        assert_eq!(Notice::about(&policy(2, &salt("00"))), []);
        let described = salt("00") + "description = \"Nothing of clinic. And more.\"\n";
        assert_eq!(
            Notice::about(&policy(2, &described)),
            [Notice::DescriptionNames("clinic".to_owned())]
        );
    }

    #[test]
    fn a_change_of_the_salt_is_reported() {
        let (one, other) = (policy(2, &salt("00")), policy(2, &salt("01")));
        assert_eq!(Notice::about_change(&one, &one), []);
        assert_eq!(Notice::about_change(&one, &other), [Notice::SaltChanges]);
        assert_eq!(Notice::about_change(&policy(1, ""), &one), []);
        assert_eq!(
            Notice::about_change(&one, &policy(1, "")),
            [Notice::PublishesNames]
        );
    }
}
