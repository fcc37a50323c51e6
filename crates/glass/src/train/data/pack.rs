//! Packing: several whole conversations fill one window of the context, so that every step has nearly as many rows as it can.
//!
//! A conversation is never cut, and sees nothing of the others in its window: each is a sequence of its own, whose positions begin
//! at 0, as if it stood alone. So its loss and gradients are the same as unpacked.
//!
//! Windows are made by best-fit decreasing (Johnson 1974; for training, Ding et al. 2024, "Fewer Truncations Improve Language
//! Modeling"): the longest conversation first, each into the fullest window that still has room for it. They are made once, and
//! every epoch has an order of windows of its own. Since conversations in a window do not see each other, packing anew would
//! only change which of them share a step, but the number of steps of an epoch would no longer be known without packing all.

use crate::random::Random;
use crate::train::data::set::Chat;

/// Conversations in windows.
#[derive(Clone, Debug)]
pub struct Packed {
    chats: Vec<Chat>,
    /// The conversations of each window.
    windows: Vec<Vec<u32>>,
}

impl Packed {
    /// Packs conversations, each of at most `context` rows, into windows of at most `context` rows. Of conversations of one
    /// length, the order is drawn from `seed`, so that those of one part of a file are not together.
    pub fn new(chats: Vec<Chat>, context: usize, seed: u64) -> Packed {
        let mut order = Random::new(seed, "pack", 0).permutation(chats.len());
        order.sort_by_key(|&index| std::cmp::Reverse(rows(&chats[index])));
        let mut windows: Vec<Vec<u32>> = Vec::new();
        // For every number of free rows, the windows that have as many.
        let mut with_free = vec![Vec::new(); context + 1];
        for index in order {
            let len = rows(&chats[index]);
            let fits = (len..=context).find_map(|free| with_free[free].pop().map(|window| (window, free)));
            let (window, free) = fits.unwrap_or_else(|| {
                windows.push(Vec::new());
                (windows.len() - 1, context)
            });
            windows[window].push(index as u32);
            with_free[free.saturating_sub(len)].push(window);
        }
        Packed { chats, windows }
    }

    /// All conversations, in the order of reading.
    pub fn chats(&self) -> &[Chat] {
        &self.chats
    }

    /// How many windows there are.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// The conversations of a window.
    pub fn window(&self, place: usize) -> impl ExactSizeIterator<Item = &Chat> {
        self.windows[place].iter().map(|&index| &self.chats[index as usize])
    }

    /// The numbers of the conversations of each window.
    pub fn windows(&self) -> &[Vec<u32>] {
        &self.windows
    }
}

/// The rows of a conversation: its last id is only predicted.
fn rows(chat: &Chat) -> usize {
    chat.ids.len() - 1
}
