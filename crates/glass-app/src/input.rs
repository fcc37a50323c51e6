//! What comes in: a text from the command line or standard input, and lists of ids.

use std::ffi::OsStr;
use std::io::{self, Read as _};

use crate::fail::Fail;

/// The bytes of a text: the argument's, or, for `-`, standard input's, byte for byte.
pub fn text(argument: &OsStr) -> Result<Vec<u8>, Fail> {
    if argument != "-" {
        return Ok(argument.as_encoded_bytes().to_vec());
    }
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Fail::failed(format!("cannot read standard input: {error}")))?;
    Ok(bytes)
}

/// Ids between commas or spaces, as in `15496,995`; `-` is standard input.
pub fn ids(option: &str, argument: &str) -> Result<Vec<u32>, Fail> {
    let bytes = text(OsStr::new(argument))?;
    let list = String::from_utf8_lossy(&bytes);
    let words = list.split(|c: char| c == ',' || c.is_whitespace() || c == '[' || c == ']');
    let parsed = words.filter(|word| !word.is_empty()).map(|word| {
        word.parse().map_err(|_| {
            Fail::asked(format!("{option}: {word:?} is no token id; give whole numbers, as in 15496,995"))
        })
    });
    parsed.collect()
}
