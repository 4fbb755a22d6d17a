//! `manifest.json`: every file of an image, with what it is and where it came from.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use ring::digest::{Context as Sha256, SHA256, digest};
use serde_json::{Value, json};

use crate::debian::archive::{hex, sha256_of};
use crate::debian::lock::Locked;
use crate::definition::Definition;
use crate::disk::tree::{Contents, Kind, Origin, Tree};
use crate::image::Image;

/// The manifest as JSON text.
pub fn text(
    definition: &Definition,
    image: &Image,
    toolchain: &BTreeMap<String, String>,
) -> Result<String> {
    let mut outputs = vec![output(&image.uki)?, output(&image.root)?];
    if let Some(model) = &image.model {
        outputs.push(output(model)?);
    }
    let manifest = json!({
        "format": "sealgate/image-manifest/1",
        "image": definition.name,
        "description": definition.description,
        "production": definition.production,
        "outputs": outputs,
        "command_line": image.command_line,
        "verity": { "root": hex(&image.verity.root), "blocks": image.verity.blocks },
        "modules": image.modules,
        "packages": image.packages.iter().map(package).collect::<Vec<_>>(),
        "root": entries(&image.root_tree)?,
        "initrd": entries(&image.initrd_tree)?,
        "toolchain": toolchain,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&manifest)?))
}

fn output(file: &Path) -> Result<Value> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(json!({
        "file": name,
        "size": std::fs::metadata(file)?.len(),
        "sha256": sha256_of(file)?,
    }))
}

fn package(package: &Locked) -> Value {
    json!({
        "name": package.name,
        "version": package.version,
        "architecture": package.architecture,
        "suite": package.suite,
        "sha256": package.sha256,
    })
}

fn entries(tree: &Tree) -> Result<Vec<Value>> {
    let mut entries = Vec::new();
    for (path, node) in tree.iter() {
        let mut entry = json!({
            "path": path,
            "mode": format!("{:04o}", node.mode),
            "from": from(&node.origin),
        });
        match &node.kind {
            Kind::Directory => entry["kind"] = "directory".into(),
            Kind::Link(target) => {
                entry["kind"] = "link".into();
                entry["target"] = target.as_str().into();
            }
            Kind::CharacterDevice { major, minor } => {
                entry["kind"] = "device".into();
                entry["device"] = format!("{major}:{minor}").into();
            }
            Kind::File(contents) => {
                entry["kind"] = "file".into();
                entry["size"] = contents.len().into();
                entry["sha256"] = digest_of(contents)?.into();
            }
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn from(origin: &Origin) -> String {
    match origin {
        Origin::Package(name) => format!("package {name}"),
        Origin::Program(name) => format!("program {name}"),
        Origin::Definition => "definition".to_owned(),
        Origin::Given(name) => format!("given {name}"),
    }
}

fn digest_of(contents: &Contents) -> Result<String> {
    match contents {
        Contents::Bytes(bytes) => Ok(hex(digest(&SHA256, bytes).as_ref())),
        Contents::OnDisk { path, .. } => {
            let mut context = Sha256::new(&SHA256);
            let mut file = std::fs::File::open(path)?;
            let mut buffer = vec![0; 1 << 20];
            loop {
                match std::io::Read::read(&mut file, &mut buffer)? {
                    0 => return Ok(hex(context.finish().as_ref())),
                    read => context.update(&buffer[..read]),
                }
            }
        }
    }
}
