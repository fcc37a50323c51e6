//! A file in portions, so that a large one is never held whole.
//!
//! A text file is cut where a single line break stands between two words: there the words are the same whether the text
//! goes on or not. A file of JSON lines is read whole; each line is a text.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use glass::train::data::{Documents, Reading};
use glass::{Error, Result};

/// Bytes of a portion, about.
const PORTION: usize = 16 << 20;

/// The texts of one file; - is standard input, as a text file.
pub fn of<'a>(path: &Path, field: &'a str) -> Box<dyn Iterator<Item = Result<Vec<u8>>> + 'a> {
    if path.as_os_str() == "-" {
        return Box::new(Portions::new(path, io::stdin()));
    }
    let opened = File::open(path).map_err(|error| Error::io("cannot read", path, error));
    let is_lines = path.extension().is_some_and(|ending| ending == "jsonl" || ending == "ndjson");
    match opened {
        Err(error) => Box::new(std::iter::once(Err(error))),
        Ok(_) if is_lines => match lines(path, field) {
            Err(error) => Box::new(std::iter::once(Err(error))),
            Ok(texts) => Box::new(texts.into_iter().map(Ok)),
        },
        Ok(file) => Box::new(Portions::new(path, file)),
    }
}

fn lines(path: &Path, field: &str) -> Result<Vec<Vec<u8>>> {
    let reading = Reading { field: field.into(), ..Reading::default() };
    let (documents, _) = Documents::read(&[path.into()], &reading)?;
    Ok(documents.texts().map(|text| text.as_bytes().to_vec()).collect())
}

struct Portions<R> {
    path: PathBuf,
    file: R,
    rest: Vec<u8>,
    portion: usize,
    begins: bool,
}

impl<R> Portions<R> {
    fn new(path: &Path, file: R) -> Portions<R> {
        Portions { path: path.into(), file, rest: Vec::new(), portion: PORTION, begins: true }
    }

    fn utf16(&self) -> Error {
        Error::invalid(self.path.display(), "not UTF-8: it looks like UTF-16; convert it to UTF-8 first")
    }
}

impl<R: Read> Iterator for Portions<R> {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let begins = std::mem::take(&mut self.begins);
            let mut more = (&mut self.file).take(self.portion as u64);
            match more.read_to_end(&mut self.rest) {
                Err(error) => return Some(Err(Error::io("cannot read", &self.path, error))),
                Ok(_) if begins && is_utf16(&self.rest) => return Some(Err(self.utf16())),
                Ok(0) if self.rest.is_empty() => return None,
                Ok(0) => return Some(Ok(std::mem::take(&mut self.rest))),
                Ok(_) => {}
            }
            tidy(&mut self.rest, begins);
            if let Some(at) = cut(&self.rest) {
                let rest = self.rest.split_off(at);
                return Some(Ok(std::mem::replace(&mut self.rest, rest)));
            }
        }
    }
}

fn is_utf16(text: &[u8]) -> bool {
    text.starts_with(&[0xff, 0xfe]) || text.starts_with(&[0xfe, 0xff])
}

/// As text is read to learn from: without a byte-order mark, and `\r\n` as `\n`.
fn tidy(text: &mut Vec<u8>, begins: bool) {
    if begins && text.starts_with("\u{feff}".as_bytes()) {
        text.drain(..3);
    }
    if text.windows(2).any(|pair| pair == b"\r\n") {
        let kept = |at: &usize| text[*at] != b'\r' || text.get(at + 1) != Some(&b'\n');
        *text = (0..text.len()).filter(kept).map(|at| text[at]).collect();
    }
}

/// The last place before a single line break between two visible ASCII characters.
fn cut(text: &[u8]) -> Option<usize> {
    let places = text.windows(3).rposition(|around| {
        around[0].is_ascii_graphic() && around[1] == b'\n' && around[2].is_ascii_graphic()
    });
    places.map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Portions;

    fn portions(text: &[u8]) -> glass::Result<Vec<Vec<u8>>> {
        Portions { portion: 64, ..Portions::new(Path::new("t.txt"), text) }.collect()
    }

    #[test]
    fn a_mark_and_carriage_returns_are_dropped_and_utf16_is_refused() {
        let text: String = (0..100).map(|n| format!("line {n}\r\n")).collect();
        let portions_of_windows = portions(format!("\u{feff}{text}").as_bytes()).unwrap();
        assert!(portions_of_windows.len() > 5);
        assert_eq!(portions_of_windows.concat(), text.replace('\r', "").as_bytes());
        assert!(portions(b"\xff\xfea\0").unwrap_err().to_string().contains("UTF-16"));
    }

    #[test]
    fn portions_are_the_whole_text_cut_before_line_breaks() {
        let text: Vec<u8> =
            (0..200).flat_map(|n| format!("line {n}\n{}", "\n".repeat(n % 3)).into_bytes()).collect();
        let portions = portions(&text).unwrap();
        assert!(portions.len() > 5);
        assert_eq!(portions.concat(), text);
        for portion in &portions[1..] {
            assert!(portion[0] == b'\n' && portion[1].is_ascii_graphic());
        }
    }
}
