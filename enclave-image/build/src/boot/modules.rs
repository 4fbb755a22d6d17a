//! Kernel modules: which are needed, and in which order they are loaded.
//!
//! Each module names what it depends on in its own `.modinfo` section, so no index of the distribution's is needed.
//! Modules keep the signature that is appended to them: they are not changed.

use std::collections::{BTreeMap, BTreeSet};

/// Why there is no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    #[error("the kernel's packages have no module {0}")]
    Missing(String),
    #[error("the module {by} depends on {name}, which the kernel's packages do not have")]
    MissingDependency { name: String, by: String },
    #[error("the module {0} depends on itself")]
    Cycle(String),
    #[error("{0} is no module of a 64-bit kernel, or has no .modinfo section")]
    NoModule(String),
    #[error("{0} has no signature")]
    Unsigned(String),
}

/// What ends a module with an appended signature.
const SIGNED: &[u8] = b"~Module signature appended~\n";

/// Names in load order: dependencies first, otherwise as wanted. `open` yields a module's bytes by its name.
pub fn load_order(
    wanted: &[String],
    mut open: impl FnMut(&str) -> Option<Vec<u8>>,
) -> Result<Vec<(String, Vec<u8>)>, ModuleError> {
    let mut order = Order {
        loaded: Vec::new(),
        done: BTreeSet::new(),
        above: Vec::new(),
        opened: BTreeMap::new(),
    };
    for name in wanted {
        order.add(&canonical(name), None, &mut open)?;
    }
    Ok(order.loaded)
}

/// As the kernel names modules: `-` and `_` are the same.
pub fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

struct Order {
    loaded: Vec<(String, Vec<u8>)>,
    done: BTreeSet<String>,
    above: Vec<String>,
    opened: BTreeMap<String, Vec<u8>>,
}

impl Order {
    fn add(
        &mut self,
        name: &str,
        by: Option<&str>,
        open: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
    ) -> Result<(), ModuleError> {
        if self.done.contains(name) {
            return Ok(());
        }
        if self.above.iter().any(|above| above == name) {
            return Err(ModuleError::Cycle(name.to_owned()));
        }
        let bytes = open(name).ok_or_else(|| match by {
            None => ModuleError::Missing(name.to_owned()),
            Some(by) => ModuleError::MissingDependency {
                name: name.to_owned(),
                by: by.to_owned(),
            },
        })?;
        if !bytes.ends_with(SIGNED) {
            return Err(ModuleError::Unsigned(name.to_owned()));
        }
        let needed = dependencies(&bytes).ok_or_else(|| ModuleError::NoModule(name.to_owned()))?;
        self.opened.insert(name.to_owned(), bytes);
        self.above.push(name.to_owned());
        for dependency in needed {
            self.add(&dependency, Some(name), open)?;
        }
        self.above.pop();
        self.done.insert(name.to_owned());
        if let Some(bytes) = self.opened.remove(name) {
            self.loaded.push((name.to_owned(), bytes));
        }
        Ok(())
    }
}

/// What a module says that it depends on; `None` if it is no module.
pub fn dependencies(module: &[u8]) -> Option<Vec<String>> {
    let information = section(module, b".modinfo")?;
    let entries = information.split(|byte| *byte == 0);
    let mut named = entries.filter_map(|entry| entry.strip_prefix(b"depends="));
    let list = std::str::from_utf8(named.next()?).ok()?;
    let names = list.split(',').filter(|name| !name.is_empty());
    Some(names.map(canonical).collect())
}

/// A section of a 64-bit little-endian ELF file by its name.
fn section<'a>(file: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table = usize::try_from(read(file, 0x28, 8)?).ok()?;
    let len = usize::try_from(read(file, 0x3a, 2)?).ok()?;
    let count = usize::try_from(read(file, 0x3c, 2)?).ok()?;
    let names_index = usize::try_from(read(file, 0x3e, 2)?).ok()?;
    let header = |index: usize| table.checked_add(index.checked_mul(len)?);
    let contents = |index: usize| -> Option<&'a [u8]> {
        let at = header(index)?;
        let start = usize::try_from(read(file, at.checked_add(0x18)?, 8)?).ok()?;
        let size = usize::try_from(read(file, at.checked_add(0x20)?, 8)?).ok()?;
        file.get(start..start.checked_add(size)?)
    };
    let names = contents(names_index)?;
    (0..count).find_map(|index| {
        let at = usize::try_from(read(file, header(index)?, 4)?).ok()?;
        let rest = names.get(at..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        if &rest[..end] != name {
            return None;
        }
        contents(index)
    })
}

fn read(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(len)?)?;
    let mut value = [0; 8];
    value[..len].copy_from_slice(field);
    Some(u64::from_le_bytes(value))
}
