//! The next token.
