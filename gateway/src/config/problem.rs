//! What is wrong with a configuration, told so that it can be mended in one go.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1; absent when it concerns the file as a whole.
    pub line: Option<usize>,
    /// The key as it would be written, such as `model[2].upstream[1].url`; empty for the file as a whole.
    pub key: String,
    pub reason: String,
}

/// All that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub file: PathBuf,
    /// In the order of the file; never empty.
    pub problems: Vec<Problem>,
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
        let file = self.file.display();
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match problem.line {
                Some(line) => write!(f, "{file}:{line}: {problem}")?,
                None => write!(f, "{file}: {problem}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Where problems are collected while a file is read.
#[derive(Clone)]
pub(super) struct Problems {
    text: Rc<str>,
    found: Rc<RefCell<Vec<(usize, Problem)>>>,
    /// Every key that the reader asked for, whether or not the file has it.
    known: Rc<RefCell<BTreeSet<String>>>,
}

impl Problems {
    pub fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            found: Rc::default(),
            known: Rc::default(),
        }
    }

    /// Notes that the reader knows this key.
    pub fn add_known(&self, key: String) {
        self.known.borrow_mut().insert(key);
    }

    /// Every key noted so far.
    pub fn known(&self) -> BTreeSet<String> {
        self.known.borrow().clone()
    }

    pub fn add(
        &self,
        at: Option<&Range<usize>>,
        key: impl Into<String>,
        reason: impl Into<String>,
    ) {
        let line = at.map(|span| self.line_of(span.start));
        let order = at.map_or(usize::MAX, |span| span.start);
        self.found.borrow_mut().push((
            order,
            Problem {
                line,
                key: key.into(),
                reason: reason.into(),
            },
        ));
    }

    /// Everything found, in the order of the file.
    pub fn into_vec(self) -> Vec<Problem> {
        let mut found = self.found.take();
        found.sort_by_key(|(order, _)| *order);
        found.into_iter().map(|(_, problem)| problem).collect()
    }

    fn line_of(&self, offset: usize) -> usize {
        let before = self
            .text
            .as_bytes()
            .get(..offset)
            .unwrap_or(self.text.as_bytes());
        1 + before.iter().filter(|b| **b == b'\n').count()
    }
}
