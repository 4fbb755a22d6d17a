//! `image build`: builds images with manifest, bill of materials and predicted measurements.

use std::path::PathBuf;
use std::time::Instant;
use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};
use clap::Args;

use super::places::Places;
use enclave_image::debian::archive::sha256_of;
use enclave_image::definition::Definition;
use enclave_image::image::{self, Parts};
use enclave_image::programs::{self, Source};
use enclave_image::{manifest, predict, say, sbom};

#[derive(Debug, Args)]
pub struct BuildArgs {
    #[command(flatten)]
    pub places: Places,
    /// Which images: names of files in enclave-image/images, without .toml
    #[arg(long, value_name = "NAME", required = true)]
    pub profile: Vec<String>,
    /// Take init, the image's programs and sealgate-verify from a folder instead of building them
    #[arg(long, value_name = "DIR")]
    pub binaries: Option<PathBuf>,
    /// The model of an image that has one, a .gguf file
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// How programs are built: release, or demo for a quick look
    #[arg(long, value_name = "NAME", default_value = "release")]
    pub cargo_profile: String,
    /// Do not predict measurements
    #[arg(long)]
    pub no_prediction: bool,
}

pub fn run(arguments: &BuildArgs) -> Result<()> {
    let mut built = Vec::new();
    for profile in &arguments.profile {
        built.push(build(arguments, profile)?);
    }
    println!("{}", built.join("; "));
    Ok(())
}

/// Builds one image and returns its summary line.
fn build(arguments: &BuildArgs, profile: &str) -> Result<String> {
    let began = Instant::now();
    let places = &arguments.places;
    let definition = Definition::load(&places.images(), profile)?;
    say::step(&format!("Image {}: {}", profile, definition.description));
    let out = places.output().join(profile);
    let source = source(arguments);
    let programs = programs::provide(&source, &definition)?;
    let parts = Parts {
        model: definition.model.then(|| arguments.model.clone()).flatten(),
        definition,
        lock: places.lock()?,
        archive: places.archive(),
        programs,
    };
    let image = image::build(&parts, &out)?;
    let toolchain = match &source {
        Source::Built { .. } => programs::toolchain(),
        Source::Given(_) => BTreeMap::from([("programs".into(), "given, not built".into())]),
    };
    let text = manifest::text(&parts.definition, &image, &toolchain)?;
    fs::write(out.join("manifest.json"), text).context("manifest.json")?;
    let text = sbom::text(&parts.definition, &image, &places.workspace)?;
    fs::write(out.join("sbom.spdx.json"), text).context("sbom.spdx.json")?;
    if !arguments.no_prediction {
        let verifier = programs::verifier(&source)?;
        let (profiles, lock) = (places.launch_profiles(), &parts.lock);
        predict::write(&verifier, &image.uki, &profiles, lock, &parts.archive, &out)?;
    }
    Ok(format!(
        "{profile}: UKI {} sha256:{}, root {}, {} files of {} packages, {:.0} s",
        say::size(fs::metadata(&image.uki)?.len()),
        &sha256_of(&image.uki)?[..16],
        say::size(fs::metadata(&image.root)?.len()),
        image.root_tree.len() + image.initrd_tree.len(),
        image.packages.len(),
        began.elapsed().as_secs_f64()
    ))
}

fn source(arguments: &BuildArgs) -> Source {
    match &arguments.binaries {
        Some(folder) => Source::Given(folder.clone()),
        None => Source::Built {
            workspace: arguments.places.workspace.clone(),
            target: arguments.places.output().join("cargo"),
            profile: arguments.cargo_profile.clone(),
        },
    }
}
