//! What a decision of an authorization policy costs: `make bench-authz`. A separate package with few dependencies, so
//! that it is built in a minute.

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use attest_core::UnixTime;
use attest_core::retention::RetentionMode;
use gateway_authorization::{Authorization, Candidate, Class, Policy, Request, ServedModel};
use gateway_base::request::{Endpoint, Name};

/// The most that a decision may cost.
const ALLOWED: Duration = Duration::from_micros(1);
const TEAMS: usize = 8;
const FAMILIES: usize = 5;
const DENYING: usize = 10;
/// Turns, of which the best counts: what else the machine does makes the others longer.
const TURNS: usize = 1000;
/// As many as there are requests, a few times: shorter than the machine leaves a program alone.
const DECISIONS: u32 = 2_160;

fn main() -> Result<()> {
    let policy = Policy::parse(&policy_text()?)?;
    let authorization = Authorization::new(&policy, &models()?);
    let requests = requests()?;
    let allowed = requests
        .iter()
        .filter(|request| decide(&authorization, request));
    let allowed = allowed.count();
    ensure!(
        allowed > 0 && allowed < requests.len(),
        "both kinds of decisions are measured"
    );
    let best = (0..TURNS)
        .map(|_| turn(&authorization, &requests))
        .min()
        .unwrap_or_default();
    println!(
        "{} rules; {} requests, {allowed} allowed",
        policy.rules.len(),
        requests.len()
    );
    println!("{:.3} µs a decision", best.as_nanos() as f64 / 1000.0);
    ensure!(best <= ALLOWED, "more than {ALLOWED:?} a decision");
    Ok(())
}

/// The time of one decision, over all requests in turn.
fn turn(authorization: &Authorization, requests: &[OwnedRequest]) -> Duration {
    let began = Instant::now();
    for request in requests.iter().cycle().take(DECISIONS as usize) {
        black_box(decide(authorization, black_box(request)));
    }
    began.elapsed() / DECISIONS
}

/// The decision, and which of two candidates may serve, as for a request on its way.
fn decide(authorization: &Authorization, request: &OwnedRequest) -> bool {
    let decision = authorization.decide(&request.borrowed(), |_| true);
    decision.is_ok_and(|permit| {
        (0..2).any(|place| {
            let served = authorization.may_serve(&permit, place);
            served.is_ok()
        })
    })
}

/// 40 rules that allow a team some models, and 10 that deny by region, class, retention or time.
fn policy_text() -> Result<String> {
    let mut text = "name = \"bench\"\nversion = 1\n".to_owned();
    for team in 0..TEAMS {
        for family in 0..FAMILIES {
            write!(
                text,
                "[[rule]]\ncode = \"team{team}-family{family}\"\neffect = \"allow\"\n\
                 tenants = [\"team-{team}\"]\nroles = [\"engineer\"]\nmodels = [\"family-{family}-*\"]\n\
                 endpoints = [\"chat\", \"completions\"]\n"
            )?;
        }
    }
    for number in 0..DENYING {
        let condition = match number % 4 {
            0 => "regions = [\"us-east\"]\nretention = [\"content\"]",
            1 => "classes = [\"unverified\"]",
            2 => "hours = \"22:00-06:00\"\ndays = [\"sat\", \"sun\"]\noffset = \"+01:00\"",
            _ => "keys = [\"0011223344ff\"]",
        };
        write!(
            text,
            "[[rule]]\ncode = \"deny{number}\"\neffect = \"deny\"\n{condition}\n"
        )?;
    }
    Ok(text)
}

fn models() -> Result<Vec<ServedModel>> {
    let models = (0..FAMILIES).flat_map(|family| ["7b", "70b"].map(|size| (family, size)));
    models
        .map(|(family, size)| {
            let candidate = |class, region: &str| -> Result<Candidate> {
                Ok(Candidate {
                    class,
                    region: Some(Name::from_operator(region)?),
                })
            };
            Ok(ServedModel {
                names: vec![
                    Name::from_operator(&format!("family-{family}-{size}"))?,
                    Name::from_operator(&format!("alias-{family}-{size}"))?,
                ],
                candidates: vec![
                    candidate(Class::Verified, "eu-west")?,
                    candidate(Class::Unverified, "us-east")?,
                ],
            })
        })
        .collect()
}

struct OwnedRequest {
    tenant: Name,
    key: String,
    roles: Vec<Name>,
    model: Name,
    endpoint: Endpoint,
    at: UnixTime,
}

impl OwnedRequest {
    fn borrowed(&self) -> Request<'_> {
        Request {
            organisation: None,
            tenant: &self.tenant,
            user: None,
            key: &self.key,
            roles: &self.roles,
            model: &self.model,
            endpoint: self.endpoint,
            retention: RetentionMode::Metadata,
            at: self.at,
        }
    }
}

/// One for each team and model, and for each endpoint.
fn requests() -> Result<Vec<OwnedRequest>> {
    let mut requests = Vec::new();
    for team in 0..TEAMS + 1 {
        for model in models()? {
            for endpoint in Endpoint::ALL {
                let number = requests.len();
                requests.push(OwnedRequest {
                    tenant: Name::from_operator(&format!("team-{team}"))?,
                    key: format!("{number:012x}"),
                    roles: vec![Name::from_operator("engineer")?],
                    model: model.names[0].clone(),
                    endpoint,
                    at: UnixTime::from_secs(1_790_000_000 + 3600 * number as u64),
                });
            }
        }
    }
    Ok(requests)
}
