//! The short form of a list of checks: obstacles first and in full, passed checks by
//! family, checks that were not requested by reason. No check is left out.

use super::table::{Mark, Row};

const WIDTH: usize = 64;

/// Groups one row per check into few rows.
pub fn summarize(rows: Vec<Row>) -> Vec<Row> {
    let with_mark = |mark: Mark| rows.iter().filter(move |row| row.mark == mark);
    let mut out: Vec<Row> = with_mark(Mark::Fail).cloned().collect();
    for (reason, missing) in grouped(with_mark(Mark::Missing), |row| row.note.clone()) {
        out.push(Row {
            note: reason,
            ..and_more(&missing)
        });
    }
    for (family, passed) in grouped(with_mark(Mark::Pass), |row| family(&row.id).to_owned()) {
        out.push(one_family(&family, &passed));
    }
    for (reason, not_requested) in grouped(with_mark(Mark::NotApplicable), |row| row.note.clone()) {
        out.push(one_reason(&reason, &not_requested));
    }
    out
}

/// Everything before the last dot.
fn family(id: &str) -> &str {
    id.rsplit_once('.').map_or(id, |(family, _)| family)
}

/// Groups in the order in which they first appear.
fn grouped<'a>(
    rows: impl Iterator<Item = &'a Row>,
    key: impl Fn(&Row) -> String,
) -> Vec<(String, Vec<&'a Row>)> {
    let mut groups: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in rows {
        let key = key(row);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    groups
}

fn and_more(rows: &[&Row]) -> Row {
    let first = rows.first().map_or("", |row| row.id.as_str());
    let id = match rows.len() {
        0 | 1 => first.to_owned(),
        count => format!("{first} and {} more", count - 1),
    };
    Row {
        id,
        mark: Mark::Missing,
        note: String::new(),
    }
}

fn one_family(family: &str, rows: &[&Row]) -> Row {
    if let [only] = rows {
        return Row::clone(only);
    }
    let members: Vec<&str> = rows
        .iter()
        .map(|row| row.id.rsplit_once('.').map_or(row.id.as_str(), |(_, m)| m))
        .collect();
    Row {
        id: format!("{family}.*"),
        mark: Mark::Pass,
        note: members.join(", "),
    }
}

fn one_reason(reason: &str, rows: &[&Row]) -> Row {
    if let [only] = rows {
        return Row::clone(only);
    }
    let mut note = format!("{reason}:");
    let mut length = note.chars().count();
    for (index, row) in rows.iter().enumerate() {
        if length + row.id.len() > WIDTH {
            note.push('\n');
            length = 0;
        } else {
            note.push(' ');
        }
        note.push_str(&row.id);
        if index + 1 < rows.len() {
            note.push(',');
        }
        length += row.id.len() + 2;
    }
    Row {
        id: format!("{} others", rows.len()),
        mark: Mark::NotApplicable,
        note,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, mark: Mark, note: &str) -> Row {
        Row {
            id: id.to_owned(),
            mark,
            note: note.to_owned(),
        }
    }

    #[test]
    fn failures_come_first_in_full_and_no_check_is_left_out() {
        let short = summarize(vec![
            row("a.one", Mark::Pass, ""),
            row("a.two", Mark::Pass, ""),
            row("b.one", Mark::Pass, ""),
            row("c.one", Mark::NotApplicable, "not_requested"),
            row("d.one", Mark::Missing, "stopped"),
            row("d.two", Mark::Missing, "stopped"),
            row("e.one", Mark::Fail, "wrong"),
            row("e.two", Mark::Fail, "wrong too"),
        ]);
        assert_eq!(
            short,
            [
                row("e.one", Mark::Fail, "wrong"),
                row("e.two", Mark::Fail, "wrong too"),
                row("d.one and 1 more", Mark::Missing, "stopped"),
                row("a.*", Mark::Pass, "one, two"),
                row("b.one", Mark::Pass, ""),
                row("c.one", Mark::NotApplicable, "not_requested"),
            ]
        );
    }
}
