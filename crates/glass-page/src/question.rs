//! What the page can ask.

use glass::{Error, Result};
use serde::Deserialize;

use crate::questions::{text, words};

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
    /// The distribution of the next token.
    Next(words::Next),
}

/// Reads a question.
///
/// # Errors
/// If it is none.
pub fn read(question: &[u8]) -> Result<Question> {
    serde_json::from_slice(question).map_err(|error| Error::invalid_argument("question", error.to_string()))
}
