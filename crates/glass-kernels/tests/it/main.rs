//! All integration tests of this crate, in one binary.

mod activate;
mod adamw;
mod attend;
mod attend_backward;
mod attend_backward_each;
mod clear;
mod close;
mod dropout;
mod embed;
mod format;
mod linear;
mod loss;
mod map;
mod muon;
mod naive;
mod nan;
mod norm;
mod packed;
mod pair;
mod slopes;
mod small;
