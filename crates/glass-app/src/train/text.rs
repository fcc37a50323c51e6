//! The text of a run: read, compared and tokenised; large texts use shards in a folder.

use std::path::PathBuf;

use glass::tokens::{Learn, Tokenizer};
use glass::train::corpus::{Corpus, Doing, Parts, Progress, Seen, Source, Subset};
use glass::train::prepare::{Encoding, Prepared, Shards, in_memory};

use crate::fail::{Fail, say};
use crate::out::number;
use crate::progress::ProgressLine;
use crate::tokenizer;

/// From this many bytes on, text is tokenised into shards.
const LARGE: u64 = 64 << 20;

/// The memory limit for learning a vocabulary: including everything else, a gigabyte of text is prepared within two
/// gigabytes.
pub const MEMORY: usize = 1 << 30;

/// The text of a run.
pub struct Text {
    corpus: Corpus,
    /// The folder of the shards; `None` for small texts.
    folder: Option<PathBuf>,
    parts: Option<Parts>,
}

impl Text {
    /// Shards are written to `shards` if it was given, or, if the text is large, to `own`.
    pub fn open(source: Source, shards: Option<PathBuf>, own: PathBuf) -> Result<Text, Fail> {
        let corpus = Corpus::open(source)?;
        let folder = shards.or_else(|| (corpus.bytes() >= LARGE).then_some(own));
        Ok(Text { corpus, folder, parts: None })
    }

    /// The same, read after another text of the same mixture.
    #[must_use]
    pub fn after(self, other: Option<&Text>) -> Text {
        match other {
            Some(other) => Text { corpus: self.corpus.after(&other.corpus), ..self },
            None => self,
        }
    }

    /// Decides what happens to its documents, after those of other texts of the same mixture.
    pub fn compare(&mut self, seen: &mut Seen) -> Result<(), Fail> {
        let mut shown = Shown::default();
        let parts = self.corpus.parts_after(seen, &mut |progress| shown.note(progress));
        shown.line.end();
        self.parts = Some(told(parts?));
        Ok(())
    }

    /// Whether it was compared.
    pub fn is_compared(&self) -> bool {
        self.parts.is_some()
    }

    /// The pieces to train on, once it was compared.
    pub fn pieces(&self) -> impl Iterator<Item = glass::Result<Vec<u8>>> {
        let parts = self.parts.iter();
        parts.flat_map(|parts| parts.pieces(Subset::Train, parts.sizes()).map(|piece| Ok(piece?.text)))
    }

    /// Whether there are separate files for validation.
    pub fn has_validation(&self) -> bool {
        !self.corpus.source().validation.is_empty()
    }

    /// Learns a vocabulary from the training data; for a large text it is stored with the shards and reused.
    pub fn vocabulary(&mut self, settings: Learn) -> Result<Tokenizer, Fail> {
        let settings = Learn { memory: MEMORY, ..settings };
        let name = format!("vocabulary-{}-{}.json", settings.vocabulary, self.corpus.hash());
        let kept = self.folder.as_ref().map(|folder| folder.join(name));
        if let Some(file) = kept.as_ref().filter(|file| file.exists()) {
            return Ok(Tokenizer::open(file)?);
        }
        let parts = compared(&self.corpus, self.parts.take())?;
        let texts = parts.pieces(Subset::Train, parts.sizes()).map(|piece| Ok(piece?.text));
        let (tokenizer, _) = tokenizer::watched(texts, &settings)?;
        if let Some(file) = kept {
            tokenizer::write(&file, &tokenizer)?;
        }
        self.parts = Some(parts);
        Ok(tokenizer)
    }

    /// Tokenises the text, or reuses existing shards.
    pub fn prepare(self, by: Encoding<'_>) -> Result<Prepared, Fail> {
        let Text { corpus, folder, parts } = self;
        let Some(folder) = folder else {
            let parts = compared(&corpus, parts)?;
            let mut shown = Shown::default();
            let prepared = in_memory(&corpus, &parts, by, &mut |progress| shown.note(progress));
            shown.line.end();
            return Ok(prepared?);
        };
        let mut shown = Shown::default();
        let mut shards = Shards::open(&folder, &corpus, by, &mut |progress| shown.note(progress))?;
        if let Some(prepared) = shards.finished()? {
            say(&format!("{}: the token shards of this data already exist", folder.display()));
            return Ok(prepared);
        }
        shown.line.end();
        let parts = compared(&corpus, parts)?;
        let mut shown = Shown::default();
        let prepared = shards.finish(&parts, &mut |progress| shown.note(progress));
        shown.line.end();
        Ok(prepared?)
    }
}

/// The parts, computed if necessary; reports their remarks.
fn compared(corpus: &Corpus, parts: Option<Parts>) -> Result<Parts, Fail> {
    if let Some(parts) = parts {
        return Ok(parts);
    }
    let mut shown = Shown::default();
    let parts = corpus.parts(&mut |progress| shown.note(progress));
    shown.line.end();
    Ok(told(parts?))
}

/// Says the remarks.
fn told(parts: Parts) -> Parts {
    parts.remarks.iter().for_each(|remark| say(&remark.to_string()));
    parts
}

/// Shows progress.
#[derive(Default)]
struct Shown {
    line: ProgressLine,
    /// Bytes and tokens that existed at the start.
    before: Option<(u64, u64)>,
}

impl Shown {
    fn note(&mut self, progress: Progress) {
        let Progress { doing, bytes, of } = progress;
        let mega = |bytes: u64| number(bytes / 1_000_000);
        match doing {
            Doing::Waiting => say("another program is preparing this data; waiting until it is done"),
            Doing::Comparing => {
                let text = format!("reading: {} of {} MB", mega(bytes), mega(of));
                self.line.show_part(&text, bytes as f64 / of.max(1) as f64);
            }
            Doing::Tokenising { tokens } => {
                let (bytes_before, tokens_before) = *self.before.get_or_insert((bytes, tokens));
                let rate = (tokens - tokens_before) as f64 / self.line.seconds().max(1e-3);
                let text = format!(
                    "tokenising: {} of {} MB, {} tokens, {} tokens/s",
                    mega(bytes),
                    mega(of),
                    number(tokens),
                    number(rate as u64)
                );
                let part = (bytes - bytes_before) as f64 / (of - bytes_before).max(1) as f64;
                self.line.show_part(&text, part);
            }
        }
    }
}
