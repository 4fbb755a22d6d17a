//! A gateway with two upstreams in two regions, and a policy.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use blackbox::asking::{CHAT, chat, error, receipt};
use blackbox::world::identity;
use testkit::client::{Answer, Connection};
use testkit::config::{Config, Model};
use testkit::engine::{CHAT_MODEL, Engine};
use testkit::scratch::ScratchDir;
use testkit::service::{Program, Service, free_address};

/// Everything is allowed, and nothing goes to the first upstream's region.
pub const NOT_US: &str = r#"
[[rule]]
code = "everything"
effect = "allow"

[[rule]]
code = "not-us"
effect = "deny"
regions = ["us"]
"#;

/// A policy with these rules and examples.
pub fn policy(rules: &str) -> String {
    format!("name = \"test\"\nversion = 1\n{rules}")
}

/// A gateway without a TEE that serves the model `open`, also called `wide`, by an upstream in `us` and one in `eu`, and
/// the model `other` by the one in `us`.
pub struct Gateway {
    pub us: Engine,
    pub eu: Engine,
    pub service: Service,
    pub policy: PathBuf,
    pub key: String,
    pub directory: ScratchDir,
}

impl Gateway {
    pub async fn start(name: &str, rules: &str, more: &str) -> Result<Self> {
        let directory = ScratchDir::new(name)?;
        let policy = directory.write("authorization.toml", policy(rules))?;
        let (us, eu) = (Engine::start().await?, Engine::start().await?);
        let config = config(&us, &eu)?.and(&section(&policy)).and(more);
        let home = directory.path().join("gateway");
        let identity = identity("gateway").run_as(Program::Shipped);
        let text = with_regions(&config);
        let service = Service::start(&home, identity, config.listen, &text).await?;
        let key = service.create_key("tests").await?;
        Ok(Self {
            us,
            eu,
            service,
            policy,
            key,
            directory,
        })
    }

    pub async fn ask(&self, model: &str) -> Result<Answer> {
        let mut connection = self.service.connect().await?;
        let question = chat(model, "may I?");
        connection.post(&self.key, CHAT, &question).await
    }

    /// 200 and no code, or the refusal's.
    pub async fn decision(&self, model: &str) -> Result<(u16, Option<String>)> {
        let answer = self.ask(model).await?;
        match answer.status.as_u16() {
            200 => {
                answer.bytes().await?;
                Ok((200, None))
            }
            _ => {
                let refused = error(answer).await?;
                Ok((refused.status, Some(refused.message)))
            }
        }
    }

    pub async fn receipt(&self, answer: &Answer) -> Result<Value> {
        let id = answer.header("x-receipt-id").context("a receipt id")?;
        let mut connection: Connection = self.service.connect().await?;
        let receipt = receipt(&mut connection, &self.key, id).await?;
        Ok(serde_json::from_slice(&receipt)?)
    }

    /// The ids in `/v1/models` with this key.
    pub async fn models(&self, key: &str) -> Result<Vec<String>> {
        let mut connection = self.service.connect().await?;
        let models = connection.get_as(key, "/v1/models").await?.json().await?;
        let data = models["data"].as_array().context("data")?;
        let ids = data.iter().filter_map(|model| model["id"].as_str());
        Ok(ids.map(str::to_owned).collect())
    }

    pub fn prompts(&self) -> (u64, u64) {
        (self.us.stats().prompts, self.eu.stats().prompts)
    }
}

pub fn refused_by(code: &str) -> (u16, Option<String>) {
    let message = format!(
        "The authorization policy does not allow this request: {code}. It was not forwarded."
    );
    (403, Some(message))
}

pub fn find<'a>(receipt: &'a Value, kind: &str) -> Option<&'a Value> {
    let events = receipt["event_log"].as_array()?;
    events.iter().find(|event| event["type"] == kind)
}

pub fn section(policy: &std::path::Path) -> String {
    format!(
        "[authorization]\npolicy = {:?}",
        policy.display().to_string()
    )
}

fn config(us: &Engine, eu: &Engine) -> Result<Config> {
    let mut config = Config::direct(free_address()?);
    config.tee = "none";
    config.mode = "aggregator";
    let of =
        |engine: &Engine, id| Model::plain(id, engine.base_url()).known_upstream_as(CHAT_MODEL);
    let open = of(us, "open").or_else(of(eu, "open")).also_called("wide");
    Ok(config.serving(open).serving(of(us, "other")))
}

fn with_regions(config: &Config) -> String {
    let named = |name: &str| format!("name = \"{name}\"\n");
    let mut text = config.text();
    for (upstream, region) in [
        ("upstream-0-0", "us"),
        ("upstream-0-1", "eu"),
        ("upstream-1-0", "us"),
    ] {
        let in_region = format!("{}region = \"{region}\"\n", named(upstream));
        text = text.replace(&named(upstream), &in_region);
    }
    text
}
