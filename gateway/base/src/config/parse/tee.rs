//! Parses `[tee]`: the hardware that the service runs on.

use std::path::Path;

use attest_fetch::RimFolder;

use super::resolve;
use super::server::non_empty_path;
use crate::config::read::{At, Section};
use crate::config::{BaseUrl, CollateralSettings, EventLogChoice, Gpus, Tee, TeeKind};

/// As many devices as a report carries.
const MAX_GPUS: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Log {
    Auto,
    Required,
    None,
}

pub(super) fn read(mut section: Section<'_>, base: &Path) -> Tee {
    let present = section.has("kind");
    let kind = section.choice(
        "kind",
        &[
            ("tdx", TeeKind::Tdx),
            ("snp", TeeKind::Snp),
            ("none", TeeKind::None),
        ],
    );
    let kind = section
        .required("kind", kind, present)
        .map_or(TeeKind::None, |at| at.value);
    let tsm_path = section
        .parsed("tsm_path", |text| non_empty_path(base, text))
        .map(|at| at.value);
    let gpus = gpus(&mut section, kind);
    let event_log = event_log(&mut section, base, kind);
    let collateral = collateral(&mut section, base, gpus);
    section.finish();
    Tee {
        kind,
        tsm_path,
        gpus,
        event_log,
        collateral,
    }
}

fn gpus(section: &mut Section<'_>, kind: TeeKind) -> Gpus {
    let nvidia = section.choice("gpus", &[("none", false), ("nvidia", true)]);
    let wanted = nvidia.as_ref().is_some_and(|at| at.value);
    if let (Some(at), true, TeeKind::None) = (&nvidia, wanted, kind) {
        section.problem(
            &at.span,
            "gpus",
            "is \"nvidia\"; evidence of GPUs is published beside a CPU's: kind must be \"tdx\" or \"snp\"",
        );
    }
    let counted = section.has("gpu_count");
    let count = section.count("gpu_count", 1, (1, MAX_GPUS));
    if counted && !wanted {
        let span = section.place_of("gpu_count");
        section.problem(&span, "gpu_count", "is for gpus = \"nvidia\"");
    }
    match wanted {
        true => Gpus::Nvidia {
            count: counted
                .then_some(count)
                .and_then(|count| count.try_into().ok()),
        },
        false => Gpus::None,
    }
}

fn event_log(section: &mut Section<'_>, base: &Path, kind: TeeKind) -> EventLogChoice {
    let choice = section.choice(
        "event_log",
        &[
            ("auto", Log::Auto),
            ("required", Log::Required),
            ("none", Log::None),
        ],
    );
    let path = section.parsed("event_log_path", |text| non_empty_path(base, text));
    let asked = |at: &At<Log>| at.value == Log::Required;
    let span = path.as_ref().map(|at| at.span.clone());
    if let Some(span) = span.or(choice.clone().filter(asked).map(|at| at.span))
        && kind != TeeKind::Tdx
    {
        let reason = "an event log accounts for a TD's registers; it is for kind = \"tdx\"";
        section.problem(&span, "event_log", reason);
    }
    let choice = choice.map(|at| (at.value, at.span));
    match (choice, path, kind) {
        (Some((Log::None, span)), Some(_), _) => {
            section.problem(
                &span,
                "event_log",
                "is \"none\", but event_log_path names one",
            );
            EventLogChoice::None
        }
        (_, Some(path), _) => EventLogChoice::File(path.value),
        (Some((Log::None, _)), ..) | (.., TeeKind::Snp | TeeKind::None) => EventLogChoice::None,
        (choice, None, TeeKind::Tdx) => EventLogChoice::Firmware {
            required: matches!(choice, Some((Log::Required, _))),
        },
    }
}

fn collateral(section: &mut Section<'_>, base: &Path, gpus: Gpus) -> CollateralSettings {
    let fetch = section.choice("collateral", &[("fetch", true), ("none", false)]);
    let mut url = |name| {
        let read = section.parsed(name, |text| {
            BaseUrl::parse(text).map_err(|error| error.to_string())?;
            let url = text.trim_end_matches('/');
            match url.split_once("/sgx/certification/") {
                // As Intel's own configuration files have it.
                Some((before, _)) => Err(format!(
                    "already contains the path of the service's interface; write {before:?}"
                )),
                None => Ok(url.to_owned()),
            }
        });
        read.map(|at| at.value)
    };
    let [pcs_url, kds_url, rim_url, ocsp_url] =
        ["pcs_url", "kds_url", "rim_url", "ocsp_url"].map(&mut url);
    let rims = section.parsed("rims", |text| RimFolder::open(&resolve(base, text)));
    if let (Some(at), Gpus::None) = (&rims, gpus) {
        section.problem(&at.span, "rims", "is for gpus = \"nvidia\"");
    }
    CollateralSettings {
        fetch: fetch.is_none_or(|at| at.value),
        pcs_url,
        kds_url,
        rim_url,
        ocsp_url,
        rims: rims.map(|at| at.value),
    }
}
