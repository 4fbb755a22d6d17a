//! Resolves the names of HTTP clients through [`resolver`].

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// For `reqwest::ClientBuilder::dns_resolver`.
#[derive(Clone, Copy, Debug)]
pub struct NameResolver;

impl Resolve for NameResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The client replaces port 0 with the URL's port.
            let found = resolver::lookup(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
