//! Learning a vocabulary from text: the pair of neighbours that occurs most often becomes a token, again and again.
//!
//! The result depends on the texts and the settings alone, never on the number of threads: words are counted first
//! (`count`), then pairs within words are joined (`pairs`). Of pairs that occur equally often, the one whose bytes are
//! greater is joined, the left token compared before the right.

mod count;
mod pairs;

use super::added::Added;
use super::bpe::{MOST_TOKENS, Merges};
use super::vocabulary::Vocabulary;
use super::words::Work;
use super::{END_OF_TEXT, Tokenizer};
use crate::{Error, Result};

/// How to learn.
#[derive(Clone, Debug)]
pub struct Learn {
    /// How many tokens: 256 bytes, the merges, and the special tokens at the end.
    pub vocabulary: usize,
    /// Special tokens. Where they stand in the texts, the texts are cut, and nothing is learned from them.
    pub specials: Vec<String>,
    /// About how many bytes may be held at once, besides the texts that are handed over. When the table of words has
    /// grown to half of it, the words seen least are forgotten until it is half as large again; every time this happens
    /// it is reported as [`Progress::Forgot`].
    pub memory: usize,
}

impl Default for Learn {
    /// 8,192 tokens with `<|endoftext|>`, within 2 GiB.
    fn default() -> Learn {
        Learn { vocabulary: 8192, specials: vec![END_OF_TEXT.into()], memory: 1 << 31 }
    }
}

/// What has happened so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// So much text was read, and holds so many distinct words.
    Counted {
        /// Bytes of text.
        bytes: u64,
        /// Distinct words held.
        words: usize,
    },
    /// The memory was full: so many distinct words were forgotten, each seen at most so often until then.
    Forgot {
        /// Distinct words.
        words: usize,
        /// Occurrences of each, at most.
        seen: u64,
    },
    /// So many merges are done.
    Merged {
        /// Until now.
        done: usize,
        /// In the end.
        of: usize,
    },
}

/// The least memory that can be asked for.
const LEAST_MEMORY: usize = 1 << 20;

/// Learns a byte-level vocabulary. No word goes from one text into the next, so each is a document, or ends where words
/// do. A text that cannot be had ends it with that error.
///
/// Where the texts run out of pairs, the vocabulary is smaller than was asked.
pub fn learn<Text: AsRef<[u8]>>(
    texts: impl IntoIterator<Item = Result<Text>>,
    settings: &Learn,
    progress: &mut dyn FnMut(Progress),
) -> Result<Tokenizer> {
    let mut specials = Added::default();
    for (id, text) in settings.specials.iter().enumerate() {
        if text.is_empty() || !specials.insert_special(id as u32, text) {
            return Err(Error::invalid_argument(
                "special tokens",
                format!("{text:?} is empty or given twice"),
            ));
        }
    }
    let least = 256 + settings.specials.len();
    if !(least..=MOST_TOKENS).contains(&settings.vocabulary) {
        let why = format!(
            "{} tokens are asked for; at least {least} are needed, one for each byte and each special token, and at \
             most {MOST_TOKENS} can be had",
            settings.vocabulary
        );
        return Err(Error::invalid_argument("vocabulary", why));
    }
    if settings.memory < LEAST_MEMORY {
        let why = format!("{} bytes are too few; give at least {LEAST_MEMORY}", settings.memory);
        return Err(Error::invalid_argument("memory", why));
    }
    let words = count::words(texts, &specials, settings.memory, progress)?;
    let (tokens, merges) = pairs::learn(words, settings.vocabulary - least, progress);

    let mut vocabulary = Vocabulary::default();
    tokens.iter().for_each(|token| vocabulary.push(token));
    let merges = Merges::new(std::array::from_fn(|byte| byte as u32), &merges);
    let plain = Tokenizer::new(vocabulary, merges, Added::default(), Work::default());
    plain.with_specials(&settings.specials.iter().map(String::as_str).collect::<Vec<_>>())
}
