//! A readable summary of a configuration, for `sealgate check`.

use std::fmt::{self, Write};

use attest_core::retention::Authority;
use attest_core::{RootOrigin, Serving, Sha256Digest};

use super::identity::{Condition, Grant, Issuer, KeySource};
use super::{
    Config, EventLogChoice, Gpus, Model, ReceiptSigning, TeeKind, show_duration, show_size,
};

impl Config {
    /// A page an operator can read before serving.
    pub fn explain(&self) -> String {
        let mut page = String::new();
        self.write_page(&mut page)
            .expect("writing to a String does not fail");
        page
    }

    fn write_page(&self, out: &mut String) -> fmt::Result {
        let server = &self.server;
        writeln!(
            out,
            "{} is good. It would be served like this:",
            self.file.display()
        )?;
        writeln!(out)?;
        writeln!(
            out,
            "listen      https://{} as {}",
            server.listen,
            server.names.join(", ")
        )?;
        writeln!(out, "mode        {}", self.describe_mode())?;
        writeln!(out, "evidence    {}", self.describe_tee())?;
        writeln!(
            out,
            "epochs      a new one at least every {}; old connections get {} to finish",
            show_duration(server.epoch_lifetime),
            show_duration(server.drain_timeout)
        )?;
        writeln!(out, "retention   {}", self.describe_retention())?;
        writeln!(
            out,
            "receipts    kept for {}, signed {}",
            show_duration(self.receipts.keep),
            match self.receipts.sign {
                ReceiptSigning::Eager => "at the end of each request",
                ReceiptSigning::OnFetch => "when they are fetched",
            }
        )?;
        writeln!(
            out,
            "config      {}",
            Sha256Digest::hash(self.document().as_bytes())
        )?;
        writeln!(out, "state       {}", server.state_dir.display())?;
        if let Some(address) = self.admin.listen {
            writeln!(out, "admin       https://{address}/")?;
        }
        if let Some(address) = self.health.listen {
            writeln!(out, "health      http://{address}/readyz")?;
        }
        if let Some(address) = self.metrics.listen {
            writeln!(out, "metrics     http://{address}/metrics")?;
        }
        writeln!(
            out,
            "limits      {} requests in flight, {} for one key",
            self.limits.max_concurrent, self.limits.max_concurrent_per_key
        )?;
        writeln!(
            out,
            "            body {}, all bodies held together {}, head {} and {} fields",
            show_size(self.limits.max_body),
            show_size(self.limits.max_body_total),
            show_size(self.limits.max_header as u64),
            self.limits.max_header_fields
        )?;
        writeln!(
            out,
            "            {} connections, and {} that have not authenticated a request",
            self.limits.max_connections, self.limits.max_unauthenticated
        )?;
        let timeouts = &self.timeouts;
        writeln!(
            out,
            "timeouts    upstream: connect {}, report {}, first byte {}, silence {}",
            show_duration(timeouts.connect),
            show_duration(timeouts.report),
            show_duration(timeouts.first_byte),
            show_duration(timeouts.idle)
        )?;
        writeln!(
            out,
            "            client: head {}, body {}, reading its answer {}",
            show_duration(timeouts.client_header),
            show_duration(timeouts.client_body),
            show_duration(timeouts.client_write)
        )?;
        writeln!(
            out,
            "keys        requests under way when their key is revoked: {}",
            self.keys.on_revoke.as_str()
        )?;
        if let Some(table) = &self.prices.table {
            writeln!(
                out,
                "prices      {} in {}, {} ({})",
                table.prices().count(),
                table.currency,
                table.file.display(),
                table.digest
            )?;
        }
        if let Some(named) = &self.authorization.policy {
            writeln!(
                out,
                "authorized  by {} ({})",
                named.file.display(),
                named.digest
            )?;
        }
        for issuer in &self.identity.issuers {
            write_issuer(out, issuer)?;
        }
        for trust in self.attestation.values() {
            writeln!(out)?;
            writeln!(out, "attestation {}", trust.name)?;
            writeln!(
                out,
                "  policy    {} ({})",
                trust.trust.policy.name(),
                trust.policy_file.display()
            )?;
            match (trust.trust.roots.origin(), &trust.roots_dir) {
                (RootOrigin::Vendor, _) => writeln!(out, "  roots     the vendors' own")?,
                (RootOrigin::Supplied, dir) => {
                    let dir = dir
                        .as_deref()
                        .map(|d| d.display().to_string())
                        .unwrap_or_default();
                    writeln!(
                        out,
                        "  roots     SUPPLIED from {dir}: what is accepted under them no vendor vouches for"
                    )?;
                }
            }
        }
        for model in &self.models {
            write_model(out, model, server.mode)?;
        }
        Ok(())
    }

    fn describe_retention(&self) -> String {
        let begins = match &self.retention.policy {
            Some(named) => format!(
                "{} at most, {} ({})",
                named.policy.most(),
                named.file.display(),
                named.policy.digest()
            ),
            None => {
                let built_in = super::built_in();
                format!(
                    "{} at most, built in ({})",
                    built_in.most(),
                    built_in.digest()
                )
            }
        };
        let changes = match &self.retention.authority {
            Authority::NoKeys => "no policy keys: it cannot be changed".to_owned(),
            Authority::Keys(keys) => format!(
                "a change takes the signatures of {} of {} policy keys",
                keys.threshold(),
                keys.to_hex().len()
            ),
        };
        format!("{begins}, unless the history in the state directory says otherwise; {changes}")
    }

    fn describe_mode(&self) -> &'static str {
        match self.server.mode {
            Serving::Direct => "direct: the engine runs in this enclave",
            Serving::Aggregator => "aggregator: requests are forwarded to upstreams",
        }
    }

    fn describe_tee(&self) -> String {
        let cpu = match self.tee.kind {
            TeeKind::Tdx => "Intel TDX",
            TeeKind::Snp => "AMD SEV-SNP",
            TeeKind::None => {
                return "none: no report is published and no model can be confidential".to_owned();
            }
        };
        let gpus = match self.tee.gpus {
            Gpus::None => ", no GPUs".to_owned(),
            Gpus::Nvidia { count: None } => ", every NVIDIA GPU".to_owned(),
            Gpus::Nvidia { count: Some(count) } => format!(", {count} NVIDIA GPUs"),
        };
        let log = match &self.tee.event_log {
            EventLogChoice::None => String::new(),
            EventLogChoice::Firmware { required: true } => ", the firmware's event log".to_owned(),
            EventLogChoice::Firmware { required: false } => {
                ", the firmware's event log if there is one".to_owned()
            }
            EventLogChoice::File(path) => format!(", the event log {}", path.display()),
        };
        format!("{cpu}{gpus}{log}")
    }
}

fn write_issuer(out: &mut String, issuer: &Issuer) -> fmt::Result {
    writeln!(out)?;
    writeln!(
        out,
        "identity    {}, for {}",
        issuer.name,
        issuer.purpose.as_str()
    )?;
    writeln!(out, "  issuer    {}", issuer.issuer)?;
    writeln!(out, "  audience  {}", issuer.audiences.join(" or "))?;
    let (from, url) = match &issuer.keys {
        KeySource::Discovery(url) => ("as named by", url),
        KeySource::KeySet(url) => ("from", url),
    };
    let algorithms: Vec<&str> = issuer.algorithms.iter().map(|one| one.as_str()).collect();
    writeln!(
        out,
        "  keys      {from} {url}, used for {} at most while no newer can be fetched",
        show_duration(issuer.max_stale)
    )?;
    writeln!(out, "            {}", algorithms.join(", "))?;
    if let Some(pinned) = &issuer.authorities {
        writeln!(
            out,
            "            over TLS with {} alone",
            pinned.file.display()
        )?;
    }
    for rule in &issuer.rules {
        let condition = match &rule.condition {
            Condition::Always => "every token".to_owned(),
            Condition::Claim { path, values } => {
                format!("{} is {}", path.join(" / "), values.join(" or "))
            }
        };
        let grant = match &rule.grant {
            Grant::Tenant(name) => format!("tenant {name}"),
            Grant::TenantOf(_) => "the tenant of that name".to_owned(),
            Grant::Role(role) => format!("role {role}"),
        };
        let roles: Vec<&str> = rule.roles.iter().map(|role| role.as_str()).collect();
        let roles = match roles[..] {
            [] => String::new(),
            _ => format!(", roles {}", roles.join(", ")),
        };
        writeln!(out, "  rule      {condition}: {grant}{roles}")?;
    }
    Ok(())
}

fn write_model(out: &mut String, model: &Model, mode: Serving) -> fmt::Result {
    writeln!(out)?;
    write!(out, "model       {}", model.id)?;
    if !model.aliases.is_empty() {
        write!(
            out,
            " (also {})",
            model
                .aliases
                .iter()
                .map(|a| a.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        )?;
    }
    writeln!(out)?;
    match (&model.attestation, model.confidential) {
        (Some(trust), _) => {
            writeln!(
                out,
                "  trust     confidential: only upstreams accepted under [attestation.{}]",
                trust.name
            )?;
        }
        (None, true) => writeln!(out, "  trust     confidential: served inside this enclave")?,
        (None, false) if mode == Serving::Direct => writeln!(out, "  trust     not confidential")?,
        (None, false) => writeln!(
            out,
            "  trust     NOT confidential: upstreams are not verified"
        )?,
    }
    for (index, upstream) in model.upstreams.iter().enumerate() {
        write!(out, "  {}. {}  {}", index + 1, upstream.name, upstream.url)?;
        if let Some(name) = &upstream.model {
            write!(out, "  as {name}")?;
        }
        if let Some(key) = &upstream.api_key {
            write!(out, "  key from {}", key.file.display())?;
        }
        if let Some(region) = &upstream.region {
            write!(out, "  in {region}")?;
        }
        if upstream.cache_salt {
            write!(out, "  cache salted for each tenant")?;
        }
        if !upstream.stream_usage {
            write!(out, "  usage of streams not asked for")?;
        }
        writeln!(out)?;
    }
    Ok(())
}
