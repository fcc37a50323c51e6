//! A file in portions, so that a large one is never held whole.
//!
//! A text file is cut where a single line break stands between two words: there the words are the same whether the text
//! goes on or not. A file of JSON lines is read whole; each line is a text.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use glass::train::data::{Documents, Reading};
use glass::{Error, Result};

/// Bytes of a portion, about.
const PORTION: usize = 16 << 20;

/// The texts of one file.
pub fn of<'a>(path: &Path, field: &'a str) -> Box<dyn Iterator<Item = Result<Vec<u8>>> + 'a> {
    let opened = File::open(path).map_err(|error| Error::io("cannot read", path, error));
    let is_lines = path.extension().is_some_and(|ending| ending == "jsonl" || ending == "ndjson");
    match opened {
        Err(error) => Box::new(std::iter::once(Err(error))),
        Ok(_) if is_lines => match lines(path, field) {
            Err(error) => Box::new(std::iter::once(Err(error))),
            Ok(texts) => Box::new(texts.into_iter().map(Ok)),
        },
        Ok(file) => Box::new(Portions { path: path.into(), file, rest: Vec::new(), portion: PORTION }),
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
}

impl<R: Read> Iterator for Portions<R> {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut more = (&mut self.file).take(self.portion as u64);
            match more.read_to_end(&mut self.rest) {
                Err(error) => return Some(Err(Error::io("cannot read", &self.path, error))),
                Ok(0) if self.rest.is_empty() => return None,
                Ok(0) => return Some(Ok(std::mem::take(&mut self.rest))),
                Ok(_) => {}
            }
            if let Some(at) = cut(&self.rest) {
                let rest = self.rest.split_off(at);
                return Some(Ok(std::mem::replace(&mut self.rest, rest)));
            }
        }
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
    use super::Portions;

    #[test]
    fn portions_are_the_whole_text_cut_before_line_breaks() {
        let text: Vec<u8> =
            (0..200).flat_map(|n| format!("line {n}\n{}", "\n".repeat(n % 3)).into_bytes()).collect();
        let portions = Portions { path: "".into(), file: &text[..], rest: Vec::new(), portion: 64 };
        let portions: Vec<Vec<u8>> = portions.collect::<Result<_, _>>().unwrap();
        assert!(portions.len() > 5);
        assert_eq!(portions.concat(), text);
        for portion in &portions[1..] {
            assert!(portion[0] == b'\n' && portion[1].is_ascii_graphic());
        }
    }
}
