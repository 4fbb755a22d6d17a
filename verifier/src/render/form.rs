//! The format and the detail of output.

/// How much of the checks is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Passed checks grouped by family, all others separately.
    Short,
    /// Every check on a separate line.
    EveryCheck,
}

/// The format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    Text(Detail),
    Json,
}
