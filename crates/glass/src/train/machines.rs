//! What a training takes on many machines: which parallelism, memory, time, energy and money.
//!
//! ```text
//! Cluster (a file) ─┐
//! Config ─ Training ─┴─▶ layouts ─ memory: those that fit ─ time: the fastest ─▶ Plan ─▶ equations with their numbers
//! ```
//!
//! Everything is arithmetic over sizes: no weights, no clock, no files. Quantities are `f64` in SI units: bytes, seconds,
//! operations, watts. A *device* is what a rank runs on: a GPU, or some cores of a processor.
//!
//! Sources, by the names that [`equations`] uses: Kaplan et al. 2020 (arXiv 2001.08361, table 1) and Chowdhery et al. 2022 (PaLM, arXiv
//! 2204.02311, appendix B) for operations and the share of the peak; Shoeybi et al. 2019 (arXiv 1909.08053) for tensor parallelism;
//! Narayanan et al. 2021 (arXiv 2104.04473) for pipelines, their bubble and the exchange of all three; Rajbhandari et al. 2020 (ZeRO, arXiv
//! 1910.02054) for memory and exchange of its stages; Korthikanti et al. 2022 (arXiv 2205.05198) for activations; Patarasuk & Yuan
//! 2009 for the ring.

mod candidates;
mod cluster;
mod equations;
mod layout;
mod links;
mod memory;
mod search;
mod time;
mod training;

pub use candidates::Asked;
pub use cluster::{Attention, Bytes, Cluster, Device, Flops, Network, Node, Software, Sums};
pub use equations::{Equation, equations};
pub use layout::{Layout, Recompute};
pub use links::Ring;
pub use memory::Memory;
pub use search::{Plan, Totals, plan, plan_of};
pub use time::Time;
pub use training::{Precision, Training, Work};
