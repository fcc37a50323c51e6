//! Encodes on several threads, with the same tokens: a long text is cut where no word is affected.

use super::added::{Added, AddedToken, Piece};
use super::normalize::Normal;
use super::sentence::Prefix;
use super::{Inner, Special, Tokenizer, split};

/// About how much text one thread takes at a time.
const PART: usize = 1 << 16;

impl Tokenizer {
    /// Encodes one long text on several threads, with the same result as [`Tokenizer::encode_bytes`].
    pub fn encode_parallel(&self, text: &[u8], special: Special) -> Vec<u32> {
        let Inner { added, work, normals, sentence, .. } = &*self.0;
        if sentence.is_some() {
            return self.stretches_parallel(text, special);
        }
        if !normals.is_empty() {
            // Which tokens are found depends on the normalised text, so it is cut only where no token is affected.
            let share = if self.cuts_at_words() { PART } else { usize::MAX };
            let parts = parts(&Added::default(), &split::safe_cut, text, special, share);
            let encode = |part: &Vec<Piece>| -> Vec<u32> {
                let texts =
                    part.iter().map(|piece| if let Piece::Text(text) = piece { text } else { &[][..] });
                texts.flat_map(|text| self.encode_bytes(text, special)).collect()
            };
            return map(&parts, encode).concat();
        }
        let parts = parts(added, &|text, at| work.cut(text, at), text, special, PART);
        let encode = |pieces: &Vec<Piece>| {
            let mut ids = Vec::with_capacity(PART / 3);
            self.with_words(|words| pieces.iter().for_each(|piece| self.piece(*piece, words, &mut ids)));
            ids
        };
        map(&parts, encode).concat()
    }

    /// The same for a vocabulary that puts a space before a text: it is cut after that.
    fn stretches_parallel(&self, text: &[u8], special: Special) -> Vec<u32> {
        let mut stretches = Vec::new();
        self.0.each_piece(text, special, &mut |piece| {
            stretches.push(match piece {
                Piece::Text(text) => (text.to_vec(), None),
                Piece::Token(id) => (Vec::new(), Some(id)),
            });
        });
        let mut all = Vec::new();
        for (text, id) in stretches {
            let cut = |text: &[u8], at| self.0.work.cut(text, at);
            let parts = parts(&Added::default(), &cut, &text, special, PART);
            let encode = |pieces: &Vec<Piece>| {
                let mut ids = Vec::with_capacity(PART / 3);
                self.with_words(|words| pieces.iter().for_each(|piece| self.piece(*piece, words, &mut ids)));
                ids
            };
            map(&parts, encode).iter().for_each(|ids| all.extend(ids));
            all.extend(id);
        }
        all
    }

    /// Whether no token of this vocabulary reaches over a [`word_cut`].
    pub fn cuts_at_words(&self) -> bool {
        let Inner { added, work, normals, sentence, .. } = &*self.0;
        let spaced = sentence.as_ref().is_some_and(|sentence| sentence.prefix != Prefix::Never);
        if spaced || normals.contains(&Normal::Prepend) {
            return false;
        }
        let reaches =
            |token: &AddedToken| token.lstrip || token.rstrip || token.text.contains(char::is_whitespace);
        work.cuts_at_words() && !added.iter().any(reaches)
    }

    /// Encodes many documents on several threads.
    pub fn encode_all<D: AsRef<[u8]> + Sync>(&self, documents: &[D], special: Special) -> Vec<Vec<u32>> {
        map(documents, |document| self.encode_bytes(document.as_ref(), special))
    }
}

/// The first place after `at` where a text can be cut without changing its tokens: between an ASCII character that
/// is not white space and a space. Only for vocabularies that [cut there](Tokenizer::cuts_at_words).
pub fn word_cut(text: &[u8], at: usize) -> Option<usize> {
    split::safe_cut(text, at)
}

/// Groups pieces into parts of about `share` bytes, where `cut` gives a place to cut after another one.
pub fn parts<'t>(
    added: &Added,
    cut: &dyn Fn(&[u8], usize) -> Option<usize>,
    text: &'t [u8],
    special: Special,
    share: usize,
) -> Vec<Vec<Piece<'t>>> {
    let (mut parts, mut part, mut size) = (Vec::new(), Vec::new(), 0);
    for piece in added.pieces(text, special) {
        let mut rest = match piece {
            Piece::Text(text) => text,
            Piece::Token(_) => {
                part.push(piece);
                continue;
            }
        };
        while size + rest.len() > share {
            let Some(cut) = cut(rest, share.saturating_sub(size)) else { break };
            part.push(Piece::Text(&rest[..cut]));
            parts.push(std::mem::take(&mut part));
            (rest, size) = (&rest[cut..], 0);
        }
        part.push(Piece::Text(rest));
        size += rest.len();
    }
    parts.push(part);
    parts
}

#[cfg(not(target_family = "wasm"))]
/// Applies `work` to each, on several threads if available; the results are in order.
pub fn map<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Send + Sync) -> Vec<R> {
    use rayon::prelude::*;
    all.par_iter().map(work).collect()
}

#[cfg(target_family = "wasm")]
/// Applies `work` to each.
pub fn map<T, R>(all: &[T], work: impl Fn(&T) -> R) -> Vec<R> {
    all.iter().map(work).collect()
}
