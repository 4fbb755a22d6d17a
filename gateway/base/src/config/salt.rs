//! What becomes of a caller's own `cache_salt`.

/// A caller's salt never reaches an engine as it is: it could name another tenant's part of the prefix cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCacheSalt {
    /// It is taken out of the request.
    #[default]
    Strip,
    /// A request that has one is refused.
    Refuse,
    /// It divides the caller's own part of the cache further and can reach no other: the engine gets a salt derived
    /// from the tenant and from it. For enclaves behind an aggregator, whose tenants they cannot see.
    Bind,
}

impl ClientCacheSalt {
    pub const CHOICES: [(&'static str, Self); 3] = [
        ("strip", Self::Strip),
        ("refuse", Self::Refuse),
        ("bind", Self::Bind),
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strip => "strip",
            Self::Refuse => "refuse",
            Self::Bind => "bind",
        }
    }
}
