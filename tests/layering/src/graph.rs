//! The dependency graph of this workspace, as cargo resolved it for the machine that runs the tests.
//!
//! Cargo unifies features over the whole workspace here, so a crate can only reach *more* in this graph than in a separate
//! build: an absence shown here holds for what is shipped.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Why one crate depends on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Normal,
    Build,
    Dev,
}

/// One crate at one version.
#[derive(Clone, Debug)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub features: BTreeSet<String>,
    pub edges: Vec<(Kind, String)>,
    pub in_workspace: bool,
}

/// Every package by its cargo id.
#[derive(Clone, Debug)]
pub struct Graph {
    packages: BTreeMap<String, Package>,
}

impl Graph {
    /// Asks cargo, offline: what is being tested has been fetched already.
    pub fn of_this_workspace() -> Self {
        let rustc = output("rustc", &["-vV"]);
        let host = rustc
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .expect("rustc -vV names its host");
        let manifest = crate::tree::root().join("Cargo.toml");
        let manifest = manifest.to_str().expect("the workspace path is UTF-8");
        let metadata = output(
            env!("CARGO"),
            &[
                "metadata",
                "--offline",
                "--format-version=1",
                "--filter-platform",
                host,
                "--manifest-path",
                manifest,
            ],
        );
        Self::parse(&serde_json::from_str(&metadata).expect("cargo metadata prints JSON"))
    }

    fn parse(metadata: &Value) -> Self {
        let members: BTreeSet<&str> = strings(&metadata["workspace_members"]).collect();
        let mut packages = BTreeMap::new();
        for package in array(&metadata["packages"]) {
            let id = string(&package["id"]);
            packages.insert(
                id.to_owned(),
                Package {
                    name: string(&package["name"]).to_owned(),
                    version: string(&package["version"]).to_owned(),
                    features: BTreeSet::new(),
                    edges: Vec::new(),
                    in_workspace: members.contains(id),
                },
            );
        }
        for node in array(&metadata["resolve"]["nodes"]) {
            let package = packages
                .get_mut(string(&node["id"]))
                .expect("every resolved node is a listed package");
            package.features = strings(&node["features"]).map(str::to_owned).collect();
            for dependency in array(&node["deps"]) {
                for edge in array(&dependency["dep_kinds"]) {
                    let kind = match edge["kind"].as_str() {
                        None => Kind::Normal,
                        Some("build") => Kind::Build,
                        Some(_) => Kind::Dev,
                    };
                    package
                        .edges
                        .push((kind, string(&dependency["pkg"]).to_owned()));
                }
            }
        }
        Self { packages }
    }

    /// Every package of that name, one for each version.
    pub fn named(&self, name: &str) -> Vec<&Package> {
        self.all().filter(|package| package.name == name).collect()
    }

    pub fn all(&self) -> impl Iterator<Item = &Package> {
        self.packages.values()
    }

    pub fn workspace(&self) -> impl Iterator<Item = &Package> {
        self.all().filter(|package| package.in_workspace)
    }

    /// The packages `package` depends on directly, for one of these reasons.
    pub fn direct(&self, package: &Package, kinds: &[Kind]) -> Vec<&Package> {
        package
            .edges
            .iter()
            .filter(|(kind, _)| kinds.contains(kind))
            .map(|(_, id)| &self.packages[id])
            .collect()
    }

    /// What ends up in the program (and, with [`Kind::Build`], what runs while it is built): `name`'s closure
    /// over these kinds, with one path that leads to each crate.
    pub fn closure(&self, name: &str, kinds: &[Kind]) -> BTreeMap<String, String> {
        let start = self.named(name);
        assert_eq!(start.len(), 1, "one crate is called {name}");
        let mut paths: BTreeMap<String, String> = BTreeMap::new();
        let mut todo = vec![(start[0], name.to_owned())];
        while let Some((package, path)) = todo.pop() {
            for next in self.direct(package, kinds) {
                if !paths.contains_key(&next.name) {
                    let path = format!("{path} → {}", next.name);
                    paths.insert(next.name.clone(), path.clone());
                    todo.push((next, path));
                }
            }
        }
        paths
    }
}

/// The names of the crates that a build of this program alone links, with the features that it alone asks for.
///
/// [`Graph`] unifies features over the workspace, tests included; this does not.
pub fn linked_into(program: &str) -> BTreeSet<String> {
    let tree = output(
        env!("CARGO"),
        &[
            "tree",
            "--offline",
            "--locked",
            "--package",
            program,
            "--edges=normal,build",
            "--prefix=none",
            "--format={p}",
        ],
    );
    let names = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo and rustc print UTF-8")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("cargo metadata has a list here")
}

fn string(value: &Value) -> &str {
    value.as_str().expect("cargo metadata has a string here")
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    array(value).iter().map(string)
}
