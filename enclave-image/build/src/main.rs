//! `image`: builds the confidential VM.

fn main() {}
