//! What admission by rate limits costs: `make bench-limits`. A separate package with few dependencies, so that it is built
//! in a minute.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use gateway_base::quota::{Limit, Scope, WrittenLimit};
use gateway_base::request::{Caller, KeyId, Name};
use gateway_quota::limits::Limits;

/// The most that all of a request's calls may cost together.
const ALLOWED: Duration = Duration::from_micros(3);
/// Turns, of which the best counts: what else the machine does makes the others longer.
const TURNS: usize = 20;
const REQUESTS: u32 = 100_000;
/// Tokens of a request, estimated and in the end.
const ESTIMATED: u64 = 5000;
const USED: u64 = 700;
/// More than all turns use, so that nothing is refused.
const PLENTY: i64 = 1_000_000_000_000;

fn main() -> Result<()> {
    let caller = Caller {
        key_id: KeyId::from_bytes([7; 6]).to_string().into(),
        tenant: Name::from_operator("acme")?,
        organisation: None,
        user: None,
        key_digest: [0; 32],
    };
    let request = Request {
        scopes: Scope::of_caller(&caller),
        model: Name::from_operator("llama")?,
    };
    let limits = Limits::default();
    let begun = Instant::now();
    limits.replace(five(&caller)?, begun.elapsed());
    let mut best = Duration::MAX;
    for _ in 0..TURNS {
        best = best.min(turn(&limits, &request, begun)?);
    }
    let states = limits.states(begun.elapsed());
    ensure!(
        states.iter().all(
            |state| state.requests.into_iter().flatten().all(|count| count > 0)
                && state.concurrent == 0
                && state.refused == 0
        ),
        "every limit counted every request and has its places back: {states:?}"
    );
    println!("{} limits apply, each with windows", states.len());
    println!("{:.3} µs a request", best.as_nanos() as f64 / 1000.0);
    ensure!(best <= ALLOWED, "more than {ALLOWED:?} a request");
    Ok(())
}

struct Request {
    scopes: Vec<Scope>,
    model: Name,
}

/// Of the key, the tenant, all requests, and the model for the tenant and for all.
fn five(caller: &Caller) -> Result<Vec<(Name, Limit)>> {
    let key = format!("key:{}", caller.key_id);
    let tenant = format!("tenant:{}", caller.tenant);
    let definitions = [
        ("of-key", key.as_str(), None),
        ("of-tenant", tenant.as_str(), None),
        ("of-all", "total", None),
        ("of-model-and-tenant", tenant.as_str(), Some("llama")),
        ("of-model", "total", Some("llama")),
    ];
    let limit = |(id, scope, model): (&str, &str, Option<&str>)| {
        let written = WrittenLimit {
            scope: scope.to_owned(),
            model: model.map(str::to_owned),
            requests_per_minute: Some(PLENTY),
            requests_per_day: Some(PLENTY),
            tokens_per_minute: Some(PLENTY),
            concurrent: Some(PLENTY),
            ..WrittenLimit::default()
        };
        Ok((Name::from_operator(id)?, written.read()?))
    };
    definitions.into_iter().map(limit).collect()
}

/// The time of one request, from its head to its end.
fn turn(limits: &Limits, request: &Request, begun: Instant) -> Result<Duration> {
    let began = Instant::now();
    for _ in 0..REQUESTS {
        let share = limits.enter(black_box(&request.scopes), begun.elapsed());
        let Ok(Some(mut share)) = share else {
            anyhow::bail!("a request was not admitted, or no limit applied to it");
        };
        let reserved = share.reserve(&request.model, ESTIMATED, begun.elapsed());
        ensure!(reserved.is_ok(), "a request found no tokens");
        black_box(share.state(begun.elapsed()));
        share.settle(USED, begun.elapsed());
    }
    Ok(began.elapsed() / REQUESTS)
}
