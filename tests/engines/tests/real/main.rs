//! llama.cpp on a real model behind an enclave, asked as a client asks: through `sealgate-verify proxy`, which has
//! verified the gateway, which has verified the enclave. Skipped by name where the engine is not there.

mod abort;
mod chat;
mod embeddings;
mod errors;
mod path;
mod structured;
mod tools;
