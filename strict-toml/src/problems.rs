//! Everything that is wrong with a text, in the order of the text.

use std::cell::RefCell;
use std::ops::Range;

/// One problem, and the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<P> {
    /// Counted from 1.
    pub line: usize,
    pub problem: P,
}

/// Where problems are collected while a text is read.
///
/// Adding takes `&self`, since a table and the tables inside it report to the same collection.
#[derive(Debug)]
pub struct Problems<'t, P> {
    text: &'t str,
    found: RefCell<Vec<(usize, P)>>,
}

impl<'t, P> Problems<'t, P> {
    pub fn new(text: &'t str) -> Self {
        Self {
            text,
            found: RefCell::new(Vec::new()),
        }
    }

    pub fn add(&self, at: &Range<usize>, problem: P) {
        self.found.borrow_mut().push((at.start, problem));
    }

    pub fn text(&self) -> &'t str {
        self.text
    }

    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// Every problem with its line, in the order of the text.
    pub fn into_sorted(self) -> Vec<Located<P>> {
        let mut found = self.found.into_inner();
        // Stable: problems of one place keep the order in which they were found.
        found.sort_by_key(|(offset, _)| *offset);
        found
            .into_iter()
            .map(|(offset, problem)| Located {
                line: line_of(self.text, offset),
                problem,
            })
            .collect()
    }
}

/// The line that an offset lies on, counted from 1.
pub fn line_of(text: &str, offset: usize) -> usize {
    let bytes = text.as_bytes();
    let before = bytes.get(..offset).unwrap_or(bytes);
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_problems_in_the_order_of_the_text_with_their_lines() {
        let problems = Problems::new("a\nb\nc\n");
        problems.add(&(4..5), "c");
        problems.add(&(0..1), "a");
        problems.add(&(0..1), "a again");
        problems.add(&(99..100), "after the end");
        let found: Vec<_> = problems
            .into_sorted()
            .into_iter()
            .map(|it| (it.line, it.problem))
            .collect();
        assert_eq!(
            found,
            [(1, "a"), (1, "a again"), (3, "c"), (4, "after the end")]
        );
    }
}
