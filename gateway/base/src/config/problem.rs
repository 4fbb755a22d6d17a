//! Problems of a configuration: all of them at once, each with line, key and reason.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use strict_toml::line_of;

/// One problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Counted from 1; absent when it concerns the file as a whole.
    pub line: Option<usize>,
    /// The key as it would be written, such as `model[2].upstream[1].url`; empty for the file as a whole.
    pub key: String,
    pub reason: String,
}

/// Every problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub file: PathBuf,
    /// In the order of the file; never empty.
    pub problems: Vec<Problem>,
}

/// The line of each key in its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyLines(BTreeMap<String, usize>);

impl KeyLines {
    /// A problem found after parsing. Has the key's line, or its table's line where the key is absent.
    pub fn problem(&self, key: &str, reason: impl Into<String>) -> Problem {
        let mut within = key;
        // An absent key has no line: the nearest table that contains it has one.
        let line = loop {
            match (self.0.get(within), within.rsplit_once('.')) {
                (Some(line), _) => break Some(*line),
                (None, Some((table, _))) => within = table,
                (None, None) => break None,
            }
        };
        Problem {
            line,
            key: key.to_owned(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.reason)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            InFile(&self.file, problem).fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// One problem of the file as a whole.
    pub(super) fn whole(file: &Path, reason: impl Into<String>) -> Self {
        let problem = Problem {
            line: None,
            key: String::new(),
            reason: reason.into(),
        };
        Self {
            file: file.to_owned(),
            problems: vec![problem],
        }
    }
}

/// A problem with the name of the file it is in.
pub struct InFile<'a>(pub &'a Path, pub &'a Problem);

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InFile(file, problem) = self;
        match problem.line {
            Some(line) => write!(f, "{}:{line}: {problem}", file.display()),
            None => write!(f, "{}: {problem}", file.display()),
        }
    }
}

/// Collects problems while a file is read. Clones share one list.
#[derive(Clone)]
pub(super) struct Problems {
    text: Rc<str>,
    // One reader in one thread, so no lock. Each borrow ends within a method here, and none calls another that borrows
    // the same cell.
    found: Rc<RefCell<Vec<(usize, Problem)>>>,
    /// Settings that are valid but probably not intended.
    warnings: Rc<RefCell<Vec<(usize, Problem)>>>,
    /// The line of each key of the file.
    lines: Rc<RefCell<KeyLines>>,
    /// Every key that the reader requested, whether or not the file has it.
    known: Rc<RefCell<BTreeSet<String>>>,
}

impl Problems {
    pub fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            found: Rc::default(),
            warnings: Rc::default(),
            lines: Rc::default(),
            known: Rc::default(),
        }
    }

    /// Adds a key that the reader knows.
    pub fn add_known_key(&self, key: String) {
        self.known.borrow_mut().insert(key);
    }

    /// Every key that the reader knows.
    pub fn known_keys(&self) -> BTreeSet<String> {
        self.known.borrow().clone()
    }

    pub fn add(
        &self,
        at: Option<&Range<usize>>,
        key: impl Into<String>,
        reason: impl Into<String>,
    ) {
        self.found.borrow_mut().push(self.at(at, key, reason));
    }

    /// Adds a warning: the configuration can be served all the same.
    pub fn warn(
        &self,
        at: Option<&Range<usize>>,
        key: impl Into<String>,
        reason: impl Into<String>,
    ) {
        self.warnings.borrow_mut().push(self.at(at, key, reason));
    }

    fn at(
        &self,
        at: Option<&Range<usize>>,
        key: impl Into<String>,
        reason: impl Into<String>,
    ) -> (usize, Problem) {
        let problem = Problem {
            line: at.map(|span| line_of(&self.text, span.start)),
            key: key.into(),
            reason: reason.into(),
        };
        (at.map_or(usize::MAX, |span| span.start), problem)
    }

    /// Adds a problem of a key that was read, at its line.
    pub fn add_at(&self, key: &str, reason: impl Into<String>) {
        let problem = self.lines.borrow().problem(key, reason);
        let order = self.offset_of(problem.line);
        self.found.borrow_mut().push((order, problem));
    }

    /// The byte offset of a line; the maximum for `None`, so that it sorts last.
    fn offset_of(&self, line: Option<usize>) -> usize {
        let Some(line) = line else { return usize::MAX };
        let before = self.text.split_inclusive('\n').take(line.saturating_sub(1));
        before.map(str::len).sum()
    }

    /// Stores the line of a key.
    pub fn add_line(&self, key: String, at: &Range<usize>) {
        let line = line_of(&self.text, at.start);
        self.lines.borrow_mut().0.insert(key, line);
    }

    /// Every problem, in the order of the file.
    pub fn into_vec(self) -> Vec<Problem> {
        in_order(self.found.take())
    }

    /// The warnings, in the order of the file.
    pub fn warnings(&self) -> Vec<Problem> {
        in_order(self.warnings.take())
    }

    /// The lines of the file's keys.
    pub fn lines(&self) -> KeyLines {
        // Taken at the end of the reading: nothing is added afterwards.
        self.lines.take()
    }
}

fn in_order(mut found: Vec<(usize, Problem)>) -> Vec<Problem> {
    found.sort_by_key(|(order, _)| *order);
    found.into_iter().map(|(_, problem)| problem).collect()
}
