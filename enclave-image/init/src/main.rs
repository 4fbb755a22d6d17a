//! PID 1 of the enclave image.

fn main() {}
