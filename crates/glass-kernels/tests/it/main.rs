//! All integration tests of this crate, in one binary.

mod close;
mod linear;
mod naive;
