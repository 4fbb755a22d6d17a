//! `limits.client_cache_salt`: how a caller's `cache_salt` is handled.

/// A caller's salt never reaches an engine unchanged: it could select another tenant's part of the prefix cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCacheSalt {
    /// It is taken out of the request.
    #[default]
    Strip,
    /// A request that has one is refused.
    Refuse,
    /// The engine gets a salt derived from the tenant and the caller's salt. So it partitions the tenant's part of the
    /// cache and reaches no other. For enclaves behind an aggregator, whose tenants they cannot see.
    Bind,
}

impl ClientCacheSalt {
    pub(crate) const CHOICES: [(&'static str, Self); 3] = [
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
