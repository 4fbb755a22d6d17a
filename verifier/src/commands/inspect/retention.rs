//! A retention policy as services publish it, rule by rule. In format 2 it has commitments in place of the names of
//! tenants and recipients; the holder of a name's opening sees which commitment is that name's.

use clap::Args;
use serde_json::{Value, json};

use super::Decoded;
use crate::failure::Failure;
use attest_core::parse_hex;
use attest_core::retention::{NameKind, NameOpening, PublishedName, PublishedPolicy, Terms};

#[derive(Debug, Args)]
pub struct OpeningArgs {
    /// For a retention policy: the name of a tenant whose commitment --tenant-salt opens
    #[arg(long, value_name = "NAME", requires = "tenant_salt")]
    pub tenant: Option<String>,
    /// The salt of that name, as `retention-opening` prints it
    #[arg(long, value_name = "HEX", requires = "tenant")]
    pub tenant_salt: Option<String>,
    /// For a retention policy: a recipient of sealed records whose commitment --recipient-salt opens
    #[arg(long, value_name = "NAME", requires = "recipient_salt")]
    pub recipient: Option<String>,
    /// The salt of that recipient
    #[arg(long, value_name = "HEX", requires = "recipient")]
    pub recipient_salt: Option<String>,
}

impl OpeningArgs {
    pub fn are_given(&self) -> bool {
        self.tenant.is_some() || self.recipient.is_some()
    }

    fn openings(&self) -> Result<Vec<NameOpening>, Failure> {
        let given = [
            (NameKind::Tenant, &self.tenant, &self.tenant_salt),
            (NameKind::Recipient, &self.recipient, &self.recipient_salt),
        ];
        let pairs = given
            .into_iter()
            .filter_map(|(kind, name, salt)| Some((kind, name.clone()?, salt.as_deref()?)));
        let openings = pairs.map(|(kind, name, salt)| {
            let salt =
                parse_hex(salt).map_err(|e| Failure::Usage(format!("{}: {e}", salt_flag(kind))))?;
            Ok(NameOpening { kind, name, salt })
        });
        openings.collect()
    }
}

const fn salt_flag(kind: NameKind) -> &'static str {
    match kind {
        NameKind::Tenant => "--tenant-salt",
        NameKind::Recipient => "--recipient-salt",
    }
}

pub const KIND: &str = "retention policy, published form";

/// Whether a JSON document claims to be a retention policy.
pub fn is_policy(content: &Value) -> bool {
    let format = content.get("format").and_then(Value::as_str);
    format.is_some_and(|format| format.starts_with("sealgate/retention/"))
}

pub fn decode(text: &str, name: &str, args: &OpeningArgs) -> Result<Decoded, Failure> {
    let policy = PublishedPolicy::parse(text).map_err(|e| Failure::malformed(name, e))?;
    let openings = args.openings()?;
    for opening in &openings {
        if !committed(&policy, opening) {
            let flag = salt_flag(opening.kind);
            let cause = format!(
                "{flag} opens no commitment of this policy to {:?}",
                opening.name
            );
            return Err(Failure::malformed(name, cause));
        }
    }
    let rules = policy.rules().iter().map(|rule| {
        let mut value = terms(&rule.terms, &openings);
        let tenants = rule.tenants.as_deref();
        value["tenants"] = tenants.map_or(Value::Null, |tenants| {
            names(tenants, NameKind::Tenant, &openings)
        });
        value["models"] = json!(rule.models);
        value
    });
    let content = json!({
        "format": policy.format().as_str(),
        "epoch": policy.epoch(),
        "predecessor": policy.predecessor().map(|digest| digest.to_string()),
        "description": policy.description(),
        "default": terms(policy.default_terms(), &openings),
        "rule": rules.collect::<Vec<_>>(),
    });
    Ok(Decoded {
        kind: KIND,
        derived: derived(&policy, &openings),
        content,
    })
}

fn derived(policy: &PublishedPolicy, openings: &[NameOpening]) -> Value {
    let mut derived = json!({
        "digest": policy.digest().to_string(),
        "most_kept": policy.most().as_str(),
    });
    for opening in openings.iter().filter(|it| it.kind == NameKind::Tenant) {
        let tenant = PublishedName::Commitment(opening.commitment());
        derived["most_kept_of_tenant"] = policy.most_for(&tenant, None).as_str().into();
    }
    derived
}

fn committed(policy: &PublishedPolicy, opening: &NameOpening) -> bool {
    let commitment = PublishedName::Commitment(opening.commitment());
    let mut rules = policy.rules().iter();
    rules.any(|rule| match opening.kind {
        NameKind::Tenant => rule.tenants.iter().flatten().any(|it| *it == commitment),
        NameKind::Recipient => rule.terms.recipients().contains(&commitment),
    })
}

fn terms(terms: &Terms<PublishedName>, openings: &[NameOpening]) -> Value {
    let mut value = json!({ "mode": terms.mode().as_str() });
    if let Some(kept) = terms.kept() {
        let fields: Vec<_> = kept.fields.iter().map(|field| field.as_str()).collect();
        value["ttl_seconds"] = kept.ttl.as_secs().into();
        value["fields"] = json!(fields);
        value["on_failure"] = kept.on_failure.as_str().into();
    }
    if let Terms::Content {
        recipients,
        deletion,
        ..
    } = terms
    {
        value["recipients"] = names(recipients, NameKind::Recipient, openings);
        value["deletion"] = deletion.as_str().into();
    }
    value
}

/// Each name, or its commitment with the name that an opening shows it to be.
fn names(names: &[PublishedName], kind: NameKind, openings: &[NameOpening]) -> Value {
    let rendered = names.iter().map(|name| match name {
        PublishedName::Plain(name) => json!({ "name": name }),
        PublishedName::Commitment(commitment) => {
            let mut opened = openings
                .iter()
                .filter(|it| it.kind == kind && it.commitment() == *commitment);
            let mut value = json!({ "commitment": commitment.digest().to_string() });
            if let Some(opening) = opened.next() {
                value["name"] = opening.name.as_str().into();
            }
            value
        }
    });
    rendered.collect()
}
