//! `[[identity.issuers]]` and `[[identity.issuers.rules]]`.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::Url;

use super::{MAX_FILE, read_bytes, resolve};
use crate::config::AdminListener;
use crate::config::identity::{
    Condition, Grant, Identity, Issuer, KeySource, PinnedAuthorities, Purpose, Rule,
};
use crate::config::problem::Problems;
use crate::config::read::{At, Section};
use crate::request::{Name, Role};
use attest_core::Sha256Digest;
use jwt::Algorithm;

/// More than any token names.
const MAX_TEXT: usize = 512;
const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn read(
    mut section: Section<'_>,
    base: &Path,
    admin: &AdminListener,
    problems: &Problems,
) -> Identity {
    let mut issuers: Vec<Issuer> = Vec::new();
    for inner in section.sections("issuers") {
        let (span, key) = (inner.span().clone(), inner.key(""));
        let Some(issuer) = issuer(inner, base) else {
            continue;
        };
        if let Some(reason) = conflict(&issuers, &issuer, admin.listen.is_some()) {
            problems.add(Some(&span), key, reason);
        }
        issuers.push(issuer);
    }
    section.finish();
    Identity { issuers }
}

/// Why an issuer cannot stand beside the earlier ones.
fn conflict(earlier: &[Issuer], issuer: &Issuer, admin_listener: bool) -> Option<String> {
    if issuer.purpose == Purpose::Administrators && !admin_listener {
        return Some("is for administrators, and admin.listen is not configured".to_owned());
    }
    for other in earlier {
        if other.name == issuer.name {
            return Some(format!("the name {} is used twice", issuer.name));
        }
        if other.issuer != issuer.issuer {
            continue;
        }
        if other.purpose == issuer.purpose {
            return Some(format!(
                "{} is an issuer for {} already",
                other.name,
                issuer.purpose.as_str()
            ));
        }
        // Otherwise a caller's token would be a valid token of an administrator.
        if other
            .audiences
            .iter()
            .any(|one| issuer.audiences.contains(one))
        {
            return Some(format!(
                "shares an audience with {}: tokens of callers and of administrators need different audiences",
                other.name
            ));
        }
    }
    None
}

fn issuer(mut section: Section<'_>, base: &Path) -> Option<Issuer> {
    let present = section.has("name");
    let name = section.parsed("name", Name::from_operator);
    let name = section.required("name", name, present);
    let present = section.has("issuer");
    let issuer = section.parsed("issuer", |text| {
        issuer_url(text).map(|url| (text.to_owned(), url))
    });
    let issuer = section.required("issuer", issuer, present);
    let present = section.has("for");
    let purpose = section.choice("for", &Purpose::CHOICES);
    let purpose = section.required("for", purpose, present);
    let audiences = audiences(&mut section);
    let jwks_given = section.has("jwks_uri");
    let jwks_uri = section.parsed("jwks_uri", provider_url);
    let algorithms = algorithms(&mut section);
    let clock_skew = section.duration(
        "clock_skew",
        Duration::from_secs(30),
        (Duration::ZERO, Duration::from_secs(300)),
    );
    let max_stale = section.duration("max_stale", 24 * HOUR, (HOUR / 12, 168 * HOUR));
    let ca_given = section.has("ca_file");
    let authorities = section.parsed("ca_file", |text| pinned(base, text));
    let rules = rules(&mut section, purpose.as_ref().map(|at| at.value));
    section.finish();
    if (jwks_given && jwks_uri.is_none()) || (ca_given && authorities.is_none()) {
        return None;
    }
    let (issuer, discovery) = issuer?.value;
    Some(Issuer {
        name: name?.value,
        issuer,
        purpose: purpose?.value,
        audiences: audiences?,
        keys: jwks_uri.map_or(KeySource::Discovery(discovery), |at| {
            KeySource::KeySet(at.value)
        }),
        algorithms: algorithms?,
        clock_skew,
        max_stale,
        authorities: authorities.map(|at| at.value),
        rules: rules?,
    })
}

fn audiences(section: &mut Section<'_>) -> Option<Vec<String>> {
    let present = section.has("audiences");
    let given = section.strings("audiences");
    let given = section.required("audiences", given, present)?;
    texts(section, "audiences", given)
}

fn algorithms(section: &mut Section<'_>) -> Option<Vec<Algorithm>> {
    let place = section.place_of("algorithms");
    if !section.has("algorithms") {
        let _ = section.strings("algorithms");
        return Some(Algorithm::ALL.to_vec());
    }
    let given = section.strings("algorithms")?;
    if given.is_empty() {
        section.problem(&place, "algorithms", "must name at least one algorithm");
    }
    let mut algorithms = Vec::new();
    for (index, At { value, span, .. }) in given.iter().enumerate() {
        match Algorithm::parse(value) {
            Some(algorithm) => algorithms.push(algorithm),
            None => {
                let known = Algorithm::ALL.map(Algorithm::as_str).join(", ");
                let place = format!("algorithms[{}]", index + 1);
                section.problem(span, &place, format!("{value:?} is not one of {known}"));
            }
        }
    }
    Some(algorithms)
}

/// A list of texts to compare claims with: at least one, none empty or long.
fn texts(section: &Section<'_>, name: &str, given: Vec<At<String>>) -> Option<Vec<String>> {
    if given.is_empty() {
        section.problem(&section.place_of(name), name, "must not be an empty list");
        return None;
    }
    let mut texts = Vec::with_capacity(given.len());
    for (index, At { value, span, .. }) in given.into_iter().enumerate() {
        if let Err(reason) = text(&value) {
            section.problem(&span, &format!("{name}[{}]", index + 1), reason);
        }
        texts.push(value);
    }
    Some(texts)
}

fn text(value: &str) -> Result<String, &'static str> {
    match value.len() {
        0 => Err("must not be empty"),
        1..=MAX_TEXT => Ok(value.to_owned()),
        _ => Err("is longer than 512 bytes"),
    }
}

/// An `issuer`, which its tokens repeat byte by byte, and the address of its discovery document.
fn issuer_url(text: &str) -> Result<Url, String> {
    let url = provider_url(text)?;
    if url.query().is_some() {
        return Err("must not contain a query".to_owned());
    }
    let base = text.strip_suffix('/').unwrap_or(text);
    provider_url(&format!("{base}/.well-known/openid-configuration"))
}

/// An address of an identity provider: over TLS, or on this machine.
pub fn provider_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "is not a URL".to_owned())?;
    let loopback = url.host_str().is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    });
    if !url.has_host() || !url.username().is_empty() || url.password().is_some() {
        return Err("needs a host, and must not contain a user name or password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not contain a fragment".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        _ => Err(
            "must begin with https://; without TLS keys are fetched from loopback only".to_owned(),
        ),
    }
}

fn pinned(base: &Path, text: &str) -> Result<PinnedAuthorities, String> {
    let file = resolve(base, text);
    let pem = read_bytes(&file, MAX_FILE)?;
    let roots = tls_client::authorities_from_pem(&pem)
        .map_err(|error| format!("{} {error}", file.display()))?;
    Ok(PinnedAuthorities {
        digest: Sha256Digest::hash(&pem),
        file,
        roots,
    })
}

fn rules(section: &mut Section<'_>, purpose: Option<Purpose>) -> Option<Vec<Rule>> {
    let given = section.sections("rules");
    if given.is_empty() {
        let span = section.span().clone();
        section.problem(
            &span,
            "rules",
            "is missing: without an [[identity.issuers.rules]] no token would be accepted",
        );
        return None;
    }
    let last = given.len() - 1;
    let mut rules = Vec::with_capacity(given.len());
    for (index, inner) in given.into_iter().enumerate() {
        let span = inner.span().clone();
        let place = format!("rules[{}]", index + 1);
        let rule = rule(inner, purpose);
        if index < last
            && rule
                .as_ref()
                .is_some_and(|rule| rule.condition == Condition::Always)
        {
            let reason = "has no claim and matches every token, so it must be the last rule";
            section.problem(&span, &place, reason);
        }
        rules.push(rule);
    }
    rules.into_iter().collect()
}

fn rule(mut section: Section<'_>, purpose: Option<Purpose>) -> Option<Rule> {
    let span = section.span().clone();
    let claim = section.strings("claim");
    let equals = section.parsed("equals", text);
    let tenant = section.parsed("tenant", Name::from_operator);
    let tenant_one_of = names(&mut section, "tenant_one_of");
    let roles = names(&mut section, "roles").unwrap_or_default();
    let role = section.parsed("role", |text| {
        Role::parse(text).ok_or_else(|| {
            let known = Role::ALL.map(Role::as_str).join(", ");
            format!("is {text:?}; must be one of {known}")
        })
    });
    let path = match claim {
        Some(given) => Some(texts(&section, "claim", given)?),
        None => None,
    };
    let grants = usize::from(tenant.is_some())
        + usize::from(tenant_one_of.is_some())
        + usize::from(role.is_some());
    let wrong = match (purpose, role.is_some()) {
        (Some(Purpose::Callers), true) => {
            Some("role is for administrators; a rule for callers needs tenant or tenant_one_of")
        }
        (Some(Purpose::Administrators), false) => Some("a rule for administrators needs a role"),
        (Some(Purpose::Administrators), true) if !roles.is_empty() => {
            Some("roles are for callers; a rule for administrators grants one role")
        }
        _ if grants != 1 => Some("needs exactly one of tenant, tenant_one_of and role"),
        _ => match (&path, &equals, &tenant_one_of) {
            (Some(_), Some(_), None) | (Some(_), None, Some(_)) | (None, None, None) => None,
            (Some(_), None, None) => Some("has a claim and no value to compare it with: equals"),
            (_, Some(_), Some(_)) => Some("has both equals and tenant_one_of"),
            (None, _, _) => Some("compares a value and names no claim"),
        },
    };
    if let Some(reason) = wrong {
        section.problem(&span, "", reason);
    }
    section.finish();
    let values = match (&equals, &tenant_one_of) {
        (Some(at), _) => vec![at.value.clone()],
        (None, Some(names)) => names.iter().map(|name| name.to_string()).collect(),
        (None, None) => Vec::new(),
    };
    let condition = match path {
        Some(path) => Condition::Claim { path, values },
        None => Condition::Always,
    };
    let grant = match (tenant, tenant_one_of, role) {
        (Some(at), _, _) => Grant::Tenant(at.value),
        (None, Some(names), _) => Grant::TenantOf(names),
        (None, None, Some(at)) => Grant::Role(at.value),
        (None, None, None) => return None,
    };
    Some(Rule {
        condition,
        grant,
        roles: roles.into(),
    })
}

/// A list of names: at least one.
fn names(section: &mut Section<'_>, key: &'static str) -> Option<Vec<Name>> {
    let given = section.strings(key)?;
    let given = given.into_iter().enumerate();
    let names: Vec<Name> = given
        .filter_map(
            |(index, At { value, span, .. })| match Name::from_operator(&value) {
                Ok(name) => Some(name),
                Err(reason) => {
                    section.problem(&span, &format!("{key}[{}]", index + 1), reason.to_string());
                    None
                }
            },
        )
        .collect();
    if names.is_empty() {
        let place = section.place_of(key);
        section.problem(&place, key, "must have at least one name");
    }
    Some(names)
}
