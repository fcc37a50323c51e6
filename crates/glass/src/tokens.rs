//! Text to tokens and back: byte-level BPE, with the vocabulary of GPT-2 and GPT-3 built in, and SentencePiece's BPE
//! with bytes for what has no token (`sentence`).
//!
//! In the order of the flow: added tokens such as `<|endoftext|>` are found in the text (`added`), the text between
//! them is cut into words (`split`), a word seen before is looked up (`words`), a new one is merged (`bpe`). In the
//! other direction, a token is decoded to its bytes (`vocabulary`), and a stream of bytes is turned into characters
//! as soon as they are complete (`stream`).

mod added;
mod alphabet;
mod beside;
mod bpe;
mod characters;
pub mod chat;
pub(crate) mod files;
mod ids;
mod json;
mod learn;
mod normalize;
mod parallel;
mod presplit;
mod ranks;
mod search;
mod sentence;
mod split;
mod stream;
pub mod usage;
mod vocabulary;
mod words;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use crate::{Error, Result};
use added::{Added, Before, Piece};
pub(crate) use beside::Beside;
use bpe::Merges;
pub use bpe::Step;
pub(crate) use json::{FromLists, GgufKind, starts_by_default};
pub use learn::{Learn, Progress, learn};
use normalize::Normal;
pub use parallel::word_cut;
use sentence::Sentence;
pub use stream::TextStream;
use vocabulary::Vocabulary;
use words::{Words, Work};

/// GPT-2's mark between documents.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// How special tokens such as `<|endoftext|>` that are spelled in a text are read: as special tokens, or as plain
/// text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Special {
    /// As plain text. For text from untrusted sources.
    Plain,
    /// As the special token.
    Allowed,
}

/// A vocabulary and the merges that produce it. Cheap to clone, and shared between threads.
#[derive(Clone)]
pub struct Tokenizer(Arc<Inner>);

#[derive(Default)]
struct Inner {
    vocabulary: Vocabulary,
    merges: Merges,
    added: Added,
    /// How a text is normalised before it is split.
    normals: Vec<Normal>,
    /// What a vocabulary of SentencePiece does besides.
    sentence: Option<Sentence>,
    work: Work,
    frame: Frame,
    /// Tokens with a role, as in `tokenizer_config.json`: (`bos_token`, id).
    roles: Vec<(Box<str>, u32)>,
    /// Ids of tokens whose texts are not in the byte-level alphabet, so that no text is ever encoded to them, in ascending
    /// order.
    raw: Vec<u32>,
    /// Words seen before: one table for every thread that is encoding now; tables are reused.
    words: Mutex<Vec<Words>>,
}

/// The tokens placed around every text.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// Before the text.
    pub start: Vec<u32>,
    /// After the text.
    pub end: Vec<u32>,
}

impl Inner {
    /// A copy with empty tables of words.
    fn copy(&self) -> Inner {
        Inner {
            vocabulary: self.vocabulary.clone(),
            merges: self.merges.clone(),
            added: self.added.clone(),
            normals: self.normals.clone(),
            sentence: self.sentence.clone(),
            work: self.work.clone(),
            frame: self.frame.clone(),
            roles: self.roles.clone(),
            raw: self.raw.clone(),
            words: Mutex::default(),
        }
    }

    /// Calls `each` with every piece of a text: added tokens, and what is between them.
    fn each_piece(&self, text: &[u8], special: Special, each: &mut dyn FnMut(Piece<'_>)) {
        self.added.each_piece(text, special, &self.normals, self.sentence.as_ref(), Before::Nothing, each);
    }
}

impl From<Inner> for Tokenizer {
    fn from(inner: Inner) -> Tokenizer {
        Tokenizer(Arc::new(inner))
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer({} tokens)", self.vocabulary_size())
    }
}

impl Tokenizer {
    fn new(vocabulary: Vocabulary, merges: Merges, added: Added, work: Work) -> Tokenizer {
        Inner { vocabulary, merges, added, work, ..Inner::default() }.into()
    }

    /// The vocabulary of GPT-2 and GPT-3: 50,257 tokens with OpenAI's ids, the last of them `<|endoftext|>`.
    pub fn gpt2() -> Tokenizer {
        static GPT2: OnceLock<Tokenizer> = OnceLock::new();
        let open = || {
            let (mut vocabulary, merges) = vocabulary::gpt2();
            let mut added = Added::default();
            added.insert_special(vocabulary.len() as u32, END_OF_TEXT);
            vocabulary.push(END_OF_TEXT.as_bytes());
            Tokenizer::new(vocabulary, merges, added, Work::default())
        };
        GPT2.get_or_init(open).clone()
    }

    /// Opens a vocabulary: a `tokenizer.json` (see [`Tokenizer::from_json`]); `vocab.json` with `merges.txt` beside it,
    /// or `encoder.json` with `vocab.bpe`, as OpenAI published GPT-2's; tiktoken's ranks
    /// (`.tiktoken`) of a vocabulary whose words are split as GPT-2's are, or of one named cl100k_base or o200k_base; or a
    /// folder with any of these but ranks.
    ///
    /// Other files in the folder are used as in `transformers`: `tokenizer_config.json`, `special_tokens_map.json`
    /// and `added_tokens.json`.
    pub fn open(path: &Path) -> Result<Tokenizer> {
        files::open(path)
    }

    /// Reads the text of a `tokenizer.json`: byte-level BPE with added tokens. `name` is used in error messages.
    ///
    /// Anything that would give other ids than `tokenizers` does (another model, an unknown pre-tokenizer) is
    /// refused by name. `truncation` and `padding` are settings of a call, not of the vocabulary, and are not read.
    pub fn from_json(name: &str, bytes: &[u8]) -> Result<Tokenizer> {
        json::read(name, bytes, &Beside::default())
    }

    /// Writes a `tokenizer.json` that `tokenizers` and `transformers` can open.
    pub fn to_json(&self) -> String {
        json::write(&self.0)
    }

    /// Builds a tokenizer from lists, the form in which a GGUF file stores a vocabulary.
    pub(crate) fn from_lists(name: &str, lists: &FromLists<'_>) -> Result<Tokenizer> {
        json::from_lists(name, lists)
    }

    /// The vocabulary as lists.
    pub(crate) fn lists(&self) -> json::Lists {
        json::lists(&self.0)
    }

    /// Builds a tokenizer from lists and a score for every token, the form in which a GGUF file stores a vocabulary of
    /// SentencePiece; `space` says whether a space is put before texts.
    pub(crate) fn from_scores(
        name: &str,
        lists: &FromLists<'_>,
        scores: &[f64],
        space: bool,
    ) -> Result<Tokenizer> {
        json::from_scores(name, lists, scores, space)
    }

    /// How llama.cpp is told to read the vocabulary in a GGUF file.
    ///
    /// # Errors
    /// If llama.cpp would encode texts differently.
    pub(crate) fn gguf_kind(&self) -> Result<GgufKind> {
        json::gguf_kind(&self.0)
    }

    /// The same tokenizer with these tokens before every text; see [`Tokenizer::start`].
    ///
    /// # Errors
    /// If an id has no token.
    pub fn with_start(&self, start: &[u32]) -> Result<Tokenizer> {
        self.decode(start)?;
        let mut inner = self.0.copy();
        inner.frame.start = start.to_vec();
        Ok(inner.into())
    }

    /// The tokens before every text. The files name them if documents began with them in training (a
    /// `TemplateProcessing` in `tokenizer.json`, `add_bos_token` in `tokenizer_config.json` and in GGUF). Usually
    /// one or none.
    pub fn start(&self) -> &[u32] {
        &self.0.frame.start
    }

    /// The tokens that begin a document after the token that ended the previous one: empty if that token is also
    /// the start token.
    pub fn document_start(&self) -> &[u32] {
        let is_end = self.end_of_text().is_some_and(|end| self.start() == [end]);
        if is_end { &[] } else { self.start() }
    }

    /// The tokens after every complete text, if the files ask for some. A text that will be continued gets none.
    pub fn end(&self) -> &[u32] {
        &self.0.frame.end
    }

    /// The tokens of a complete text, with its [start](Tokenizer::start) and [end](Tokenizer::end) tokens: what
    /// `tokenizers` and `transformers` give with `add_special_tokens`.
    pub fn encode_whole(&self, text: &[u8], special: Special) -> Vec<u32> {
        [self.start(), &self.encode_parallel(text, special), self.end()].concat()
    }

    /// The tokens of a text that will be continued: like [`Tokenizer::encode_whole`], without the end tokens.
    pub fn encode_prompt(&self, text: &[u8], special: Special) -> Vec<u32> {
        [self.start(), &self.encode_parallel(text, special)].concat()
    }

    /// Whether a space is put before a text that does not begin with one (`add_prefix_space`).
    pub fn adds_prefix_space(&self) -> bool {
        self.0.work.steps.contains(&presplit::Step::PrefixSpace)
    }

    /// The token with this role: `bos_token`, `eos_token`, `pad_token` …
    pub fn role(&self, name: &str) -> Option<u32> {
        self.roles().find(|(role, _)| *role == name).map(|(_, id)| id)
    }

    /// All tokens that have a role.
    pub fn roles(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.roles.iter().map(|(role, id)| (&**role, *id))
    }

    /// How many bytes of a text have no token and are left out, or become the vocabulary's unknown token. Always 0
    /// if the vocabulary has all 256 bytes.
    pub fn unknown_bytes(&self, text: &[u8], special: Special) -> usize {
        let Inner { merges, work, .. } = &*self.0;
        let mut unknown = 0;
        if !merges.is_complete() {
            self.each_word(text, special, &mut |word, added| {
                let whole = work.whole.as_ref().is_some_and(|whole| whole.contains_key(word));
                if !whole && added.is_none() {
                    unknown += merges.unknown_bytes(word);
                }
            });
        }
        unknown
    }

    /// Adds special tokens after the last id. A special token that already exists is left unchanged.
    pub fn with_specials(self, texts: &[&str]) -> Result<Tokenizer> {
        let mut inner = self.0.copy();
        let Inner { vocabulary, added, .. } = &mut inner;
        for text in texts {
            if added.iter().any(|token| token.special && *token.text == **text) {
                continue;
            }
            let id = vocabulary.len() as u32;
            if text.is_empty() || vocabulary.len() == bpe::MOST_TOKENS || !added.insert_special(id, text) {
                let why = format!(
                    "{text:?} cannot be added: it is empty, a token that is not special, or exceeds the largest vocabulary"
                );
                return Err(Error::invalid_argument("special tokens", why));
            }
            vocabulary.push(text.as_bytes());
        }
        Ok(inner.into())
    }

    /// The highest id plus one: the number of rows an embedding needs.
    pub fn vocabulary_size(&self) -> usize {
        self.0.vocabulary.len()
    }

    /// The tokens of a text.
    pub fn encode(&self, text: &str, special: Special) -> Vec<u32> {
        self.encode_bytes(text.as_bytes(), special)
    }

    /// The tokens of any bytes. Decoding gives exactly these bytes back, unless the vocabulary normalises texts (a
    /// Unicode normal form, a space before them) or does not have all bytes. In text that is not valid UTF-8, each
    /// stray byte is split from its neighbours as punctuation is.
    pub fn encode_bytes(&self, text: &[u8], special: Special) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 4 + 1);
        self.with_words(|words| {
            self.0.each_piece(text, special, &mut |piece| self.piece(piece, words, &mut ids));
        });
        ids
    }

    /// Appends the tokens of a text that comes after `ids`: where a vocabulary puts a space before texts, it puts none before
    /// one that continues another.
    pub(crate) fn encode_after(&self, text: &[u8], special: Special, ids: &mut Vec<u32>) {
        let Inner { added, normals, sentence, .. } = &*self.0;
        let before = match ids.last() {
            None => Before::Nothing,
            Some(last) if added.special(*last).is_some() => Before::Token,
            Some(_) => Before::Text,
        };
        self.with_words(|words| {
            let each = &mut |piece: Piece<'_>| self.piece(piece, words, ids);
            added.each_piece(text, special, normals, sentence.as_ref(), before, each);
        });
    }

    /// Appends the tokens of a piece.
    fn piece(&self, piece: Piece<'_>, words: &mut Words, ids: &mut Vec<u32>) {
        match piece {
            Piece::Token(id) => ids.push(id),
            Piece::Text(text) => words.encode(&self.0.work, &self.0.merges, text, ids),
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

    /// The bytes of the tokens of a text, concatenated; they need not be valid UTF-8 (see [`TextStream`]). If the
    /// vocabulary puts a space before texts and takes it away again (Llama 2), one space at the beginning is left out.
    /// An id without a token is an error.
    pub fn decode(&self, ids: &[u32]) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for id in ids {
            bytes.extend(self.token(*id).ok_or_else(|| {
                let size = self.vocabulary_size();
                Error::invalid_argument(
                    "token ids",
                    format!("this vocabulary has no token {id}; its ids end at {}", size - 1),
                )
            })?);
        }
        let strips = self.0.sentence.as_ref().is_some_and(|sentence| sentence.strip);
        if strips && bytes.first() == Some(&b' ') {
            bytes.remove(0);
        }
        Ok(bytes)
    }

    /// The bytes of one token; for a special token, its text.
    pub fn token(&self, id: u32) -> Option<&[u8]> {
        self.0.vocabulary.token(id)
    }

    /// Whether a token is a special one.
    pub fn is_special(&self, id: u32) -> bool {
        self.0.added.special(id) == Some(true)
    }

    /// The special token with this text.
    pub fn special(&self, text: &str) -> Option<u32> {
        self.0.added.iter().find(|token| token.special && *token.text == *text).map(|token| token.id)
    }

    /// The token between documents: `<|endoftext|>` if the vocabulary has it, else the one its files call
    /// `eos_token`.
    pub fn end_of_text(&self) -> Option<u32> {
        self.special(END_OF_TEXT).or_else(|| self.role("eos_token"))
    }

    /// The words that a text is cut into before bytes are merged, including added tokens.
    pub fn words(&self, text: &[u8], special: Special) -> Vec<Vec<u8>> {
        let mut words = Vec::new();
        self.each_word(text, special, &mut |word, _| words.push(word.to_vec()));
        words
    }

    /// Calls `each` with every word, and with its id if it is an added token.
    fn each_word(&self, text: &[u8], special: Special, each: &mut dyn FnMut(&[u8], Option<u32>)) {
        self.0.each_piece(text, special, &mut |piece| match piece {
            Piece::Text(piece) => self.0.work.each_word(piece, |word| each(word, None)),
            Piece::Token(id) => each(self.token(id).unwrap_or_default(), Some(id)),
        });
    }

    /// How one word is merged: as single bytes, and after each merge. The last step holds its tokens.
    pub fn merges(&self, word: &[u8]) -> Vec<Step> {
        self.0.merges.steps(word)
    }
}
