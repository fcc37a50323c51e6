//! Learning.

pub mod checkpoint;
pub mod data;
pub mod initialise;
pub mod learner;
pub mod schedule;
