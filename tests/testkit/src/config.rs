//! Configurations of gateways under test, as the text of `sealgate.toml`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// One `[[model]]`.
#[derive(Clone, Debug)]
pub struct Model {
    pub id: String,
    pub aliases: Vec<String>,
    pub confidential: bool,
    /// In order of preference.
    pub upstreams: Vec<Upstream>,
}

/// One `[[model.upstream]]`.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The base URL.
    pub url: String,
    /// What the upstream calls the model.
    pub model: String,
    /// The file with the credential that the upstream asks for.
    pub api_key_file: Option<PathBuf>,
    /// Whether it takes a salt for its prefix cache.
    pub cache_salt: bool,
}

impl Model {
    /// A confidential model that the upstream knows under the same name.
    pub fn confidential(id: &str, url: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            aliases: Vec::new(),
            confidential: true,
            upstreams: vec![Upstream {
                url: url.into(),
                model: id.to_owned(),
                api_key_file: None,
                cache_salt: false,
            }],
        }
    }

    /// A model that carries no promise.
    pub fn plain(id: &str, url: impl Into<String>) -> Self {
        Self {
            confidential: false,
            ..Self::confidential(id, url)
        }
    }

    #[must_use]
    pub fn known_upstream_as(mut self, name: &str) -> Self {
        for upstream in &mut self.upstreams {
            upstream.model = name.to_owned();
        }
        self
    }

    #[must_use]
    pub fn also_called(mut self, alias: &str) -> Self {
        self.aliases.push(alias.to_owned());
        self
    }

    #[must_use]
    pub fn salted(mut self) -> Self {
        for upstream in &mut self.upstreams {
            upstream.cache_salt = true;
        }
        self
    }

    #[must_use]
    pub fn with_key_from(mut self, file: &Path) -> Self {
        for upstream in &mut self.upstreams {
            upstream.api_key_file = Some(file.to_owned());
        }
        self
    }

    /// Falls back to the upstreams of `other` when those before cannot serve.
    #[must_use]
    pub fn or_else(mut self, other: Self) -> Self {
        self.upstreams.extend(other.upstreams);
        self
    }

    /// Where its first upstream is.
    pub fn url(&self) -> &str {
        &self.upstreams[0].url
    }

    fn write(&self, index: usize, attestation: Option<&str>) -> String {
        let mut text = format!("\n[[model]]\nid = {:?}\n", self.id);
        if !self.aliases.is_empty() {
            text.push_str(&format!("aliases = {:?}\n", self.aliases));
        }
        text.push_str(&format!("confidential = {}\n", self.confidential));
        if let Some(name) = attestation.filter(|_| self.confidential) {
            text.push_str(&format!("attestation = {name:?}\n"));
        }
        for (place, upstream) in self.upstreams.iter().enumerate() {
            text.push_str(&format!(
                "[[model.upstream]]\nname = \"upstream-{index}-{place}\"\nurl = {:?}\nmodel = {:?}\n",
                upstream.url, upstream.model
            ));
            if let Some(file) = &upstream.api_key_file {
                text.push_str(&format!(
                    "api_key_file = {:?}\n",
                    file.display().to_string()
                ));
            }
            if upstream.cache_salt {
                text.push_str("cache_salt = true\n");
            }
        }
        text
    }
}

/// Everything else, with the defaults of a test.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub mode: &'static str,
    pub tee: &'static str,
    /// How many GPUs are shown; no word of them if none.
    pub gpus: usize,
    /// Policy file and roots directory by which confidential upstreams are judged.
    pub trust: Option<(PathBuf, PathBuf)>,
    pub models: Vec<Model>,
    /// Whole sections, or members of `[server]` if they come first.
    pub more: String,
}

impl Config {
    /// An enclave in front of an engine.
    pub fn direct(listen: SocketAddr) -> Self {
        Self {
            listen,
            mode: "direct",
            tee: "tdx",
            gpus: 0,
            trust: None,
            models: Vec::new(),
            more: String::new(),
        }
    }

    /// A gateway that forwards to enclaves which `policy` accepts under `roots`.
    pub fn aggregator(listen: SocketAddr, policy: &Path, roots: &Path) -> Self {
        let trust = Some((policy.to_owned(), roots.to_owned()));
        Self {
            mode: "aggregator",
            trust,
            ..Self::direct(listen)
        }
    }

    #[must_use]
    pub fn serving(mut self, model: Model) -> Self {
        self.models.push(model);
        self
    }

    #[must_use]
    pub fn and(mut self, more: &str) -> Self {
        self.more.push_str(more);
        self.more.push('\n');
        self
    }

    pub fn text(&self) -> String {
        let mut text = format!(
            "[server]\nlisten = \"{}\"\nnames = [\"localhost\", \"127.0.0.1\"]\n\
             state_dir = \"state\"\nmode = \"{}\"\n{}\n[tee]\nkind = \"{}\"\n",
            self.listen, self.mode, self.more, self.tee
        );
        if self.gpus > 0 {
            let count = self.gpus;
            text.push_str(&format!("gpus = \"nvidia\"\ngpu_count = {count}\n"));
        }
        if let Some((policy, roots)) = &self.trust {
            text.push_str(&format!(
                "\n[attestation.enclave]\npolicy = {:?}\nroots = {:?}\n",
                policy.display().to_string(),
                roots.display().to_string()
            ));
        }
        for (index, model) in self.models.iter().enumerate() {
            text.push_str(&model.write(index, self.trust.as_ref().map(|_| "enclave")));
        }
        text
    }
}
