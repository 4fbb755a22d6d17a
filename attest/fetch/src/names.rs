//! Name resolution of HTTP clients, by [`resolver`].

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// For `reqwest::ClientBuilder::dns_resolver`.
#[derive(Clone, Copy, Debug)]
pub struct NameResolver;

impl Resolve for NameResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The client puts the URL's port in place of 0.
            let found = resolver::lookup(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
