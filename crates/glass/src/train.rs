//! Learning.

pub mod checkpoint;
pub mod data;
pub mod schedule;
