//! All integration tests of this crate, in one binary.

mod activate;
mod adamw;
mod add;
mod attend;
mod attend_backward;
mod attend_backward_each;
mod branches;
mod cap;
mod clear;
mod close;
mod dropout;
mod embed;
mod format;
mod gate;
mod linear;
mod loss;
mod low_rank;
#[cfg(not(target_family = "wasm"))]
mod map;
mod muon;
mod naive;
mod nan;
mod norm;
mod packed;
mod pair;
mod rotate;
mod same_as_plain;
mod slopes;
mod small;
mod teach;
