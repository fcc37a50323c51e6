//! Text to learn from: read, compared, tokenised; a lot of it through shards in a folder.

use std::path::PathBuf;

use glass::tokens::{Learn, Tokenizer};
use glass::train::corpus::{Corpus, Doing, Part, Parts, Progress, Source};
use glass::train::prepare::{Encoding, Prepared, Shards, in_memory};

use crate::fail::{Fail, say};
use crate::out::number;
use crate::progress::ProgressLine;
use crate::tokenizer;

/// From so many bytes on, text is tokenised into shards.
const LARGE: u64 = 64 << 20;

/// What a vocabulary may take while it is learned: with all else, a gigabyte of text is prepared within two.
const MEMORY: usize = 1 << 30;

/// Text as it was found.
pub struct Text {
    corpus: Corpus,
    /// Where shards stand; none for what is small.
    folder: Option<PathBuf>,
    parts: Option<Parts>,
}

impl Text {
    /// Shards are written into `shards` where that was named, or, if there is a lot of text, into `own`.
    pub fn open(source: Source, shards: Option<PathBuf>, own: PathBuf) -> Result<Text, Fail> {
        let corpus = Corpus::open(source)?;
        let folder = shards.or_else(|| (corpus.bytes() >= LARGE).then_some(own));
        Ok(Text { corpus, folder, parts: None })
    }

    /// Whether files of their own validate.
    pub fn has_validation(&self) -> bool {
        !self.corpus.source().validation.is_empty()
    }

    /// A vocabulary learned from what is learned from; from a lot of text once, and then it is kept beside the shards.
    pub fn vocabulary(&mut self, settings: Learn) -> Result<Tokenizer, Fail> {
        let settings = Learn { memory: MEMORY, ..settings };
        let name = format!("vocabulary-{}-{}.json", settings.vocabulary, self.corpus.hash());
        let kept = self.folder.as_ref().map(|folder| folder.join(name));
        if let Some(file) = kept.as_ref().filter(|file| file.exists()) {
            return Ok(Tokenizer::open(file)?);
        }
        let parts = compared(&self.corpus, self.parts.take())?;
        let texts = parts.pieces(Part::Train, parts.sizes()).map(|piece| Ok(piece?.text));
        let (tokenizer, _) = tokenizer::watched(texts, &settings)?;
        if let Some(file) = kept {
            tokenizer::write(&file, &tokenizer)?;
        }
        self.parts = Some(parts);
        Ok(tokenizer)
    }

    /// Tokenises, or takes what was tokenised before.
    pub fn prepare(self, by: Encoding<'_>) -> Result<Prepared, Fail> {
        let Text { corpus, folder, parts } = self;
        let mut shown = Shown::default();
        let Some(folder) = folder else {
            let parts = compared(&corpus, parts)?;
            let prepared = in_memory(&corpus, &parts, by, &mut |progress| shown.note(progress));
            shown.line.end();
            return Ok(prepared?);
        };
        let mut shards = Shards::open(&folder, &corpus, by, &mut |progress| shown.note(progress))?;
        if let Some(prepared) = shards.finished()? {
            say(&format!("{}: token shards of these data are there already", folder.display()));
            return Ok(prepared);
        }
        let parts = compared(&corpus, parts)?;
        let prepared = shards.finish(&parts, &mut |progress| shown.note(progress));
        shown.line.end();
        Ok(prepared?)
    }
}

/// The parts, unless they are known already; their remarks are said.
fn compared(corpus: &Corpus, parts: Option<Parts>) -> Result<Parts, Fail> {
    if let Some(parts) = parts {
        return Ok(parts);
    }
    let mut shown = Shown::default();
    let parts = corpus.parts(&mut |progress| shown.note(progress));
    shown.line.end();
    let parts = parts?;
    parts.remarks.iter().for_each(|remark| say(&remark.to_string()));
    Ok(parts)
}

/// A line of progress.
#[derive(Default)]
struct Shown {
    line: ProgressLine,
    /// Bytes and tokens that were there when it began.
    before: Option<(u64, u64)>,
}

impl Shown {
    fn note(&mut self, progress: Progress) {
        let Progress { doing, bytes, of } = progress;
        let mega = |bytes: u64| number(bytes / 1_000_000);
        match doing {
            Doing::Waiting => say("another program prepares these data; waiting until it is done"),
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
