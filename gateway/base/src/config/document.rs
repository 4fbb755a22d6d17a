//! The configuration as clients may read and pin it.
//!
//! Canonical JSON of everything that decides how a request is treated. Secrets appear as the name of the file they
//! are read from. Left out is what belongs to the machine and not to the contract: the address listened on, the
//! state directory, the log's format, where collateral is fetched and where configfs is mounted.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::identity::{Condition, Grant, Issuer, KeySource, Rule};
use super::{Config, Model, NamedTrust, Upstream};
use attest_core::retention::Authority;
use attest_core::{RootKind, RootOrigin, Roots, Serving, Sha256Digest, json};

/// Identifies the shape of the document.
const FORMAT: &str = "sealgate/config/1";

impl Config {
    /// The published document; its SHA-256 is the `config` digest of the keyset's subject.
    pub fn document(&self) -> String {
        let canonical = json::canonicalize(&self.to_value())
            .expect("made of strings, booleans and small integers");
        String::from_utf8(canonical).expect("canonical JSON is UTF-8")
    }

    fn to_value(&self) -> Value {
        let server = &self.server;
        let limits = &self.limits;
        let timeouts = &self.timeouts;
        json!({
            "format": FORMAT,
            "server": {
                "names": server.names,
                "bind_domain": server.bind_domain,
                "mode": mode(server.mode),
                "epoch_lifetime_ms": millis(server.epoch_lifetime),
                "drain_timeout_ms": millis(server.drain_timeout),
            },
            "tee": {
                "kind": self.tee.kind.as_str(),
                "gpus": self.tee.gpus.as_str(),
                "gpu_count": self.tee.gpus.count(),
            },
            "provenance": {
                "repo_url": self.provenance.repo_url,
                "repo_commit": self.provenance.repo_commit,
                "image_digest": self.provenance.image_digest,
            },
            "retention": authority(&self.retention.authority),
            "hardening": { "require": self.hardening.require.iter().map(|fact| fact.as_str()).collect::<Vec<_>>() },
            "receipts": { "keep_ms": millis(self.receipts.keep), "sign": self.receipts.sign.as_str() },
            "keys": { "on_revoke": self.keys.on_revoke.as_str() },
            "health": { "enabled": self.health.listen.is_some() },
            "admin": { "enabled": self.admin.listen.is_some() },
            "authorization": { "policy": self.authorization.policy.as_ref().map(|named| named.digest.to_string()) },
            "identity": { "issuers": self.identity.issuers.iter().map(issuer_value).collect::<Vec<_>>() },
            "prices": self.prices.table.as_ref().map(|table| json!({
                "digest": table.digest.to_string(),
                "currency": table.currency.as_str(),
                "cost_header": self.prices.cost_header,
            })),
            "metrics": { "enabled": self.metrics.listen.is_some() },
            "telemetry": { "otlp": self.telemetry.otlp.as_ref().map(ToString::to_string) },
            "limits": {
                "max_body": limits.max_body,
                "max_body_total": limits.max_body_total,
                "max_header": limits.max_header,
                "max_header_fields": limits.max_header_fields,
                "max_connections": limits.max_connections,
                "max_unauthenticated": limits.max_unauthenticated,
                "max_concurrent": limits.max_concurrent,
                "max_concurrent_per_key": limits.max_concurrent_per_key,
                "attest_queue": limits.attest_queue,
                "attest_queue_per_address": limits.attest_queue_per_address,
                "client_cache_salt": limits.client_cache_salt.as_str(),
            },
            "timeouts_ms": {
                "connect": millis(timeouts.connect),
                "report": millis(timeouts.report),
                "first_byte": millis(timeouts.first_byte),
                "idle": millis(timeouts.idle),
                "stream_comment": millis(timeouts.stream_comment),
                "client_header": millis(timeouts.client_header),
                "client_body": millis(timeouts.client_body),
                "client_write": millis(timeouts.client_write),
                "pool_idle": millis(timeouts.pool_idle),
            },
            "attestation": Value::Object(
                self.attestation.iter().map(|(name, trust)| (name.to_string(), trust_value(trust))).collect(),
            ),
            "models": self.models.iter().map(|model| model_value(model)).collect::<Vec<_>>(),
        })
    }
}

/// Who may change the retention policy. The policy itself has its own place in the subject.
fn authority(authority: &Authority) -> Value {
    match authority {
        Authority::NoKeys => json!({ "keys": [], "threshold": 0 }),
        Authority::Keys(keys) => json!({ "keys": keys.to_hex(), "threshold": keys.threshold() }),
    }
}

fn trust_value(named: &NamedTrust) -> Value {
    let trust = &named.trust;
    let roots = match trust.roots.origin() {
        RootOrigin::Vendor => json!("vendor"),
        RootOrigin::Supplied => json!({ "supplied": supplied(&trust.roots) }),
    };
    json!({ "policy": trust.policy.name(), "policy_digest": trust.policy.digest().to_string(), "roots": roots })
}

/// Rules contain names of tenants, which are not published: only their digest is.
fn issuer_value(issuer: &Issuer) -> Value {
    let rules = Value::Array(issuer.rules.iter().map(rule_value).collect());
    let keys = match &issuer.keys {
        KeySource::Discovery(_) => Value::Null,
        KeySource::KeySet(url) => url.as_str().into(),
    };
    json!({
        "name": issuer.name.as_str(),
        "issuer": issuer.issuer,
        "for": issuer.purpose.as_str(),
        "audiences": issuer.audiences,
        "jwks_uri": keys,
        "algorithms": issuer.algorithms.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
        "clock_skew_ms": millis(issuer.clock_skew),
        "max_stale_ms": millis(issuer.max_stale),
        "ca": issuer.authorities.as_ref().map(|pinned| pinned.digest.to_string()),
        "rules": { "count": issuer.rules.len(), "digest": Sha256Digest::hash(rules.to_string().as_bytes()).to_string() },
    })
}

fn rule_value(rule: &Rule) -> Value {
    let condition = match &rule.condition {
        Condition::Always => Value::Null,
        Condition::Claim { path, values } => json!({ "claim": path, "values": values }),
    };
    let grant = match &rule.grant {
        Grant::Tenant(name) => json!({ "tenant": name.as_str() }),
        Grant::TenantOf(names) => {
            json!({ "tenant_one_of": names.iter().map(|name| name.as_str()).collect::<Vec<_>>() })
        }
        Grant::Role(role) => json!({ "role": role.as_str() }),
    };
    let roles: Vec<&str> = rule.roles.iter().map(|role| role.as_str()).collect();
    json!({ "condition": condition, "grant": grant, "roles": roles })
}

fn supplied(roots: &Roots) -> Map<String, Value> {
    let held = RootKind::ALL.into_iter().filter_map(|kind| {
        let fingerprint = roots.fingerprint(kind)?;
        Some((kind.file_stem().to_owned(), fingerprint.to_string().into()))
    });
    held.collect()
}

fn model_value(model: &Model) -> Value {
    json!({
        "id": model.id.as_str(),
        "aliases": model.aliases.iter().map(|alias| alias.as_str()).collect::<Vec<_>>(),
        "confidential": model.confidential,
        "attestation": model.attestation.as_ref().map(|trust| trust.name.as_str()),
        "upstreams": model.upstreams.iter().map(|upstream| upstream_value(upstream)).collect::<Vec<_>>(),
    })
}

fn upstream_value(upstream: &Upstream) -> Value {
    let file = upstream
        .api_key
        .as_ref()
        .map(|key| key.file.file_name().unwrap_or_default().to_string_lossy());
    json!({
        "name": upstream.name.as_str(),
        "url": upstream.url.to_string(),
        "model": upstream.model.as_ref().map(|model| model.as_str()),
        "api_key_file": file,
        "region": upstream.region.as_ref().map(|region| region.as_str()),
        "cache_salt": upstream.cache_salt,
        "stream_usage": upstream.stream_usage,
    })
}

pub(super) fn mode(mode: Serving) -> &'static str {
    match mode {
        Serving::Direct => "direct",
        Serving::Aggregator => "aggregator",
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
