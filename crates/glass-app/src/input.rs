//! Reads input: a text from the command line, a file or standard input, and lists of ids.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::fail::{Fail, say};
use crate::layout::wrap;
use crate::screen::columns_of_errors;

/// The bytes of a command's text: the contents of `file` (--file), or `text` (TEXT), if either was given.
pub fn text_or_file(text: Option<&OsStr>, file: Option<&Path>) -> Result<Option<Vec<u8>>, Fail> {
    let meant = text.map(meant_file).transpose()?.flatten();
    match (file.or(meant.as_deref()), text) {
        (Some(file), _) if file == Path::new("-") => Ok(Some(standard_input()?)),
        (Some(file), _) => {
            let read = fs::read(file).map_err(|error| glass::Error::io("cannot read", file, error))?;
            Ok(Some(read))
        }
        (None, text) => text.map(self::text).transpose(),
    }
}

/// Asks whether a TEXT that is the name of a file means the file; returns the file, if so. If nobody can be asked,
/// a remark says that the name was taken as text.
pub fn meant_file(text: &OsStr) -> Result<Option<PathBuf>, Fail> {
    let path = Path::new(text);
    if text == "-" || !names_a_file(path) {
        return Ok(None);
    }
    let name = path.display();
    if !path.is_file() {
        say(&format!("TEXT: there is no file {name:?} here; the name itself is taken as the text"));
        return Ok(None);
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        say(&format!(
            "TEXT: {name:?} is a file, but its name is taken as the text; to read it, give --file {name}"
        ));
        return Ok(None);
    }
    let question = format!("glass: {name:?} is a file. Read it (y), or take its name as the text (n)? [Y/n]");
    let columns = columns_of_errors().unwrap_or(80);
    let _ = write!(io::stderr(), "{} ", wrap(&question, columns.saturating_sub(2), 2));
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.map_err(|error| Fail::failed(format!("cannot read standard input: {}", glass::reason(&error))))?;
    let declined = answer.is_empty() || answer.trim_start().starts_with(['n', 'N']);
    Ok((!declined).then(|| path.to_path_buf()))
}

/// Whether a text is a file name: the file exists, or it is one word with the extension of a text file.
fn names_a_file(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    let endings = [".txt", ".md", ".jsonl", ".json", ".csv"];
    let looks_like_one = !text.iter().any(u8::is_ascii_whitespace)
        && endings.iter().any(|ending| text.len() > ending.len() && text.ends_with(ending.as_bytes()));
    looks_like_one || path.is_file()
}

/// The bytes of a text: those of the argument, or, for `-`, of standard input.
pub fn text(argument: &OsStr) -> Result<Vec<u8>, Fail> {
    if argument != "-" {
        return Ok(argument.as_encoded_bytes().to_vec());
    }
    standard_input()
}

/// Reads standard input, byte for byte.
fn standard_input() -> Result<Vec<u8>, Fail> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Fail::failed(format!("cannot read standard input: {}", glass::reason(&error))))?;
    Ok(bytes)
}

/// Parses ids separated by commas or spaces, as in `15496,995`; `-` is standard input.
pub fn ids(option: &str, argument: &str) -> Result<Vec<u32>, Fail> {
    let bytes = text(OsStr::new(argument))?;
    let list = String::from_utf8_lossy(&bytes);
    let words = list.split(|c: char| c == ',' || c.is_whitespace() || c == '[' || c == ']');
    let parsed = words.filter(|word| !word.is_empty()).map(|word| {
        word.parse().map_err(|_| {
            Fail::asked(format!("{option}: {word:?} is not a token id; give whole numbers, as in 15496,995"))
        })
    });
    parsed.collect()
}
