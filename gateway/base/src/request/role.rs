//! The roles of administrators, each with all permissions of the one before it.

/// What an administrator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads the state of the service.
    ReadOnly,
    /// Also reads keys, retention policies and the audit log.
    Auditor,
    /// Also creates and revokes keys and sets signed retention policies.
    Operator,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::ReadOnly, Role::Auditor, Role::Operator];

    pub const fn as_str(self) -> &'static str {
        match self {
            Role::ReadOnly => "read-only",
            Role::Auditor => "auditor",
            Role::Operator => "operator",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
