//! Files of `key value` lines, as `network` and `/etc/services` are written.

/// A line that says something: its number from 1, its key, and the rest after one space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub number: usize,
    pub key: &'a str,
    pub value: &'a str,
}

/// What stands on one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    Blank,
    Line(Line<'a>),
}

/// The lines of a text without its comments. A key without a value has an empty one.
pub fn items(text: &str) -> impl Iterator<Item = Item<'_>> {
    let numbered = text.lines().enumerate();
    let said = numbered.filter(|(_, line)| !line.starts_with('#'));
    said.map(|(index, line)| {
        if line.is_empty() {
            return Item::Blank;
        }
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        Item::Line(Line {
            number: index + 1,
            key,
            value,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_left_out_and_lines_keep_their_numbers() {
        let found: Vec<Item<'_>> = items("# why\na b c\n\ndhcp\n").collect();
        let line = |number, key, value| Item::Line(Line { number, key, value });
        assert_eq!(
            found,
            [line(2, "a", "b c"), Item::Blank, line(4, "dhcp", "")]
        );
    }
}
