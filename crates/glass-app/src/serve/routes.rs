//! The endpoints, a file for each kind.

pub mod chat;
pub mod completions;
pub mod embeddings;
pub mod explain;
pub mod health;
pub mod look;
pub mod models;
pub mod responses;
pub mod tokens;
