//! Learns a vocabulary from text: the most frequent pair of neighbours becomes a token, repeatedly.
//!
//! The result depends only on the texts and the settings, never on the number of threads: words are counted first
//! (`count`), then pairs within words are joined (`pairs`). Among equally frequent pairs, the one with the greater
//! bytes is joined; the left token is compared before the right.

mod count;
mod pairs;

use super::added::Added;
use super::bpe::{MOST_TOKENS, Merges};
use super::vocabulary::Vocabulary;
use super::words::Work;
use super::{END_OF_TEXT, Tokenizer};
use crate::{Error, Result};

/// The settings.
#[derive(Clone, Debug)]
pub struct Learn {
    /// How many tokens: 256 bytes, the merges, and the special tokens at the end.
    pub vocabulary: usize,
    /// Special tokens. The texts are cut at them, and nothing is learned from them.
    pub specials: Vec<String>,
    /// About how many bytes may be held at once, besides the texts passed in. When the table of words exceeds half
    /// of this, the least frequent words are dropped until it has half that size; each time, [`Progress::Forgot`]
    /// is reported.
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
    /// Text read so far, and its distinct words.
    Counted {
        /// Bytes of text.
        bytes: u64,
        /// Distinct words held.
        words: usize,
    },
    /// The memory was full: the number of distinct words dropped, and the most often that any of them was seen.
    Forgot {
        /// Distinct words.
        words: usize,
        /// Occurrences of each, at most.
        seen: u64,
    },
    /// Merges made so far.
    Merged {
        /// So far.
        done: usize,
        /// In total.
        of: usize,
    },
}

/// The smallest allowed value of `memory`.
const LEAST_MEMORY: usize = 1 << 20;

/// Learns a byte-level vocabulary. No word continues from one text into the next, so each text must be a document,
/// or end at a word boundary. If a text is an error, that error is returned.
///
/// If the texts run out of pairs, the vocabulary is smaller than requested.
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
            "{} tokens were requested; at least {least} are needed, one for each byte and each special token, and at \
             most {MOST_TOKENS} are possible",
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
