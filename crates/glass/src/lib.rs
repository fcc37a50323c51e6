//! Glass: a GPT you can see through.
//!
//! The modules are in the order of the data flow: text becomes tokens, tokens become vectors, the vectors take in their
//! context block by block, and the last vector becomes a probability for every possible next token.
#![forbid(unsafe_code)]

// The shape of a model, and the names and positions of its parameters.
pub mod config;
pub mod plan;

// Text → tokens.
pub mod tokens;

// Tokens → vectors → logits, and the gradients back.
pub mod model;

// Logits → probabilities → the next token, and again; and a conversation.
pub mod next_token;
pub mod guess;
pub mod generate;
pub mod scheduler;
pub mod score;
pub mod conversation;
pub mod runtime;
pub mod text_model;
pub mod verify;

// What the model uses: weights, memory, the back end, probes.
pub mod weights;
pub mod memory;
pub mod backend;
pub mod probe;
pub mod inspect;
pub mod atomic_write;
pub mod stored;
#[cfg(feature = "built-in")]
pub mod built_in;

// Training.
pub mod families;
mod fingerprint;
#[cfg(not(target_family = "wasm"))]
mod random;
pub mod train;

pub mod error;

pub use config::Config;
pub use error::{Error, Result, reason};
