//! Documents that were read as a whole, cut into pieces.

use std::collections::VecDeque;

use super::Stretch;
use crate::tokens::word_cut;

/// Pieces that are ready.
pub(super) struct Ready {
    piece: usize,
    queue: VecDeque<Stretch>,
    /// The number of empty documents.
    pub empty: u64,
}

impl Ready {
    /// An empty queue; documents are cut after `piece` bytes.
    pub fn new(piece: usize) -> Ready {
        Ready { piece: piece.max(1), queue: VecDeque::new(), empty: 0 }
    }

    /// Cuts a document.
    pub fn add(&mut self, text: &str) {
        if text.is_empty() {
            self.empty += 1;
            return;
        }
        let (mut rest, mut offset) = (text.as_bytes(), 0);
        while let Some(cut) = word_cut(rest, self.piece) {
            self.queue.push_back(Stretch { offset, text: rest[..cut].to_vec(), ends: false });
            (rest, offset) = (&rest[cut..], offset + cut as u64);
        }
        self.queue.push_back(Stretch { offset, text: rest.to_vec(), ends: true });
    }

    /// Whether nothing is ready.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next piece.
    pub fn pop(&mut self) -> Option<Stretch> {
        self.queue.pop_front()
    }
}
