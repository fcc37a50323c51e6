//! Tests of the page's answers.

mod asked;
mod questions;
mod trace;
