//! The token that says who asks.

use std::fs;
use std::path::PathBuf;

use crate::fail::Fail;
use crate::hub_cache::{expanded, home, is_on, variable};

/// A token, and where it is from.
pub struct Token {
    /// The secret itself.
    pub text: String,
    /// Where it is from, for messages.
    pub source: String,
}

impl Token {
    /// From HF_TOKEN, or the file that `hf auth login` writes.
    pub fn find() -> Result<Option<Token>, Fail> {
        if is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            return Ok(None);
        }
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
            if let Some(text) = variable(name) {
                return Token::new(text.to_str().unwrap_or("\0"), format!("the token in {name}"));
            }
        }
        let file = variable("HF_TOKEN_PATH").map_or_else(|| home().join("token"), PathBuf::from);
        let file = expanded(file);
        match fs::read_to_string(&file) {
            Ok(text) => Token::new(&text, format!("the token in {}", file.display())),
            Err(_) => Ok(None),
        }
    }

    fn new(text: &str, source: String) -> Result<Option<Token>, Fail> {
        let text = text.trim();
        match text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Some(Token { text: text.into(), source }).filter(|token| !token.text.is_empty())),
            false => {
                Err(Fail::asked(format!("{source} has characters that no token has; it begins with hf_")))
            }
        }
    }
}
