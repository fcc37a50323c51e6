//! Text to tokens and back: byte-level BPE, with the vocabulary of GPT-2 and GPT-3 built in.
//!
//! In the order of the flow: added tokens such as `<|endoftext|>` are found in the text (`added`), what lies between
//! them is cut into words (`split`), a word seen before is looked up (`words`), a new one is merged (`bpe`). Back, a
//! token is its bytes (`vocabulary`), and a stream of bytes becomes characters once they are whole (`stream`).

mod added;
mod alphabet;
mod bpe;
pub mod chat;
pub(crate) mod files;
mod json;
mod learn;
mod parallel;
mod ranks;
mod split;
mod stream;
pub mod usage;
mod vocabulary;
mod words;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use crate::{Error, Result};
use added::{Added, Piece};
use bpe::Merges;
pub use bpe::Step;
pub use learn::{Learn, Progress, learn};
pub use parallel::word_cut;
pub use stream::TextStream;
use vocabulary::Vocabulary;
use words::{Words, Work};

/// GPT-2's mark between documents.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// Whether `<|endoftext|>` and its like in a text are the special tokens, or plain text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Special {
    /// Plain text, whatever it says: for text from outside.
    Plain,
    /// The special token.
    Allowed,
}

/// A vocabulary and the merges that lead to it. Cheap to clone, and shared between threads.
#[derive(Clone)]
pub struct Tokenizer(Arc<Inner>);

struct Inner {
    vocabulary: Vocabulary,
    merges: Merges,
    added: Added,
    work: Work,
    /// Words seen before: one table for every thread that is encoding now, kept for the next.
    words: Mutex<Vec<Words>>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer({} tokens)", self.vocabulary_size())
    }
}

impl Tokenizer {
    fn new(vocabulary: Vocabulary, merges: Merges, added: Added, work: Work) -> Tokenizer {
        Tokenizer(Arc::new(Inner { vocabulary, merges, added, work, words: Mutex::default() }))
    }

    /// The vocabulary of GPT-2 and GPT-3: 50,257 tokens with OpenAI's ids, the last of them `<|endoftext|>`.
    pub fn gpt2() -> Tokenizer {
        static GPT2: OnceLock<Tokenizer> = OnceLock::new();
        let open = || {
            let (mut vocabulary, merges) = vocabulary::gpt2();
            let mut added = Added::default();
            added.insert(vocabulary.len() as u32, END_OF_TEXT, true);
            vocabulary.push(END_OF_TEXT.as_bytes());
            Tokenizer::new(vocabulary, merges, added, Work::default())
        };
        GPT2.get_or_init(open).clone()
    }

    /// Opens a vocabulary: a `tokenizer.json` (see [`Tokenizer::from_json`]); `vocab.json` with `merges.txt` beside it,
    /// or `encoder.json` with `vocab.bpe`, as OpenAI published GPT-2's; a folder with any of these; or tiktoken's ranks
    /// (`.tiktoken`) of a vocabulary whose words are split as GPT-2's are.
    pub fn open(path: &Path) -> Result<Tokenizer> {
        files::open(path)
    }

    /// From the text of a `tokenizer.json`: byte-level BPE with added tokens. `name` stands in errors.
    ///
    /// Whatever else would change ids (another model, a normaliser, another pre-tokeniser, a template) is refused by
    /// name. `truncation` and `padding` are settings of a call, not of the vocabulary, and are not read.
    pub fn from_json(name: &str, bytes: &[u8]) -> Result<Tokenizer> {
        json::read(name, bytes)
    }

    /// As a `tokenizer.json` that `tokenizers` and `transformers` open.
    pub fn to_json(&self) -> String {
        json::write(&self.0)
    }

    /// From lists, as a GGUF file keeps a vocabulary.
    pub(crate) fn from_lists(
        name: &str,
        tokens: &[Option<&str>],
        merges: &[&str],
        added: &[(u32, &str, bool)],
    ) -> Result<Tokenizer> {
        json::from_lists(name, tokens, merges, added)
    }

    /// As lists.
    pub(crate) fn lists(&self) -> json::Lists {
        json::lists(&self.0)
    }

    /// The same with special tokens added after the last id. One that is there already stays as it is.
    pub fn with_specials(self, texts: &[&str]) -> Result<Tokenizer> {
        let (mut vocabulary, mut added) = (self.0.vocabulary.clone(), self.0.added.clone());
        for text in texts {
            if added.iter().any(|token| token.special && *token.text == **text) {
                continue;
            }
            let id = vocabulary.len() as u32;
            if text.is_empty() || vocabulary.len() == bpe::MOST_TOKENS || !added.insert(id, text, true) {
                let why = format!(
                    "{text:?} cannot be added: it is empty, a token that is not special, or one too many"
                );
                return Err(Error::asked("special tokens", why));
            }
            vocabulary.push(text.as_bytes());
        }
        Ok(Tokenizer::new(vocabulary, self.0.merges.clone(), added, self.0.work.clone()))
    }

    /// The highest id and one: how many rows an embedding needs.
    pub fn vocabulary_size(&self) -> usize {
        self.0.vocabulary.len()
    }

    /// The tokens of a text.
    pub fn encode(&self, text: &str, special: Special) -> Vec<u32> {
        self.encode_bytes(text.as_bytes(), special)
    }

    /// The tokens of any bytes; decoding gives exactly these bytes back. Where they are not UTF-8, each stray byte is
    /// split from its neighbours as punctuation is.
    pub fn encode_bytes(&self, text: &[u8], special: Special) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 4 + 1);
        self.with_words(|words| self.pieces(self.0.added.pieces(text, special), words, &mut ids));
        ids
    }

    /// Appends the tokens of each piece.
    fn pieces<'t>(&self, pieces: impl Iterator<Item = Piece<'t>>, words: &mut Words, ids: &mut Vec<u32>) {
        for piece in pieces {
            match piece {
                Piece::Token(id) => ids.push(id),
                Piece::Text(text) => words.encode(&self.0.work, &self.0.merges, text, ids),
            }
        }
    }

    /// Lends a table of words to one thread.
    fn with_words<T>(&self, work: impl FnOnce(&mut Words) -> T) -> T {
        let tables = || self.0.words.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut words = tables().pop().unwrap_or_default();
        let done = work(&mut words);
        tables().push(words);
        done
    }

    /// The bytes of tokens, one after the other; they need not be UTF-8 (see [`TextStream`]). An id that no token has
    /// is an error.
    pub fn decode(&self, ids: &[u32]) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for id in ids {
            bytes.extend(self.token(*id).ok_or_else(|| {
                let size = self.vocabulary_size();
                Error::asked(
                    "token ids",
                    format!("{id} is no token of this vocabulary, whose ids end at {}", size - 1),
                )
            })?);
        }
        Ok(bytes)
    }

    /// The bytes of one token; of a special token, its text.
    pub fn token(&self, id: u32) -> Option<&[u8]> {
        self.0.vocabulary.token(id)
    }

    /// Whether a token is a special one.
    pub fn is_special(&self, id: u32) -> bool {
        self.0.added.iter().any(|token| token.id == id && token.special)
    }

    /// The special token with this text.
    pub fn special(&self, text: &str) -> Option<u32> {
        self.0.added.iter().find(|token| token.special && *token.text == *text).map(|token| token.id)
    }

    /// `<|endoftext|>`, where the vocabulary has it.
    pub fn end_of_text(&self) -> Option<u32> {
        self.special(END_OF_TEXT)
    }

    /// The words that a text is cut into before their bytes are merged, added tokens among them.
    pub fn words<'t>(&self, text: &'t [u8], special: Special) -> Vec<&'t [u8]> {
        let mut words = Vec::new();
        let mut rest = text;
        for piece in self.0.added.pieces(text, special) {
            match piece {
                Piece::Text(piece) => {
                    rest = &rest[piece.len()..];
                    self.0.work.each_word(piece, |start, end| words.push(&piece[start..end]));
                }
                Piece::Token(id) => {
                    let (token, after) = rest.split_at(self.token(id).map_or(0, <[u8]>::len));
                    words.push(token);
                    rest = after;
                }
            }
        }
        words
    }

    /// How one word is put together: as single bytes, and after each merge. The last step holds its tokens.
    pub fn merges(&self, word: &[u8]) -> Vec<Step> {
        self.0.merges.steps(word)
    }
}
