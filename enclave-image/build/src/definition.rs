//! The definition of an image, `enclave-image/images/NAME.toml`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Where the configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfigSource {
    Image,
    Disk,
}

/// Where the state directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatePlace {
    None,
    Disk,
}

/// An image.
#[derive(Clone, Debug, Deserialize)]
pub struct Definition {
    pub name: String,
    pub description: String,
    /// False: for tests only. No policy may accept its measurements.
    pub production: bool,
    pub config: ConfigSource,
    pub state: StatePlace,
    /// The lock's group that the root's packages are of.
    pub group: String,
    /// Whether a disk with a model goes with it.
    #[serde(default)]
    pub model: bool,
    /// Lists that come before these.
    pub base: Option<String>,
    #[serde(flatten)]
    pub lists: Lists,
}

/// What a base and a definition both have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Lists {
    /// The kernel's words, before ours.
    pub command_line: Vec<String>,
    /// Modules that PID 1 loads; what they need comes by itself.
    pub modules: Vec<String>,
    /// What the kernel has to be built with.
    pub kernel_config: Vec<String>,
    /// Empty directories.
    pub directories: Vec<String>,
    pub package: Vec<PackageFiles>,
    pub bundle: Vec<Bundle>,
    pub program: Vec<Program>,
    pub text: Vec<Text>,
    pub link: Vec<Link>,
}

/// Files of a package, under the names that they have there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageFiles {
    pub name: String,
    pub files: Vec<String>,
}

/// Every `.crt` in a directory of a package, one after the other, as one file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    pub package: String,
    pub directory: String,
    pub path: String,
}

/// A program of this repository.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    pub name: String,
    /// The crate that has it.
    #[serde(rename = "crate")]
    pub of: String,
    pub path: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    pub path: String,
    pub contents: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    pub path: String,
    pub target: String,
}

const OWN: [&str; 9] = [
    "like",
    "name",
    "description",
    "production",
    "config",
    "state",
    "group",
    "model",
    "base",
];

const LISTS: [&str; 9] = [
    "command_line",
    "modules",
    "kernel_config",
    "directories",
    "package",
    "bundle",
    "program",
    "text",
    "link",
];

/// Parses, and refuses unknown keys.
fn parse<T: serde::de::DeserializeOwned>(table: toml::Table, whole: bool) -> Result<T> {
    let known = |key: &str| LISTS.contains(&key) || (whole && OWN.contains(&key));
    if let Some(key) = table.keys().find(|key| !known(key)) {
        anyhow::bail!("unknown key {key:?}");
    }
    Ok(table.try_into()?)
}

fn read(file: &Path) -> Result<toml::Table> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    toml::from_str(&text).with_context(|| file.display().to_string())
}

/// A definition merged with the one that it is `like`: its values replace the other's, its lists extend them, and what
/// it has at a path replaces what the other has there.
fn like(folder: &Path, own: toml::Table) -> Result<toml::Table> {
    let Some(other) = own.get("like").and_then(toml::Value::as_str) else {
        return Ok(own);
    };
    let file = folder.join(format!("{other}.toml"));
    let mut whole = read(&file)?;
    ensure!(
        !whole.contains_key("like"),
        "{} is like another itself",
        file.display()
    );
    for (key, value) in own {
        match (whole.get_mut(&key), value) {
            (Some(toml::Value::Array(list)), toml::Value::Array(more)) => {
                let paths: Vec<&toml::Value> =
                    more.iter().filter_map(|own| own.get("path")).collect();
                list.retain(|other| other.get("path").is_none_or(|path| !paths.contains(&path)));
                list.extend(more);
            }
            (_, value) => drop(whole.insert(key, value)),
        }
    }
    Ok(whole)
}

impl Definition {
    /// Reads a definition by its name from the folder of definitions.
    pub fn load(folder: &Path, name: &str) -> Result<Self> {
        let file = folder.join(format!("{name}.toml"));
        let own = read(&file).with_context(|| format!("there is no image {name:?}"))?;
        let whole = like(folder, own)?;
        let mut definition: Self =
            parse(whole, true).with_context(|| file.display().to_string())?;
        ensure!(
            definition.name == name,
            "{} calls itself {:?}",
            file.display(),
            definition.name
        );
        if let Some(base) = definition.base.clone() {
            let file = folder.join(format!("{base}.toml"));
            let base: Lists =
                parse(read(&file)?, false).with_context(|| file.display().to_string())?;
            definition.lists = base.and(definition.lists);
        }
        Ok(definition)
    }

    /// The names of all images in the folder.
    pub fn names(folder: &Path) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            match name.strip_suffix(".toml") {
                Some("base") | None => {}
                Some(name) => names.push(name.to_owned()),
            }
        }
        names.sort();
        Ok(names)
    }
}

impl Lists {
    fn and(mut self, more: Self) -> Self {
        self.command_line.extend(more.command_line);
        self.modules.extend(more.modules);
        self.kernel_config.extend(more.kernel_config);
        self.directories.extend(more.directories);
        self.package.extend(more.package);
        self.bundle.extend(more.bundle);
        self.program.extend(more.program);
        self.text.extend(more.text);
        self.link.extend(more.link);
        self
    }
}
