//! A router that lists its routes, so that the reference page can be compared with it.

use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;

use gateway_base::errors::ApiError;

/// The methods of a path as in an `Allow` header, and their handlers.
pub(crate) type Methods<S> = (&'static str, MethodRouter<Arc<S>>);

/// Paths in the order in which they were added.
pub struct Routes<S: Send + Sync + 'static> {
    router: Router<Arc<S>>,
    listed: Vec<(&'static str, &'static str)>,
}

impl<S: Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self {
            router: Router::new(),
            listed: Vec::new(),
        }
    }
}

impl<S: Send + Sync + 'static> Routes<S> {
    pub fn route(mut self, path: &'static str, (allow, methods): Methods<S>) -> Self {
        self.listed.push((allow, path));
        self.router = self.router.route(path, methods);
        self
    }

    /// Paths that are not listed get an error in OpenAI's shape.
    pub fn into_router(self, state: Arc<S>) -> Router {
        self.router
            .fallback(|| async { ApiError::UnknownRoute })
            .with_state(state)
    }

    /// `METHOD PATH` for every method of every path; `HEAD` belongs to `GET` and is not listed.
    pub fn list(&self) -> Vec<String> {
        let one = |(allow, path): &(&str, &str)| -> Vec<String> {
            let methods = allow.split(", ").filter(|method| *method != "HEAD");
            methods.map(|method| format!("{method} {path}")).collect()
        };
        self.listed.iter().flat_map(one).collect()
    }
}

/// Other methods on the path get an error in OpenAI's shape that names these.
pub fn only<S: Send + Sync + 'static>(
    allow: &'static str,
    methods: MethodRouter<Arc<S>>,
) -> Methods<S> {
    let methods = methods.fallback(move || async move { ApiError::MethodNotAllowed { allow } });
    (allow, methods)
}
