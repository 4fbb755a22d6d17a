//! `general_settings`, `litellm_settings` and `router_settings`.

use serde_json::Value;

use super::document::Section;
use super::operations::take_budget;
use super::{Draft, Fallback};
use gateway_base::request::Name;

type Read = fn(&mut Section, &mut Draft);

/// Each section that is read, in the order in which its settings are applied.
pub const SECTIONS: [(&str, Read); 3] = [
    ("general_settings", general),
    ("litellm_settings", library),
    ("router_settings", router),
];

fn general(section: &mut Section, draft: &mut Draft) {
    if let Some(limit) = section.count("global_max_parallel_requests", &mut draft.notes) {
        draft.max_concurrent = Some(limit);
    }
}

fn library(section: &mut Section, draft: &mut Draft) {
    take_budget(section, draft);
    timeout("request_timeout", section, draft);
    fallbacks(section, draft);
}

fn router(section: &mut Section, draft: &mut Draft) {
    timeout("timeout", section, draft);
    fallbacks(section, draft);
    if let Some(aliases) = section.section("model_group_alias", &mut draft.notes) {
        let (place, members) = aliases.into_members();
        for (alias, target) in members {
            add_alias(&format!("{place}.{alias}"), alias, &target, draft);
        }
    }
}

/// The time for a whole request there, and until the first byte here.
fn timeout(name: &str, section: &mut Section, draft: &mut Draft) {
    if let Some(secs) = section.count(name, &mut draft.notes) {
        draft.first_byte_secs = Some(secs);
        let reason = "is timeouts.first_byte here: an answer that has begun is not cut off, however long it takes";
        draft.notes.changed(&section.place_of(name), reason);
    }
}

/// The value is the name of a model, or a mapping with it.
fn add_alias(place: &str, alias: String, target: &Value, draft: &mut Draft) {
    let hidden = target
        .get("hidden")
        .is_some_and(|hidden| *hidden == Value::Bool(true));
    let target = target.as_str().or_else(|| target.get("model")?.as_str());
    let names: Vec<&str> = draft.models.iter().flat_map(|m| m.names()).collect();
    let problem = match target {
        None => Some("names no model".to_owned()),
        Some(_) if names.contains(&alias.as_str()) => {
            Some("is the name of a model already".to_owned())
        }
        Some(_) => Name::from_operator(&alias)
            .err()
            .map(|error| error.to_string()),
    };
    let model = target.and_then(|target| draft.models.iter_mut().find(|model| model.id == target));
    match (problem, model) {
        (Some(problem), _) => draft.notes.not_imported(place, problem),
        (None, None) => draft
            .notes
            .not_imported(place, "its model was not imported"),
        (None, Some(model)) => {
            model.aliases.push(alias);
            if hidden {
                draft
                    .notes
                    .changed(place, "is listed by /v1/models, where LiteLLM hides it");
            }
        }
    }
}

/// `fallbacks: [{model: [model, …]}]`, and `default_fallbacks: [model, …]` for every model.
fn fallbacks(section: &mut Section, draft: &mut Draft) {
    for entry in section.sections("fallbacks", &mut draft.notes) {
        let (place, members) = entry.into_members();
        for (model, targets) in members {
            let place = format!("{place}.{model}");
            add_fallback(place, Some(model), &targets, draft);
        }
    }
    if let Some(targets) = section.take("default_fallbacks") {
        add_fallback(section.place_of("default_fallbacks"), None, &targets, draft);
    }
}

fn add_fallback(place: String, model: Option<String>, targets: &Value, draft: &mut Draft) {
    let targets = targets.as_array().map(|targets| {
        let names = targets
            .iter()
            .map(|target| target.as_str().map(str::to_owned));
        names.collect::<Option<Vec<String>>>()
    });
    match targets.flatten() {
        Some(targets) => draft.fallbacks.push(Fallback {
            place,
            model,
            targets,
        }),
        None => draft.notes.not_imported(&place, "is not a list of models"),
    }
}
