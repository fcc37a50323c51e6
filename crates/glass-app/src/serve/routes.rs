//! The endpoints, a file for each kind.

pub mod chat;
pub mod health;
pub mod models;
