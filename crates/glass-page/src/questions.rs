//! The answers, a file for each part of the flow.

pub(crate) mod text;
pub(crate) mod words;

use glass::Result;
use serde_json::Value;

use crate::question::Question;
use crate::{Page, Tell};

/// The answer to a question.
pub(crate) fn answer(page: &mut Page<'_>, question: &Question, _tell: &mut Tell<'_>) -> Result<Value> {
    match question {
        Question::Model(asked) => asked.answer(page),
        Question::Tokens(asked) => asked.answer(page),
        Question::Pieces(asked) => asked.answer(page),
        Question::Merges(asked) => asked.answer(page),
        Question::Next(asked) => asked.answer(page),
    }
}
