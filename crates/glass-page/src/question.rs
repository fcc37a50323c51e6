//! What the page can ask.

use glass::{Error, Result};
use serde::Deserialize;

use crate::questions::{
    attention, change, cost, generate, heads, lesson, mlp, run, stream, text, trace, why, words,
};

/// A question. Its name is the field `ask`.
#[derive(Debug, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// What the model is.
    Model(text::Model),
    /// The tokens of a text or of a conversation.
    Tokens(text::Tokens),
    /// The tokens of ids.
    Pieces(text::Pieces),
    /// How a word is put together from bytes.
    Merges(text::Merges),
    /// A token's vector, its position's, and their sum.
    Embedding(stream::Embedding),
    /// The tokens whose vectors are nearest to a token's.
    Near(stream::Near),
    /// The residual stream at a position, block by block.
    Stream(stream::Stream),
    /// What the residual stream predicts, block by block.
    Lens(stream::Lens),
    /// A head's steps from products to its pattern.
    Attention(attention::Attention),
    /// The patterns of all heads of a block.
    Patterns(attention::Patterns),
    /// Where every head looks from one position.
    Row(attention::Row),
    /// One query and one key.
    QueryKey(attention::QueryKey),
    /// What heads do on a text.
    Kinds(attention::Kinds),
    /// What every head of a block adds, and their sum.
    Heads(heads::Heads),
    /// What one head adds, through its two value halves.
    Head(heads::Head),
    /// The strongest neurons of a block's MLP.
    Mlp(mlp::Mlp),
    /// One neuron over the text.
    Neuron(mlp::Neuron),
    /// The distribution of the next token.
    Next(words::Next),
    /// The last vector, and what decided a token's logit.
    Last(words::Last),
    /// Where a number came from.
    Trace(trace::Trace),
    /// What would be said with changes.
    If(change::If),
    /// Why a token follows.
    Why(why::Why),
    /// The same word in two texts.
    Drift(stream::Drift),
    /// What heads move from some positions into others.
    Carried(stream::Carried),
    /// The text goes on.
    Generate(generate::Generate),
    /// What a context costs.
    Context(cost::Context),
    /// One pass, for the page's clock.
    Pass(cost::Pass),
    /// A training that is watched.
    Run(run::Run),
    /// A small GPT learns a task.
    Lesson(lesson::Lesson),
}

/// Reads a question.
///
/// # Errors
/// If it is none.
pub fn read(question: &[u8]) -> Result<Question> {
    serde_json::from_slice(question).map_err(|error| Error::invalid_argument("question", error.to_string()))
}
