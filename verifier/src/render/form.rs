//! For whom output is, and how much of it.

/// How much a person wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Checks that passed by family, those that did not one by one.
    Short,
    /// Every check on a line of its own.
    EveryCheck,
}

/// For whom the output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Person(Detail),
    Json,
}
