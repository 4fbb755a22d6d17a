//! LiteLLM's `config.yaml`.
//!
//! The format is documented at docs.litellm.ai/docs/proxy/configs and config_settings. A *deployment* there (one entry
//! of `model_list`) is an upstream here; deployments of one `model_name` are the upstreams of one model.

mod deployment;
mod document;
mod operations;
mod provider;
mod reasons;
mod settings;
mod write;

use std::collections::BTreeMap;

use gateway_base::config::TeeKind;

use crate::{Imported, KeyFile, Note};
use deployment::Deployment;
use document::Section;

/// What LiteLLM's file does not say.
pub struct Settings<'a> {
    /// What the configuration is read from, for the comment in front.
    pub source: &'a str,
    /// The name in the service's certificate.
    pub server_name: &'a str,
    pub tee: TeeKind,
    /// Looks up an environment variable.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

/// Why there is nothing to import.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Without the offending text, which may be a secret.
    #[error("is not YAML, or a key is there twice{}", place(.line))]
    NotYaml { line: Option<u64> },
    #[error("has no mapping at its top level")]
    NotAMapping,
    #[error("has no model that could be imported:\n{}", lines(.0))]
    NoModel(Vec<Note>),
}

fn place(line: &Option<u64>) -> String {
    line.map(|line| format!(" (line {line})"))
        .unwrap_or_default()
}

fn lines(notes: &[Note]) -> String {
    let lines = notes
        .iter()
        .map(|note| format!("  {}: {}", note.place, note.reason));
    lines.collect::<Vec<_>>().join("\n")
}

/// What is known of the new configuration so far.
#[derive(Default)]
struct Draft {
    /// In the order of `model_list`.
    models: Vec<Model>,
    max_concurrent: Option<u64>,
    first_byte_secs: Option<u64>,
    budget: Option<operations::Budget>,
    fallbacks: Vec<Fallback>,
    keys: BTreeMap<String, KeyFile>,
    notes: Notes,
}

struct Model {
    id: String,
    aliases: Vec<String>,
    deployments: Vec<Deployment>,
}

/// The models that are asked when all deployments of another one failed.
struct Fallback {
    place: String,
    /// `None`: every model.
    model: Option<String>,
    targets: Vec<String>,
}

#[derive(Default)]
struct Notes {
    changed: Vec<Note>,
    not_imported: Vec<Note>,
}

impl Notes {
    fn changed(&mut self, place: &str, reason: impl Into<String>) {
        let (place, reason) = (place.to_owned(), reason.into());
        self.changed.push(Note { place, reason });
    }

    fn not_imported(&mut self, place: &str, reason: impl Into<String>) {
        let (place, reason) = (place.to_owned(), reason.into());
        self.not_imported.push(Note { place, reason });
    }
}

/// Reads a `config.yaml`.
pub fn import(text: &str, settings: &Settings) -> Result<Imported, ImportError> {
    let mut top = document::read(text)?;
    let mut draft = Draft::default();
    for deployment in top.sections("model_list", &mut draft.notes) {
        draft.deployment(deployment, settings);
    }
    for (name, read) in settings::SECTIONS {
        if let Some(mut section) = top.section(name, &mut draft.notes) {
            read(&mut section, &mut draft);
            section.finish(&mut draft.notes);
        }
    }
    top.finish(&mut draft.notes);
    draft.finish(settings)
}

impl Draft {
    fn deployment(&mut self, mut section: Section, settings: &Settings) {
        let read = deployment::read(&mut section, settings, &mut self.keys, &mut self.notes);
        section.finish(&mut self.notes);
        let Some((id, deployment)) = read else { return };
        match self.models.iter_mut().find(|model| model.id == id) {
            Some(model) => model.deployments.push(deployment),
            None => self.models.push(Model {
                id,
                aliases: Vec::new(),
                deployments: vec![deployment],
            }),
        }
    }

    fn finish(mut self, settings: &Settings) -> Result<Imported, ImportError> {
        for model in &mut self.models {
            model.deployments.sort_by_key(|deployment| deployment.order);
            if model.counts() != operations::Counts::default() {
                let place = format!("model_name {}", model.id);
                self.notes.changed(&place, reasons::LIMITED);
            }
            if model.deployments.len() > 1 {
                let place = format!("model_name {}", model.id);
                self.notes.changed(&place, reasons::BALANCED);
            }
        }
        // Before other models' deployments are added.
        let operations = operations::script(&self);
        self.add_fallbacks();
        if self.models.is_empty() {
            return Err(ImportError::NoModel(self.notes.not_imported));
        }
        for model in &mut self.models {
            model.number_names();
        }
        Ok(Imported {
            config: write::config(&self, settings),
            operations,
            models: self.models.len(),
            upstreams: self.models.iter().map(|m| m.deployments.len()).sum(),
            key_files: self.keys.into_values().collect(),
            changed: self.notes.changed,
            not_imported: self.notes.not_imported,
        })
    }

    /// Adds the deployments of another model behind the model's own. Only the other's own ones: LiteLLM does not follow
    /// the fallbacks of a fallback either.
    fn add_fallbacks(&mut self) {
        let own: BTreeMap<String, Vec<Deployment>> = self
            .models
            .iter()
            .map(|model| (model.id.clone(), model.deployments.clone()))
            .collect();
        for Fallback {
            place,
            model,
            targets,
        } in std::mem::take(&mut self.fallbacks)
        {
            if model.as_ref().is_some_and(|model| !own.contains_key(model)) {
                self.notes
                    .not_imported(&place, "its model was not imported");
                continue;
            }
            for target in targets {
                let Some(deployments) = own.get(&target) else {
                    let reason = format!("the model {target:?} was not imported");
                    self.notes.not_imported(&place, reason);
                    continue;
                };
                let chosen = |m: &&mut Model| match &model {
                    Some(model) => m.id == *model,
                    None => m.id != target,
                };
                for model in self.models.iter_mut().filter(chosen) {
                    model.deployments.extend(deployments.iter().cloned());
                }
            }
        }
    }
}

impl Model {
    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// Gives each upstream another name than those before it.
    fn number_names(&mut self) {
        let mut taken: Vec<String> = Vec::new();
        for deployment in &mut self.deployments {
            let base = deployment.name.clone();
            let mut number = 2;
            while taken.contains(&deployment.name) {
                deployment.name = format!("{base}-{number}");
                number += 1;
            }
            taken.push(deployment.name.clone());
        }
    }
}

#[cfg(test)]
mod tests;
