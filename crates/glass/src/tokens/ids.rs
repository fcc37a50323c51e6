//! Ids by token, in the order of their file, so that nothing depends on hashes. Texts that are written in the file as they
//! are stay there. The hash has a random key: no file can be made that has many texts with the same one.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;

/// Ids by token.
#[derive(Default)]
pub struct Ids<'a> {
    all: Vec<(Cow<'a, str>, u32)>,
    /// Open addressing: half of a text's hash, and its place plus one; zero where empty. At least half are empty.
    slots: Vec<u64>,
    hasher: RandomState,
}

impl<'a> Ids<'a> {
    /// Without tokens, and with memory for this many.
    pub fn with_capacity(tokens: usize) -> Ids<'a> {
        let slots = vec![0; (tokens * 2).next_power_of_two()];
        Ids { all: Vec::with_capacity(tokens), slots, hasher: RandomState::default() }
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// A token by its place in the order, with its id.
    pub fn at(&self, place: usize) -> Option<(&str, u32)> {
        self.all.get(place).map(|(text, id)| (&**text, *id))
    }

    /// Every token and its id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.all.iter().map(|(text, id)| (&**text, *id))
    }

    /// The id of a token.
    pub fn get(&self, text: &str) -> Option<u32> {
        self.place(text).map(|place| self.all[place].1)
    }

    /// The place of a token in the order.
    pub fn place(&self, text: &str) -> Option<usize> {
        let slot = *self.slots.get(self.slot(text, self.hash(text)))?;
        (slot as u32 as usize).checked_sub(1)
    }

    /// Adds a token. One that is there already gets the new id.
    pub fn insert(&mut self, text: Cow<'a, str>, id: u32) {
        if (self.all.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let hash = self.hash(&text);
        let slot = self.slot(&text, hash);
        match self.slots[slot] {
            0 => {
                self.all.push((text, id));
                self.slots[slot] = hash << 32 | self.all.len() as u64;
            }
            found => self.all[found as u32 as usize - 1].1 = id,
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(16);
        let old = std::mem::replace(&mut self.slots, vec![0; size]);
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            let mut at = (slot >> 32) as usize & (size - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = slot;
        }
    }

    /// Half of a text's hash.
    fn hash(&self, text: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(text.as_bytes());
        hasher.finish() >> 32
    }

    /// The slot that holds a text, or the empty one where it would be put.
    fn slot(&self, text: &str, hash: u64) -> usize {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some(slot) = self.slots.get(at).filter(|slot| **slot != 0) {
            if slot >> 32 == hash && self.all[*slot as u32 as usize - 1].0 == text {
                break;
            }
            at = (at + 1) & mask;
        }
        at
    }
}

impl<'a> FromIterator<(&'a str, u32)> for Ids<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, u32)>>(tokens: I) -> Ids<'a> {
        let tokens = tokens.into_iter();
        let mut ids = Ids::with_capacity(tokens.size_hint().1.unwrap_or_default());
        tokens.for_each(|(text, id)| ids.insert(Cow::Borrowed(text), id));
        ids
    }
}
