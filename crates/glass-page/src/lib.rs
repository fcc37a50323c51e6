//! The page that explains, without a server and without a browser: its files, and the answers to what it asks.
//!
//! A question is a JSON document, `{"ask": "attention", "ids": […], "block": 3, "head": 1}`, and so is an answer. `glass serve`
//! answers the page this way (`POST /v1/explain`); compiled to WebAssembly, this crate answers it in the reader's browser. Every
//! number is one that a pass computed, or is computed here from such numbers and from weights.
//!
//! Long lists of numbers are `{"rows", "cols", "f32"}`: little-endian f32 in base64, so that a reader gets every bit.

#[cfg(not(target_family = "wasm"))]
pub mod files;
mod json;
mod question;
mod questions;
mod seen;
#[cfg(target_family = "wasm")]
mod wasm;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;

use glass::Result;
use glass::backend::Cpu;
use glass::inspect::Inspector;
use glass::inspect::jacobian::JacobianLens;
use glass::text_model::TextModel;
use serde_json::Value;

pub use question::{Question, read};
use seen::Seen;

/// Hears of intermediate results; [`ControlFlow::Break`] ends the question.
pub type Tell<'a> = dyn FnMut(Value) -> ControlFlow<()> + 'a;

/// Answers questions about a model, one after the other. The last text that was asked about stays in memory, so that the next
/// question about it costs no pass.
pub struct Page<'m> {
    model: &'m TextModel<Cpu>,
    name: String,
    seen: Option<Seen<'m>>,
    run: Option<PathBuf>,
    /// The Jacobian lens beside the model, once it was looked for.
    jacobian: Option<Option<Rc<JacobianLens>>>,
    /// Memory for passes whose time is taken.
    timed: Option<Inspector<'m, Cpu>>,
}

impl<'m> Page<'m> {
    /// For a model, under the name that the page shows.
    pub fn new(model: &'m TextModel<Cpu>, name: impl Into<String>) -> Page<'m> {
        Page { model, name: name.into(), seen: None, run: None, jacobian: None, timed: None }
    }

    /// The same, with the folder of a training that is watched.
    pub fn watching(self, run: Option<PathBuf>) -> Page<'m> {
        Page { run, ..self }
    }

    /// The answer to a question.
    ///
    /// # Errors
    /// If the question names something that the model does not have, or there is too little memory.
    pub fn answer(&mut self, question: &Question, tell: &mut Tell<'_>) -> Result<Value> {
        questions::answer(self, question, tell)
    }
}
