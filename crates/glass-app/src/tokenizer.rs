//! `glass tokenizer learn` learns a vocabulary from text; `report` measures one.

pub mod report;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use glass::Error;
use glass::atomic_write::replace;
use glass::tokens::{END_OF_TEXT, Learn, Progress, Tokenizer, learn as learn_merges};
use glass::train::data::Reading;
use glass::train::files;
use glass::train::pieces::{Pieces, Sizes};
use serde_json::json;

use crate::args::LearnArgs;
use crate::fail::{Fail, say};
use crate::out::{Out, count, number};
use crate::progress::ProgressLine;

/// Learns merges and writes `tokenizer.json`.
pub fn learn(args: &LearnArgs) -> Result<(), Fail> {
    let file = args.out.join("tokenizer.json");
    if file.exists() {
        return Err(Fail::asked(format!(
            "--out: {} already exists and would be replaced; choose another folder, or remove it first",
            file.display()
        )));
    }
    let settings = Learn {
        vocabulary: args.vocab,
        specials: args.special.clone(),
        memory: size("--memory", &args.memory)?,
    };
    if !args.special.iter().any(|special| special == END_OF_TEXT) {
        say("without --special \"<|endoftext|>\" a model cannot tell where a text ends");
    }
    let reading = whole(&args.field);
    let (found, texts) = texts(&args.files, &reading)?;
    let (tokenizer, seen) = watched(texts, &settings)?;
    if seen.bytes == 0 {
        let first = found.first().map(|path| path.display().to_string()).unwrap_or_default();
        return Err(Fail::failed(format!("{first}: it holds no text; give files with text")));
    }
    write(&file, &tokenizer)?;
    report(args, &file, &tokenizer, &seen)
}

/// The named files, including those in folders, and their texts in pieces; - is standard input.
fn texts<'a>(
    named: &[PathBuf],
    reading: &'a Reading,
) -> Result<(Vec<PathBuf>, impl Iterator<Item = glass::Result<Vec<u8>>> + use<'a>), Fail> {
    let (piped, named): (Vec<_>, Vec<_>) = named.iter().cloned().partition(|path| path.as_os_str() == "-");
    let (mut found, remarks) = files::find(&named, &["txt", "jsonl", "ndjson"])?;
    found.extend(piped.into_iter().take(1));
    remarks.iter().for_each(|remark| say(&remark.to_string()));
    let texts = found.clone().into_iter().flat_map(move |path| pieces(&path, reading));
    Ok((found, texts.map(|piece| Ok(piece?.text))))
}

/// Reads files unchanged: separators are ordinary text, and invalid UTF-8 is allowed.
fn whole(field: &str) -> Reading {
    Reading { separator: String::new(), field: field.into(), any_bytes: true }
}

/// A file in pieces, so that a large one is never held in memory as a whole; - is standard input, read as a text
/// file.
fn pieces<'a>(path: &Path, reading: &'a Reading) -> Pieces<'a> {
    match path.as_os_str() == "-" {
        true => Pieces::of(path, io::stdin(), reading, Sizes::default()),
        false => Pieces::of_files(&[path.into()], reading, Sizes::default()),
    }
}

/// Learns merges with a line of progress, and reports if words were dropped.
pub fn watched(
    texts: impl Iterator<Item = glass::Result<Vec<u8>>>,
    settings: &Learn,
) -> Result<(Tokenizer, Seen), Fail> {
    let mut seen = Seen::default();
    let tokenizer = learn_merges(texts, settings, &mut |progress| seen.note(progress))?;
    seen.line.end();
    if seen.forgotten > 0 {
        say(&format!(
            "the memory was full: words seen at most {} were dropped, {} in total",
            count(seen.rarest as usize, "time"),
            number(seen.forgotten)
        ));
    }
    Ok((tokenizer, seen))
}

/// Writes a vocabulary atomically.
pub fn write(file: &Path, tokenizer: &Tokenizer) -> Result<(), Fail> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder).map_err(|error| Error::io("cannot create the folder", folder, error))?;
    let written = replace(file, tokenizer.to_json().as_bytes());
    Ok(written.map_err(|error| Error::io("cannot write", file, error))?)
}

fn report(args: &LearnArgs, file: &Path, tokenizer: &Tokenizer, seen: &Seen) -> Result<(), Fail> {
    let vocabulary = tokenizer.vocabulary_size();
    let merges = vocabulary - 256 - args.special.len();
    if vocabulary < args.vocab {
        say(&format!(
            "the texts have no more pairs: {vocabulary} tokens instead of {}; give more text for a larger vocabulary",
            args.vocab
        ));
    }
    if seen.forgotten > 0 {
        say("--memory gives more");
    }
    let mut out = Out::new();
    if args.json {
        out.json(&json!({
            "file": file, "vocabulary": vocabulary, "merges": merges,
            "bytes": seen.bytes, "words": seen.words, "forgotten": seen.forgotten,
        }))?;
    } else {
        writeln!(
            out,
            "{}: {}, {} learned from {} of text",
            file.display(),
            count(vocabulary, "token"),
            count(merges, "merge"),
            count(seen.bytes as usize, "byte")
        )?;
    }
    out.done()
}

/// Statistics of the learning.
#[derive(Default)]
pub struct Seen {
    bytes: u64,
    words: usize,
    forgotten: u64,
    /// How often the dropped words were seen, at most.
    rarest: u64,
    line: ProgressLine,
}

impl Seen {
    fn note(&mut self, progress: Progress) {
        match progress {
            Progress::Counted { bytes, words } => {
                (self.bytes, self.words) = (bytes, words);
                let rate = bytes as f64 / 1e6 / self.line.seconds().max(1e-3);
                let [bytes, words] = [bytes, words as u64].map(number);
                self.line.show(&format!("{bytes} bytes read, {words} words, {rate:.1} MB/s"));
            }
            Progress::Forgot { words, seen } => {
                self.forgotten += words as u64;
                self.rarest = self.rarest.max(seen);
            }
            Progress::Merged { done, of } => {
                let part = done as f64 / of.max(1) as f64;
                self.line
                    .show_part(&format!("{} of {} merges", number(done as u64), number(of as u64)), part);
            }
        }
    }
}

/// `512M`, `2G`, or bytes.
pub fn size(option: &str, text: &str) -> Result<usize, Fail> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => Some(1),
        "k" => Some(1 << 10),
        "m" => Some(1 << 20),
        "g" => Some(1 << 30),
        _ => None,
    };
    let bytes = digits.parse::<usize>().ok().zip(factor).and_then(|(n, factor)| n.checked_mul(factor));
    bytes.ok_or_else(|| Fail::asked(format!("{option}: {text:?} is not a size; give one such as 512M or 2G")))
}
