//! `[server]`, `[limits]`, `[timeouts]`, `[receipts]`, `[ledger]`, `[metrics]`, `[admin]`, `[telemetry]`, `[log]`.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use attest_core::Serving;

use super::resolve;
use crate::config::problem::Problems;
use crate::config::read::{At, Section};
use crate::config::{
    AdminListener, BaseUrl, ClientCacheSalt, Format, HealthListener, Keys, LedgerBounds, Level,
    Limits, Log, MetricsListener, OnRevoke, ReceiptSigning, Receipts, Scheme, Server, Telemetry,
    Timeouts, show_size,
};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const DAY: u64 = 86_400;

pub(super) fn server(mut section: Section<'_>, base: &Path, problems: &Problems) -> Option<Server> {
    let present = section.has("listen");
    let listen = section.parsed("listen", address);
    let listen = section.required("listen", listen, present);
    let names = names(&mut section);
    let bind_domain = section.boolean("bind_domain").filter(|at| at.value);
    let present = section.has("state_dir");
    let state_dir = section.parsed("state_dir", |text| non_empty_path(base, text));
    let state_dir = section.required("state_dir", state_dir, present);
    let present = section.has("mode");
    let mode = section.choice(
        "mode",
        &[
            ("aggregator", Serving::Aggregator),
            ("direct", Serving::Direct),
        ],
    );
    let mode = section.required("mode", mode, present);
    let epoch_lifetime = section.duration("epoch_lifetime", secs(DAY), (secs(1), secs(400 * DAY)));
    let drain_timeout = section.duration("drain_timeout", secs(60), (secs(0), secs(3600)));
    if let (Some(at), Some(names)) = (&bind_domain, &names)
        && (names.len() != 1 || names.iter().any(|name| name.parse::<IpAddr>().is_ok()))
    {
        problems.add(
            Some(&at.span),
            at.key.clone(),
            "needs server.names to be exactly one DNS name",
        );
    }
    section.finish();
    Some(Server {
        listen: listen?.value,
        names: names?,
        bind_domain: bind_domain.is_some(),
        state_dir: state_dir?.value,
        mode: mode?.value,
        epoch_lifetime,
        drain_timeout,
    })
}

fn names(section: &mut Section<'_>) -> Option<Vec<String>> {
    let present = section.has("names");
    let names = section.strings("names");
    let names = section.required("names", names, present)?;
    if names.is_empty() {
        let span = section.span().clone();
        section.problem(
            &span,
            "names",
            "must list at least one DNS name or IP address",
        );
    }
    for (index, At { value, span, .. }) in names.iter().enumerate() {
        let place = format!("names[{}]", index + 1);
        if !is_dns_name(value) && value.parse::<IpAddr>().is_err() {
            section.problem(
                span,
                &place,
                format!("{value:?} is neither a DNS name nor an IP address"),
            );
        }
        if names[..index].iter().any(|earlier| earlier.value == *value) {
            section.problem(span, &place, format!("{value:?} is listed twice"));
        }
    }
    Some(names.into_iter().map(|at| at.value).collect())
}

pub(super) fn limits(mut section: Section<'_>) -> Limits {
    let total = section.place_of("max_body_total");
    let max_body = section.size("max_body", 32 << 20, (1 << 10, 1 << 30));
    let limits = Limits {
        max_body,
        max_body_total: section.size(
            "max_body_total",
            max_body.max(512 << 20),
            (1 << 10, 1 << 40),
        ),
        max_header: section.size("max_header", 16 << 10, (1 << 10, 64 << 10)) as usize,
        max_header_fields: section.count("max_header_fields", 100, (16, 1000)),
        max_connections: section.count("max_connections", 4096, (1, 1_000_000)),
        max_unauthenticated: section.count("max_unauthenticated", 1024, (1, 1_000_000)),
        max_concurrent: section.count("max_concurrent", 1024, (1, 1_000_000)),
        max_concurrent_per_key: section.count("max_concurrent_per_key", 256, (1, 1_000_000)),
        attest_queue: section.count("attest_queue", 256, (1, 10_000)),
        attest_queue_per_address: section.count("attest_queue_per_address", 32, (1, 10_000)),
        client_cache_salt: section
            .choice("client_cache_salt", &ClientCacheSalt::CHOICES)
            .map_or_else(ClientCacheSalt::default, |at| at.value),
    };
    if limits.max_body_total < limits.max_body {
        section.problem(
            &total,
            "max_body_total",
            format!(
                "is {}; must be at least limits.max_body, {}",
                show_size(limits.max_body_total),
                show_size(limits.max_body)
            ),
        );
    }
    section.finish();
    limits
}

pub(super) fn timeouts(mut section: Section<'_>) -> Timeouts {
    let (hour, day) = (secs(3600), secs(DAY));
    let short = Duration::from_millis(10);
    let timeouts = Timeouts {
        connect: section.duration("connect", secs(5), (short, hour)),
        report: section.duration("report", secs(30), (short, hour)),
        first_byte: section.duration("first_byte", secs(600), (short, day)),
        idle: section.duration("idle", secs(300), (short, day)),
        stream_comment: section.duration("stream_comment", secs(15), (secs(0), hour)),
        client_header: section.duration("client_header", secs(30), (short, hour)),
        client_body: section.duration("client_body", secs(30), (short, hour)),
        client_write: section.duration("client_write", secs(60), (short, hour)),
        pool_idle: section.duration("pool_idle", secs(4), (short, hour)),
    };
    section.finish();
    timeouts
}

pub(super) fn receipts(mut section: Section<'_>) -> Receipts {
    let keep = section.duration("keep", secs(30 * DAY), (secs(1), secs(3660 * DAY)));
    let sign = section.choice("sign", &ReceiptSigning::CHOICES);
    section.finish();
    Receipts {
        keep,
        sign: sign.map_or_else(ReceiptSigning::default, |at| at.value),
    }
}

pub(super) fn ledger(mut section: Section<'_>) -> LedgerBounds {
    let default = LedgerBounds::default();
    let bounds = LedgerBounds {
        max_waiting_rows: section.count(
            "max_waiting_rows",
            default.max_waiting_rows,
            (1, 100_000_000),
        ),
        unready_after: section.duration(
            "unready_after",
            default.unready_after,
            (secs(0), secs(DAY)),
        ),
        stop_timeout: section.duration("stop_timeout", default.stop_timeout, (secs(0), secs(3600))),
    };
    section.finish();
    bounds
}

pub(super) fn keys(mut section: Section<'_>) -> Keys {
    let on_revoke = section.choice("on_revoke", &OnRevoke::CHOICES);
    section.finish();
    Keys {
        on_revoke: on_revoke.map_or_else(OnRevoke::default, |at| at.value),
    }
}

pub(super) fn health(mut section: Section<'_>) -> HealthListener {
    let listen = section.parsed("listen", address);
    section.finish();
    HealthListener {
        listen: listen.map(|at| at.value),
    }
}

pub(super) fn metrics(mut section: Section<'_>) -> MetricsListener {
    let listen = section.parsed("listen", |text| {
        let address = address(text)?;
        if address.ip().is_loopback() {
            Ok(address)
        } else {
            Err(format!(
                "is {address}; metrics are served without TLS and therefore on loopback only"
            ))
        }
    });
    section.finish();
    MetricsListener {
        listen: listen.map(|at| at.value),
    }
}

pub(super) fn admin(mut section: Section<'_>) -> AdminListener {
    let listen = section.parsed("listen", address);
    section.finish();
    AdminListener {
        listen: listen.map(|at| at.value),
    }
}

pub(super) fn telemetry(mut section: Section<'_>) -> Telemetry {
    let otlp = section.parsed("otlp", |text| {
        let url = BaseUrl::parse(text).map_err(|error| error.to_string())?;
        if url.scheme == Scheme::Https || url.is_loopback() {
            Ok(url)
        } else {
            Err(format!(
                "is {url}; without TLS telemetry goes to loopback only"
            ))
        }
    });
    let every = section.duration("every", secs(10), (secs(1), secs(3600)));
    section.finish();
    Telemetry {
        otlp: otlp.map(|at| at.value),
        every,
    }
}

const LEVELS: [(&str, Level); 5] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];

pub(super) fn log(mut section: Section<'_>) -> Log {
    let format = section.choice("format", &[("text", Format::Text), ("json", Format::Json)]);
    let level = section.choice("level", &LEVELS);
    section.finish();
    Log {
        format: format.map_or(Format::Text, |at| at.value),
        level: level.map_or(Level::Info, |at| at.value),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let port = text.rsplit(':').next().unwrap_or(text);
        let host = text.strip_suffix(port).unwrap_or_default();
        let wanted = "must be an IP address and port";
        match (port.parse::<u16>(), host) {
            (Ok(port), "" | ":" | "*:") => format!(
                "is {text:?}; {wanted}: \"0.0.0.0:{port}\" for all addresses of this machine, \"127.0.0.1:{port}\" for this machine alone"
            ),
            (Ok(port), "localhost:") => {
                format!("is {text:?}; {wanted}, such as \"127.0.0.1:{port}\": names are not resolved here")
            }
            _ => format!("is {text:?}; {wanted}, such as \"127.0.0.1:8443\""),
        }
    })
}

pub(super) fn non_empty_path(base: &Path, text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() {
        Err("must not be empty")
    } else {
        Ok(resolve(base, text))
    }
}

fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253
        && text.split('.').all(label)
        && !text
            .split('.')
            .next_back()
            .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
}
