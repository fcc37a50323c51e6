//! The answers, a file for each part of the flow.

pub(crate) mod attention;
pub(crate) mod change;
pub(crate) mod cost;
pub(crate) mod generate;
pub(crate) mod heads;
pub(crate) mod lesson;
pub(crate) mod mlp;
pub(crate) mod run;
pub(crate) mod stream;
pub(crate) mod text;
pub(crate) mod trace;
pub(crate) mod why;
pub(crate) mod words;

use glass::Result;
use serde_json::Value;

use crate::question::Question;
use crate::{Page, Tell};

/// The answer to a question.
pub(crate) fn answer(page: &mut Page<'_>, question: &Question, tell: &mut Tell<'_>) -> Result<Value> {
    match question {
        Question::Model(asked) => asked.answer(page),
        Question::Tokens(asked) => asked.answer(page),
        Question::Pieces(asked) => asked.answer(page),
        Question::Merges(asked) => asked.answer(page),
        Question::Embedding(asked) => asked.answer(page),
        Question::Near(asked) => asked.answer(page),
        Question::Stream(asked) => asked.answer(page),
        Question::Lens(asked) => asked.answer(page),
        Question::Attention(asked) => asked.answer(page),
        Question::Patterns(asked) => asked.answer(page),
        Question::Row(asked) => asked.answer(page),
        Question::QueryKey(asked) => asked.answer(page),
        Question::Kinds(asked) => asked.answer(page),
        Question::Heads(asked) => asked.answer(page),
        Question::Head(asked) => asked.answer(page),
        Question::Mlp(asked) => asked.answer(page),
        Question::Neuron(asked) => asked.answer(page),
        Question::Next(asked) => asked.answer(page),
        Question::Last(asked) => asked.answer(page),
        Question::Trace(asked) => asked.answer(page),
        Question::If(asked) => asked.answer(page),
        Question::Why(asked) => asked.answer(page, tell),
        Question::Drift(asked) => asked.answer(page),
        Question::Carried(asked) => asked.answer(page),
        Question::Generate(asked) => asked.answer(page, tell),
        Question::Context(asked) => asked.answer(page),
        Question::Pass(asked) => asked.answer(page),
        Question::Run(asked) => asked.answer(page),
        Question::Lesson(asked) => asked.answer(tell),
    }
}
