//! Generating: the next token, and again.

pub mod runner;

pub use runner::Runner;
