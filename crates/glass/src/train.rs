//! Learning: from files to a model.
//!
//! ```text
//! files ─ data ─▶ documents ─ set ─▶ token ids ─ order ─▶ batches ─ learner ─▶ weights ─ folder ─▶ checkpoints, model
//! ```
//!
//! Everything here is a function of the data, the settings and the step's number: a run that was stopped and resumed
//! writes the same bytes as one that never stopped.

pub mod files;
pub mod data;
pub mod shards;
pub mod chats;
pub mod set;
pub mod ids;
pub mod order;
pub mod settings;
pub mod schedule;
pub mod initialise;
pub mod learner;
pub mod run;
pub mod watch;
pub mod spikes;
pub mod log;
pub mod folder;
pub mod checkpoint;
mod durable;
mod fingerprint;
mod random;
