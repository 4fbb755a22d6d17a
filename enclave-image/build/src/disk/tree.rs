//! What is to be in a file system: paths, modes, contents, and where each came from.
//!
//! Owners, modes and times come from here and never from the file system of the machine that builds, so that umask,
//! user and clock have no way in.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a file came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A Debian package, by name.
    Package(String),
    /// A program of this repository, by name.
    Program(String),
    /// The image's definition.
    Definition,
    /// A file that was given on the command line.
    Given(String),
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    Bytes(Vec<u8>),
    /// A file too large to be carried about, with its length.
    OnDisk {
        path: PathBuf,
        len: u64,
    },
}

impl Contents {
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::OnDisk { len, .. } => *len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File(Contents),
    Link(String),
    CharacterDevice { major: u32, minor: u32 },
}

/// One entry; owned by root, whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub kind: Kind,
    /// Permission bits, without setuid, setgid and sticky.
    pub mode: u16,
    pub origin: Origin,
}

/// Why an entry cannot be there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    #[error("{0:?} is not an absolute path without empty, `.` and `..` parts")]
    Path(String),
    #[error("{0} is there twice")]
    Twice(String),
    #[error("{0} would be setuid, setgid or sticky (mode {1:o})")]
    Privileged(String, u16),
    #[error("{0} lies in something that is no directory")]
    NoDirectory(String),
}

/// Entries by absolute path; the root itself is always there.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node {
            kind: Kind::Directory,
            mode: 0o755,
            origin: Origin::Definition,
        };
        Self {
            nodes: BTreeMap::from([("/".to_owned(), root)]),
        }
    }
}

impl Tree {
    /// Adds an entry, and the directories it lies in where they are not there yet. A directory may be named again.
    pub fn add(&mut self, path: &str, node: Node) -> Result<(), TreeError> {
        let parts: Vec<&str> = path
            .strip_prefix('/')
            .map(|rest| rest.split('/').collect())
            .unwrap_or_default();
        if parts.is_empty() || parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
            return Err(TreeError::Path(path.to_owned()));
        }
        if node.mode & !0o777 != 0 {
            return Err(TreeError::Privileged(path.to_owned(), node.mode));
        }
        self.add_parents(path, &node.origin)?;
        match self.nodes.get(path) {
            Some(there) if there.kind == Kind::Directory && node.kind == Kind::Directory => {}
            Some(_) => return Err(TreeError::Twice(path.to_owned())),
            None => {
                self.nodes.insert(path.to_owned(), node);
            }
        }
        Ok(())
    }

    fn add_parents(&mut self, path: &str, origin: &Origin) -> Result<(), TreeError> {
        for (end, _) in path.match_indices('/').skip(1) {
            let parent = &path[..end];
            let there = self.nodes.entry(parent.to_owned()).or_insert_with(|| Node {
                kind: Kind::Directory,
                mode: 0o755,
                origin: origin.clone(),
            });
            if there.kind != Kind::Directory {
                return Err(TreeError::NoDirectory(path.to_owned()));
            }
        }
        Ok(())
    }

    pub fn add_directory(&mut self, path: &str) -> Result<(), TreeError> {
        self.add(
            path,
            Node {
                kind: Kind::Directory,
                mode: 0o755,
                origin: Origin::Definition,
            },
        )
    }

    pub fn add_file(
        &mut self,
        path: &str,
        mode: u16,
        bytes: Vec<u8>,
        origin: Origin,
    ) -> Result<(), TreeError> {
        let kind = Kind::File(Contents::Bytes(bytes));
        self.add(path, Node { kind, mode, origin })
    }

    /// Every entry, a directory before what is in it, in byte order of the paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: the root is always there.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The entries right in a directory, as name and path.
    pub fn children<'a>(
        &'a self,
        directory: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        let prefix = if directory == "/" {
            "/".to_owned()
        } else {
            format!("{directory}/")
        };
        self.nodes.keys().filter_map(move |path| {
            let name = path.strip_prefix(prefix.as_str())?;
            (!name.is_empty() && !name.contains('/')).then_some((name, path.as_str()))
        })
    }
}
