//! llama.cpp's server, run with the C library and the loader of its packages.

use std::path::{Path, PathBuf};

/// Packages that are unpacked below `root`.
#[derive(Clone, Debug)]
pub struct Llama {
    pub root: PathBuf,
}

/// A program with its arguments, and the directory that it is started in.
#[derive(Clone, Debug)]
pub struct CommandLine {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub directory: PathBuf,
}

impl Llama {
    /// `llama-server` with these arguments. It searches its working directory for backends, one for each generation of
    /// processors, and loads the one that fits this machine's best.
    pub fn server(&self, arguments: impl IntoIterator<Item = String>) -> CommandLine {
        let libraries = self.root.join("usr/lib/x86_64-linux-gnu");
        let text = |path: &Path| path.display().to_string();
        let search = [text(&libraries), text(&libraries.join("llama"))].join(":");
        let mut all = vec![
            "--library-path".to_owned(),
            search,
            text(&self.root.join("usr/bin/llama-server")),
        ];
        all.extend(arguments);
        CommandLine {
            program: libraries.join("ld-linux-x86-64.so.2"),
            arguments: all,
            directory: libraries.join("ggml/backends0"),
        }
    }
}
