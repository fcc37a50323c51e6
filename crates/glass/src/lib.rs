//! Glass: a GPT you can see through.
//!
//! The modules stand in the order of the flow: text becomes tokens, tokens become vectors, the vectors take in their
//! context block by block, and the last one becomes a probability for every next token.
#![forbid(unsafe_code)]

pub mod backend;
pub mod config;
pub mod error;
pub mod generate;
pub mod memory;
pub mod model;
pub mod next_token;
pub mod plan;
pub mod probe;
pub mod tokens;
#[cfg(not(target_family = "wasm"))]
pub mod train;
pub mod weights;

pub use config::Config;
pub use error::{Error, Result};
