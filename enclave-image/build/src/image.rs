//! Puts an image together: root, tree, initial file system, command line, unified kernel image.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::boot::modules;
use crate::boot::uki::{self, Section};
use crate::debian::archive::{Archive, hex};
use crate::debian::deb::{Deb, unxz};
use crate::debian::lock::{Lock, Locked};
use crate::debian::tar::MemberKind;
use crate::definition::{ConfigSource, Definition, StatePlace};
use crate::disk::tree::{Contents, Kind, Node, Origin, Tree};
use crate::disk::verity::{HashTree, Hasher};
use crate::disk::{cpio, erofs};
use crate::say;

/// What an image is made from, all of it read.
#[derive(Debug)]
pub struct Parts {
    pub definition: Definition,
    pub lock: Lock,
    pub archive: Archive,
    /// PID 1 (`init`) and the image's programs.
    pub programs: BTreeMap<String, Vec<u8>>,
    /// A model, for images that have one.
    pub model: Option<PathBuf>,
}

/// An image, written.
#[derive(Debug)]
pub struct Image {
    pub uki: PathBuf,
    pub root: PathBuf,
    pub model: Option<PathBuf>,
    pub command_line: String,
    pub root_tree: Tree,
    pub initrd_tree: Tree,
    pub verity: HashTree,
    pub packages: Vec<Locked>,
    /// In load order.
    pub modules: Vec<String>,
}

/// Builds into a folder.
pub fn build(parts: &Parts, out: &Path) -> Result<Image> {
    let definition = &parts.definition;
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let boot: Vec<&Locked> = parts.lock.group("boot").collect();
    let mut names: Vec<&str> = definition
        .lists
        .package
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    names.extend(definition.lists.bundle.iter().map(|b| b.package.as_str()));
    names.sort_unstable();
    names.dedup();
    let mut root_packages = Vec::new();
    for name in names {
        root_packages.push(parts.lock.find(&definition.group, name)?);
    }
    let packages: Vec<&Locked> = boot.iter().chain(&root_packages).copied().collect();
    parts.archive.provide(&packages)?;

    say::step("Root: files of packages, our programs, the definition's texts");
    let debs = open(&parts.archive, &root_packages)?;
    let root_tree = root_tree(definition, &debs, &parts.programs)?;
    let root = out.join("root.img");
    let verity = write_disk(&root_tree, &root)?;
    say::note(&format!(
        "root.img {}, root hash {}",
        say::size(fs::metadata(&root)?.len()),
        hex(&verity.root)
    ));

    let model = match (&parts.model, definition.model) {
        (Some(file), true) => Some(write_model(file, out)?),
        (None, false) => None,
        (None, true) => bail!(
            "the image {} needs a model: --model FILE.gguf",
            definition.name
        ),
        (Some(_), false) => bail!("the image {} has no model", definition.name),
    };
    let command_line = command_line(definition, &verity, model.as_ref().map(|(_, tree)| tree));

    say::step("Kernel, modules, initial file system");
    let debs = open(&parts.archive, &boot)?;
    let kernel = Kernel::find(&debs, &definition.lists.kernel_config)?;
    let (initrd_tree, modules) = initrd_tree(&kernel, definition, &command_line, &parts.programs)?;
    let initrd = cpio::pack(&initrd_tree)?;
    let stub = kernel.stub(&debs)?;
    let sections = [
        Section {
            name: ".cmdline",
            contents: command_line.as_bytes(),
        },
        Section {
            name: ".initrd",
            contents: &initrd,
        },
        Section {
            name: ".linux",
            contents: kernel.image,
        },
    ];
    let image = uki::assemble(stub, &sections)?;
    let file = out.join(format!("sealgate-{}.efi", definition.name));
    fs::write(&file, &image).with_context(|| file.display().to_string())?;
    say::note(&format!(
        "{} {}: kernel {}, initial file system {} with {} modules",
        file.file_name().unwrap_or_default().display(),
        say::size(image.len() as u64),
        say::size(kernel.image.len() as u64),
        say::size(initrd.len() as u64),
        modules.len()
    ));
    Ok(Image {
        uki: file,
        root,
        model: model.map(|(file, _)| file),
        command_line,
        root_tree,
        initrd_tree,
        verity,
        packages: packages.into_iter().cloned().collect(),
        modules,
    })
}

fn open(archive: &Archive, packages: &[&Locked]) -> Result<BTreeMap<String, Deb>> {
    packages
        .iter()
        .map(|package| {
            let deb = Deb::open(&package.name, &archive.file(package)?)?;
            Ok((package.name.clone(), deb))
        })
        .collect()
}

/// Writes a tree and its hash tree as one file.
pub fn write_disk(tree: &Tree, file: &Path) -> Result<HashTree> {
    let mut out = Hashing {
        out: BufWriter::new(File::create(file).with_context(|| file.display().to_string())?),
        hasher: Hasher::default(),
    };
    erofs::write(tree, &mut out)?;
    let verity = out.hasher.finish()?;
    out.out.write_all(&verity.bytes)?;
    out.out.flush()?;
    Ok(verity)
}

struct Hashing {
    out: BufWriter<File>,
    hasher: Hasher,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn write_model(file: &Path, out: &Path) -> Result<(PathBuf, HashTree)> {
    say::step(&format!("Model: {}", file.display()));
    let len = fs::metadata(file)
        .with_context(|| file.display().to_string())?
        .len();
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut tree = Tree::default();
    let kind = Kind::File(Contents::OnDisk {
        path: file.to_owned(),
        len,
    });
    let origin = Origin::Given(name.into_owned());
    tree.add(
        "/model.gguf",
        Node {
            kind,
            mode: 0o644,
            origin,
        },
    )?;
    let image = out.join("model.img");
    let verity = write_disk(&tree, &image)?;
    say::note(&format!(
        "model.img {}, root hash {}",
        say::size(fs::metadata(&image)?.len()),
        hex(&verity.root)
    ));
    Ok((image, verity))
}

fn command_line(definition: &Definition, root: &HashTree, model: Option<&HashTree>) -> String {
    let mut words = definition.lists.command_line.clone();
    words.push(format!("sealgate.profile={}", definition.name));
    words.push(format!("sealgate.root={}", hex(&root.root)));
    words.push(format!("sealgate.blocks={}", root.blocks));
    words.push(
        match definition.config {
            ConfigSource::Image => "sealgate.config=image",
            ConfigSource::Disk => "sealgate.config=disk",
        }
        .to_owned(),
    );
    words.push(
        match definition.state {
            StatePlace::None => "sealgate.state=none",
            StatePlace::Disk => "sealgate.state=disk",
        }
        .to_owned(),
    );
    if let Some(model) = model {
        words.push(format!(
            "sealgate.model={}/{}",
            hex(&model.root),
            model.blocks
        ));
    }
    words.join(" ")
}

fn root_tree(
    definition: &Definition,
    debs: &BTreeMap<String, Deb>,
    programs: &BTreeMap<String, Vec<u8>>,
) -> Result<Tree> {
    let lists = &definition.lists;
    let mut tree = Tree::default();
    for path in &lists.directories {
        tree.add_directory(path)?;
    }
    for package in &lists.package {
        let deb = &debs[&package.name];
        for path in &package.files {
            add_of_package(&mut tree, deb, path)?;
        }
    }
    for bundle in &lists.bundle {
        let bytes = bundle_of(&debs[&bundle.package], &bundle.directory)?;
        let origin = Origin::Package(bundle.package.clone());
        tree.add_file(&bundle.path, 0o644, bytes, origin)?;
    }
    for program in &lists.program {
        let bytes = programs
            .get(&program.name)
            .with_context(|| format!("the program {} was not built", program.name))?;
        let origin = Origin::Program(program.name.clone());
        tree.add_file(&program.path, 0o755, bytes.clone(), origin)?;
    }
    for text in &lists.text {
        let bytes = text.contents.trim_start_matches('\n').as_bytes().to_vec();
        tree.add_file(&text.path, 0o644, bytes, Origin::Definition)?;
    }
    for link in &lists.link {
        let kind = Kind::Link(link.target.clone());
        tree.add(
            &link.path,
            Node {
                kind,
                mode: 0o777,
                origin: Origin::Definition,
            },
        )?;
    }
    Ok(tree)
}

/// A file or link as the package has it; a link to a versioned library brings the file it names.
fn add_of_package(tree: &mut Tree, deb: &Deb, path: &str) -> Result<()> {
    let member = deb.member(path)?;
    let origin = Origin::Package(deb.name.clone());
    match &member.kind {
        MemberKind::File(_) | MemberKind::HardLink(_) => {
            let mode = if member.mode & 0o111 == 0 {
                0o644
            } else {
                0o755
            };
            ensure!(
                member.mode & 0o7000 == 0,
                "{path} of {} is setuid, setgid or sticky",
                deb.name
            );
            tree.add_file(path, mode, deb.file(path)?.to_vec(), origin)?;
        }
        MemberKind::Link(target) => {
            let kind = Kind::Link(target.clone());
            tree.add(
                path,
                Node {
                    kind,
                    mode: 0o777,
                    origin,
                },
            )?;
            if !target.contains('/') {
                let beside = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                add_of_package(tree, deb, &format!("{beside}/{target}"))?;
            }
        }
        MemberKind::Directory => bail!("{path} of {} is a directory", deb.name),
    }
    Ok(())
}

/// As `update-ca-certificates` makes it: one certificate after the other, by name, each with a line end.
fn bundle_of(deb: &Deb, directory: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for (path, _) in deb.members() {
        let inside = path.strip_prefix(directory);
        if !inside.is_some_and(|name| name.starts_with('/') && name.ends_with(".crt")) {
            continue;
        }
        bytes.extend_from_slice(deb.file(path)?);
        if !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
    }
    ensure!(
        !bytes.is_empty(),
        "the package {} has no certificate in {directory}",
        deb.name
    );
    Ok(bytes)
}

/// The kernel's packages.
struct Kernel<'a> {
    image: &'a [u8],
    modules: &'a Deb,
}

const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

impl<'a> Kernel<'a> {
    fn find(debs: &'a BTreeMap<String, Deb>, wanted: &[String]) -> Result<Self> {
        let of = |prefix: &str| -> Result<&'a Deb> {
            let mut found = debs.values().filter(|deb| deb.name.starts_with(prefix));
            match (found.next(), found.next()) {
                (Some(deb), None) => Ok(deb),
                _ => bail!("the lock's group boot needs one package {prefix}…"),
            }
        };
        let ending = |deb: &'a Deb, end: &str| -> Result<&'a [u8]> {
            let path = deb
                .members()
                .map(|(path, _)| path)
                .find(|p| p.ends_with(end));
            deb.file(path.with_context(|| format!("{} has no {end}", deb.name))?)
        };
        let config = String::from_utf8_lossy(ending(of("linux-base-")?, "/config")?).into_owned();
        if let Some(missing) = wanted
            .iter()
            .find(|w| !config.lines().any(|l| l == w.as_str()))
        {
            bail!("the kernel was not built with {missing}");
        }
        Ok(Self {
            image: ending(of("linux-binary-")?, "/vmlinuz")?,
            modules: of("linux-modules-")?,
        })
    }

    fn stub(&self, debs: &'a BTreeMap<String, Deb>) -> Result<&'a [u8]> {
        let deb = debs
            .get("systemd-boot-efi")
            .context("the lock's group boot needs systemd-boot-efi")?;
        deb.file(STUB)
    }

    /// A module's bytes, by its name.
    fn module(&self, name: &str) -> Option<Vec<u8>> {
        let mut paths = self.modules.members().map(|(path, _)| path);
        let path = paths.find(|path| {
            let file = path.rsplit('/').next().unwrap_or_default();
            let stem = file
                .strip_suffix(".ko.xz")
                .or_else(|| file.strip_suffix(".ko"));
            stem.is_some_and(|stem| modules::canonical(stem) == name)
        })?;
        let bytes = self.modules.file(path).ok()?;
        if path.ends_with(".xz") {
            unxz(bytes).ok()
        } else {
            Some(bytes.to_vec())
        }
    }
}

fn initrd_tree(
    kernel: &Kernel<'_>,
    definition: &Definition,
    command_line: &str,
    programs: &BTreeMap<String, Vec<u8>>,
) -> Result<(Tree, Vec<String>)> {
    let mut tree = Tree::default();
    for path in ["/dev", "/proc", "/sys", "/run", "/root"] {
        tree.add_directory(path)?;
    }
    let console = Node {
        kind: Kind::CharacterDevice { major: 5, minor: 1 },
        mode: 0o600,
        origin: Origin::Definition,
    };
    tree.add("/dev/console", console)?;
    let init = programs.get("init").context("PID 1 was not built")?;
    ensure!(
        is_static(init),
        "the program init is not statically linked: there is no loader in the initial file system"
    );
    let origin = Origin::Program("init".into());
    tree.add_file("/init", 0o755, init.clone(), origin)?;
    let line = format!("{command_line}\n").into_bytes();
    tree.add_file("/etc/cmdline", 0o644, line, Origin::Definition)?;
    let loaded = modules::load_order(&definition.lists.modules, |name| kernel.module(name))?;
    let mut list = String::new();
    let mut names = Vec::new();
    for (name, bytes) in loaded {
        let path = format!("/lib/modules/{name}.ko");
        list.push_str(&path);
        list.push('\n');
        let origin = Origin::Package(kernel.modules.name.clone());
        tree.add_file(&path, 0o644, bytes, origin)?;
        names.push(name);
    }
    tree.add_file("/etc/modules", 0o644, list.into_bytes(), Origin::Definition)?;
    Ok((tree, names))
}

/// Whether an ELF file names no loader (`PT_INTERP`).
fn is_static(program: &[u8]) -> bool {
    let field = |at: usize, len: usize| -> Option<usize> {
        let mut value = [0; 8];
        value[..len].copy_from_slice(program.get(at..at.checked_add(len)?)?);
        usize::try_from(u64::from_le_bytes(value)).ok()
    };
    let interprets = || -> Option<bool> {
        let (table, len, count) = (field(0x20, 8)?, field(0x36, 2)?, field(0x38, 2)?);
        Some((0..count).any(|index| field(table + index * len, 4) == Some(3)))
    };
    interprets() == Some(false)
}
