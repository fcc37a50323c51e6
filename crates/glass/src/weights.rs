//! The numbers: where they stand in memory, and the files they come from.

pub mod folder;
pub mod names;
pub mod safetensors;
