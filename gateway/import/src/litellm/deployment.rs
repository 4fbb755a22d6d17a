//! One entry of `model_list`.

use std::collections::BTreeMap;

use super::document::Section;
use super::operations::Counts;
use super::provider::{Provider, Service, provider};
use super::{Notes, Settings};
use crate::KeyFile;
use gateway_base::config::{BaseUrl, Sensitive};
use gateway_base::request::Name;

/// An upstream.
#[derive(Clone)]
pub struct Deployment {
    pub name: String,
    pub url: String,
    /// What the upstream calls the model.
    pub model: String,
    /// The file with its API key.
    pub key_file: Option<String>,
    /// Lower ones are preferred.
    pub order: u64,
    pub counts: Counts,
}

const ENVIRONMENT: &str = "os.environ/";

/// The name of the model, and the upstream; `None` if it was reported that it cannot be imported.
pub fn read(
    section: &mut Section,
    settings: &Settings,
    keys: &mut BTreeMap<String, KeyFile>,
    notes: &mut Notes,
) -> Option<(String, Deployment)> {
    let id = section.string("model_name", notes);
    let Some(mut params) = section.section("litellm_params", notes) else {
        notes.not_imported(&section.place, "has no litellm_params");
        return None;
    };
    let mut info = section.section("model_info", notes);
    let upstream = match id.as_deref().map(valid_id) {
        Some(Ok(())) => read_params(&mut params, settings, notes),
        Some(Err(reason)) => Err((section.place_of("model_name"), reason)),
        None => Err((section.place.clone(), "has no model_name".to_owned())),
    };
    let info_id = info.as_mut().and_then(|info| {
        // What the model can do is not configured here.
        let _ = (info.take("mode"), info.take("base_model"));
        info.string("id", notes)
    });
    // An upstream that is left out needs no list of its details.
    let upstream = match upstream {
        Ok(upstream) => upstream,
        Err((place, reason)) => {
            notes.not_imported(&place, reason);
            return None;
        }
    };
    let id = id?;
    let name = info_id.filter(|name| Name::from_operator(name).is_ok());
    let mut deployment = Deployment {
        name: name.unwrap_or_else(|| id.clone()),
        url: upstream.url,
        model: upstream.model,
        key_file: None,
        order: upstream.order,
        counts: Counts::take(&mut params, notes).or(Counts::take(section, notes)),
    };
    if let Some(secret) = upstream.secret {
        deployment.key_file = Some(key_file(
            secret,
            &deployment.name,
            &params,
            keys,
            settings,
            notes,
        )?);
    }
    params.finish(notes);
    if let Some(info) = info {
        info.finish(notes);
    }
    Some((id, deployment))
}

fn valid_id(id: &str) -> Result<(), String> {
    if id.contains('*') {
        return Err("a wildcard: each model has to be named".to_owned());
    }
    Name::from_operator(id)
        .map(drop)
        .map_err(|error| error.to_string())
}

struct Params {
    url: String,
    model: String,
    secret: Option<String>,
    order: u64,
}

/// Reads `litellm_params`, or says what is wrong and where.
fn read_params(
    params: &mut Section,
    settings: &Settings,
    notes: &mut Notes,
) -> Result<Params, (String, String)> {
    let model = params.string("model", notes).unwrap_or_default();
    let at_model = params.place_of("model");
    let named = params.string("custom_llm_provider", notes);
    let (service, model) = match provider(&model, named.as_deref()) {
        Provider::OpenAi { service, model } => (service, model.to_owned()),
        Provider::Other(other) => {
            let reason = format!("the API of {other:?} is not OpenAI's");
            return Err((at_model, reason));
        }
        Provider::Unknown => return Err((at_model, "names no provider".to_owned())),
    };
    Name::from_operator(&model).map_err(|error| (at_model, error.to_string()))?;
    let (url, implied) = url(params, service, settings, notes)?;
    Ok(Params {
        url,
        model,
        secret: params.string("api_key", notes).or(implied),
        order: params.count("order", notes).unwrap_or(u64::MAX),
    })
}

/// The base URL; that of a public service with the API key that LiteLLM implies.
fn url(
    params: &mut Section,
    service: Option<&Service>,
    settings: &Settings,
    notes: &mut Notes,
) -> Result<(String, Option<String>), (String, String)> {
    // LiteLLM has both names.
    let names = ["api_base", "base_url"];
    let given = names
        .into_iter()
        .find_map(|name| Some((name, params.string(name, notes)?)));
    let Some((name, text)) = given else {
        let Some(Service { base, variable }) = service else {
            return Err((params.place_of("api_base"), "is missing".to_owned()));
        };
        return Ok(((*base).to_owned(), Some(format!("{ENVIRONMENT}{variable}"))));
    };
    let place = params.place_of(name);
    let text = match text.strip_prefix(ENVIRONMENT) {
        Some(variable) => (settings.environment)(variable).ok_or_else(|| {
            let reason = format!("the environment variable {variable} is not set");
            (place.clone(), reason)
        })?,
        None => text,
    };
    match BaseUrl::parse_for_endpoints(&text) {
        Ok(_) => {
            let path = text
                .split_once("://")
                .and_then(|(_, rest)| rest.split_once('/'));
            if path.is_none_or(|(_, path)| path.is_empty()) {
                notes.changed(
                    &place,
                    "has no path: /v1 is meant here, and nothing was in LiteLLM",
                );
            }
            Ok((text, None))
        }
        Err(error) => Err((place, error.to_string())),
    }
}

/// The file that this key goes to, one for each different key.
fn key_file(
    secret: String,
    name: &str,
    params: &Section,
    keys: &mut BTreeMap<String, KeyFile>,
    settings: &Settings,
    notes: &mut Notes,
) -> Option<String> {
    let place = params.place_of("api_key");
    let (base, key) = match secret.strip_prefix(ENVIRONMENT) {
        Some(variable) => (variable.to_owned(), (settings.environment)(variable)),
        None => (name.to_owned(), Some(secret)),
    };
    let base: String = base
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    let Some(key) = key else {
        let path = format!("keys/{base}");
        notes.not_imported(
            &place,
            format!("the environment variable is not set: write the key to {path}, with mode 600"),
        );
        return Some(path);
    };
    let mut path = format!("keys/{base}");
    let mut number = 2;
    while keys
        .get(&path)
        .is_some_and(|file| *file.key.expose() != key)
    {
        path = format!("keys/{base}-{number}");
        number += 1;
    }
    let file = KeyFile {
        path: path.clone(),
        key: Sensitive::new(key),
    };
    keys.insert(path.clone(), file);
    Some(path)
}
