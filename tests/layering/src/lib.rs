//! What the folders may know of each other, read from `cargo metadata` and from the source itself.
//!
//! This crate only reads: [`graph`] turns `cargo metadata` into a dependency graph that can be asked
//! what a crate reaches, [`source`] gives a file's code without comments, literals and test modules, [`modules`] reads which
//! modules of a crate name which others,
//! [`imports`] orders imports, [`locks`] finds shared state, [`tree`] walks the repository, and [`words`] reads prose. The rules are in `tests/`.

pub mod graph;
pub mod imports;
pub mod locks;
pub mod modules;
pub mod source;
pub mod tree;
pub mod words;
