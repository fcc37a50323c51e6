//! Tests of the page's answers.

mod asked;
mod families;
mod questions;
mod trace;
