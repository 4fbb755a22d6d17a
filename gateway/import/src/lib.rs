//! Reads the configuration of another gateway and writes one of ours: text in, text out.
//!
//! Whatever could not be carried over is listed with its place and a reason: nothing is left out silently. Files and
//! environment variables are read and written by the command line, which calls this crate.

mod litellm;
mod litellm_prices;
mod toml;

pub use litellm::{ImportError, Settings, import as import_litellm};
pub use litellm_prices::{ImportedPrices, LeftOut, PricesError, import as import_litellm_prices};

use gateway_base::config::Sensitive;

/// A configuration, and what belongs to it.
pub struct Imported {
    /// The text of `sealgate.toml`.
    pub config: String,
    /// A shell script that sets limits, which are not configuration.
    pub operations: Option<String>,
    /// The API keys of upstreams, each for a separate file that the configuration names.
    pub key_files: Vec<KeyFile>,
    /// How many models and upstreams the configuration has.
    pub models: usize,
    pub upstreams: usize,
    /// Settings that mean something else now, in the order in which they were read.
    pub changed: Vec<Note>,
    /// Settings without a counterpart.
    pub not_imported: Vec<Note>,
}

/// An upstream's API key.
pub struct KeyFile {
    /// Relative to the configuration.
    pub path: String,
    pub key: Sensitive<String>,
}

/// What is to be said about one setting. Never has its value: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// As `model_list[2].litellm_params.temperature`.
    pub place: String,
    pub reason: String,
}
