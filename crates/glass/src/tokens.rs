//! Text to tokens and back.

pub mod bpe;
pub mod chat;
pub mod learn;
pub mod split;
pub mod vocabulary;
