//! Prints the result as a table: copies found for each scenario and encoding, beside those of the control.

use crate::canary::Form;
use crate::disk::Disk;
use crate::hunt::Sighting;
use crate::keeping::Keeping;
use crate::memory::Found;
use crate::outputs::{Kind, Outputs};

fn sum<'a>(sightings: impl Iterator<Item = &'a Sighting>) -> Found {
    let mut total = Found::default();
    sightings.for_each(|sighting| total.add(sighting.found));
    total
}

pub fn total(sightings: &[Sighting]) -> Found {
    sum(sightings.iter())
}

fn in_order<'a>(
    sightings: &'a [Sighting],
    key: impl Fn(&'a Sighting) -> &'static str,
) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in sightings.iter().map(key) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Each cell: copies left in what people run, and in the control.
pub fn render(hunted: &[Sighting], control: &[Sighting]) -> String {
    let mut text = format!(
        "{:34} {:>16} {:>16} {:>16} {:>16}   copies left / left by the control\n",
        "scenario", "raw", "escaped", "base64", "hex"
    );
    for scenario in in_order(hunted, |s| s.scenario) {
        let of = |list: &[Sighting]| sum(list.iter().filter(|s| s.scenario == scenario));
        let (left, by_control) = (of(hunted), of(control));
        let in_control = control.iter().any(|s| s.scenario == scenario);
        text.push_str(&format!("{scenario:34}"));
        for form in Form::ALL {
            let beside = match in_control {
                true => by_control.of(form).to_string(),
                false => "–".to_owned(),
            };
            text.push_str(&format!(" {:>16}", format!("{} / {beside}", left.of(form))));
        }
        text.push('\n');
    }
    text.push('\n');
    for mode in in_order(hunted, |s| s.keeping.name()) {
        for process in in_order(hunted, |s| s.process) {
            let searched = |s: &&Sighting| s.process == process && s.keeping.name() == mode;
            let searches = hunted.iter().filter(searched);
            let found = sum(searches.clone());
            text.push_str(&match searches.count() {
                0 => String::new(),
                count => format!(
                    "{process:24} mode {mode:10} {count} searches, {} copies ({} of prompts)\n",
                    found.all(),
                    found.of_prompt
                ),
            });
        }
    }
    text
}

/// What is wrong with the figures, if anything.
pub fn complaints(hunted: &[Sighting], control: &[Sighting]) -> Vec<String> {
    let mut complaints: Vec<String> = hunted
        .iter()
        .filter(|sighting| sighting.found.all() > 0)
        .map(|s| {
            format!(
                "{} copies in {} in mode {} after \"{}\" through {}: {:?}",
                s.found.all(),
                s.process,
                s.keeping.name(),
                s.scenario,
                s.door,
                s.found
            )
        })
        .collect();
    let found = total(control);
    for form in Form::OF_TRAFFIC {
        if found.of(form) == 0 {
            complaints.push(format!("the control found nothing in form {form:?}"));
        }
    }
    if found.all() < ENOUGH {
        complaints.push(format!(
            "the control found {} copies, too few to trust the search",
            found.all()
        ));
    }
    complaints
}

/// A control that finds fewer proves nothing.
pub const ENOUGH: u64 = 2000;

/// What lies on the disk in one mode.
pub fn of_disk(disk: &Disk, keeping: Keeping) -> String {
    let sealed = disk.sealed.map(|(who, count)| format!("{who} {count}"));
    format!(
        "mode {:10} {} files on the disk, {} of them with a copy; sealed: {}\n",
        keeping.name(),
        disk.files,
        disk.copies.len(),
        sealed.join(", ")
    )
}

/// What is wrong with what lies there: a copy, or records where none are to be, or none where they are.
pub fn complaints_of_disk(disk: &Disk, keeping: Keeping) -> Vec<String> {
    let copies = disk.copies.iter();
    let mut complaints: Vec<String> = copies
        .map(|(name, found)| format!("{name} holds {found:?}"))
        .collect();
    for (who, sealed) in disk.sealed {
        if (sealed > 0) != (keeping == Keeping::Content) {
            let mode = keeping.name();
            complaints.push(format!("{who} has sealed {sealed} files in mode {mode}"));
        }
    }
    complaints
}

/// What was gathered and searched, by kind, beside the copies planted there for control.
pub fn of_outputs(outputs: &Outputs) -> String {
    let mut text = format!(
        "{:12} {:>8} {:>12} {:>8} {:>8}\n",
        "output", "pieces", "bytes", "copies", "planted"
    );
    for (kind, planted) in outputs.planted() {
        let of_kind = || outputs.all.iter().filter(|output| output.kind == kind);
        let bytes: usize = of_kind().map(|output| output.bytes.len()).sum();
        let leaks = outputs.leaks();
        let copies: u64 = leaks
            .iter()
            .filter(|leak| leak.0 == kind)
            .map(|leak| leak.2.all())
            .sum();
        text.push_str(&format!(
            "{:12} {:>8} {bytes:>12} {copies:>8} {:>8}\n",
            format!("{kind:?}"),
            of_kind().count(),
            planted.all()
        ));
    }
    text
}

/// What is wrong with what was gathered, if anything.
pub fn complaints_of_outputs(outputs: &Outputs) -> Vec<String> {
    let leaks = outputs.leaks();
    let leaks = leaks
        .iter()
        .map(|(kind, name, found)| format!("{kind:?} {name} holds {found:?}"));
    let marked = outputs.marked();
    let unmarked = Kind::TELLING.iter().filter(|kind| !marked.contains(kind));
    let unmarked =
        unmarked.map(|kind| format!("no name of a tenant or a model is found in any {kind:?}"));
    let planted = outputs.planted();
    let missed = planted.iter().flat_map(|(kind, found)| {
        let missed = Form::ALL.into_iter().filter(|form| found.of(*form) == 0);
        missed.map(move |form| format!("a copy planted in {kind:?} as {form:?} is not found"))
    });
    let nothing = |kind: &Kind| {
        outputs
            .all
            .iter()
            .all(|o| o.kind != *kind || o.bytes.is_empty())
    };
    let empty = Kind::ALL.into_iter().filter(nothing);
    let empty = empty.map(|kind| format!("nothing was gathered of {kind:?}"));
    leaks.chain(unmarked).chain(missed).chain(empty).collect()
}
