//! The arithmetic of a GPT on a CPU.
//!
//! Each operation of the model is one file: slices in, slices out, the forward pass above the backward pass.
//! Matrices are row-major unless stated otherwise; `rows` of an activation are positions, `cols` its width. Shapes
//! are asserted once, at the entry of each function; nothing here returns an error.
//!
//! **Same bits.** Every output element is one chain of multiply-adds in ascending k (products on AMX excepted, whose order is as
//! fixed), whether one row is computed or a thousand; sums are cut by shape, never by threads or caches, and partial sums are added in index order.

pub mod activate;
pub mod adamw;
pub mod add;
pub mod attend;
mod blocks;
pub mod cap;
pub mod huge_pages;
pub mod clear;
mod cores;
pub mod dropout;
pub mod embed;
mod exp;
pub mod gate;
mod operands;
pub mod aligned;
pub mod format;
mod isa;
mod lanes;
pub mod linear;
pub mod loss;
pub mod teach;
pub mod low_rank;
#[cfg(not(target_family = "wasm"))]
pub mod map;
pub mod muon;
pub mod norm;
pub mod packing;
mod pool;
mod precision;
pub mod peak;
pub mod random;
pub mod rotate;
mod scratch;
mod small_product;
mod l2_cache;
mod tanh;
mod tiles;

pub use blocks::{BlockSize, Room};
pub use cores::Cores;
pub use isa::Isa;
pub use precision::{InputScales, Precision};

/// Whether a result replaces the contents of the output or is added to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Write {
    /// Replace.
    Set,
    /// Add to what is there.
    Add,
}
