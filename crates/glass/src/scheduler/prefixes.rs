//! The prefix cache: blocks of keys and values that were computed for one sequence and are read by others that begin with the
//! same ids (vLLM's automatic prefix caching; Kwon et al. 2023).
//!
//! A block's key is all that can change its bits: the ids in it, and the block before it, which stands for all ids before
//! them. The model, its precision and the type of the cache are those of the memory, which one model uses. Keys are compared
//! in full, so there are no collisions. A key begins with the request's salt and its adapter, so requests share only with those
//! that have the same.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::backend::BLOCK;

/// What is before a block.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Before {
    /// Nothing: it begins a sequence with this salt, read with the adapter of this number.
    Start(Option<Arc<str>>, Option<usize>),
    /// The block with this serial number.
    Block(u64),
}

/// All that can change a block's bits.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    /// What is before it.
    pub before: Before,
    /// Its ids.
    pub ids: Box<[u32]>,
}

impl Key {
    /// The key of the block of `ids` that begins at `start`; `None` if they do not fill it.
    pub fn of(before: &Before, ids: &[u32], start: usize) -> Option<Key> {
        let ids = ids.get(start..start + BLOCK)?;
        Some(Key { before: before.clone(), ids: ids.into() })
    }
}

/// A block of the memory.
#[derive(Clone, Default, Debug)]
struct Block {
    /// Sequences that use it now.
    users: usize,
    /// Its key and serial number, if it is complete and others may read it.
    known: Option<(Key, u64)>,
    /// When it was last used.
    used: u64,
}

/// The blocks of a memory: free, in use, or kept for later sequences.
pub struct Prefixes {
    blocks: Vec<Block>,
    free: Vec<usize>,
    known: HashMap<Key, usize>,
    /// Known blocks that no sequence uses, by when they were last used.
    unused: BTreeMap<u64, usize>,
    /// Serial numbers of known blocks; a number is never used twice.
    serial: u64,
    clock: u64,
    /// Blocks that running sequences may still take.
    reserved: usize,
    evicted: u64,
}

impl Prefixes {
    /// A memory of this many blocks, all free.
    pub fn new(blocks: usize) -> Prefixes {
        Prefixes {
            blocks: vec![Block::default(); blocks],
            free: (0..blocks).rev().collect(),
            known: HashMap::new(),
            unused: BTreeMap::new(),
            serial: 0,
            clock: 0,
            reserved: 0,
            evicted: 0,
        }
    }

    /// All blocks.
    pub fn all(&self) -> usize {
        self.blocks.len()
    }

    /// Blocks that sequences use now.
    pub fn in_use(&self) -> usize {
        self.blocks.len() - self.free.len() - self.unused.len()
    }

    /// Blocks that are kept for later sequences.
    pub fn kept(&self) -> usize {
        self.unused.len()
    }

    /// Blocks that were dropped to make room.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Promises a sequence that it can take this many blocks; false if there are too few.
    pub fn reserve(&mut self, blocks: usize) -> bool {
        let possible = self.reserved + blocks <= self.free.len() + self.unused.len();
        if possible {
            self.reserved += blocks;
        }
        possible
    }

    /// Gives back a promise.
    pub fn unreserve(&mut self, blocks: usize) {
        self.reserved -= blocks;
    }

    /// Takes a promised block: a free one, or else the one that was not used for the longest time.
    pub fn take(&mut self) -> usize {
        self.reserved -= 1;
        let block = self.free.pop().unwrap_or_else(|| {
            let (_, block) = self.unused.pop_first().expect("a promised block");
            let (key, _) = self.blocks[block].known.take().expect("an unused block is known");
            self.known.remove(&key);
            self.evicted += 1;
            block
        });
        self.blocks[block].users = 1;
        block
    }

    /// The block with this key and what it is to the next block, taken instead of a promised one.
    pub fn share(&mut self, key: &Key) -> Option<(usize, Before)> {
        let &block = self.known.get(key)?;
        self.reserved -= 1;
        let found = &mut self.blocks[block];
        if found.users == 0 {
            self.unused.remove(&found.used);
        }
        found.users += 1;
        let serial = found.known.as_ref().expect("it was found by its key").1;
        Some((block, Before::Block(serial)))
    }

    /// Makes a complete block known, so that others may read it; what it is to the next block. If another block has this key
    /// already, that one stays known.
    pub fn publish(&mut self, block: usize, key: Key) -> Before {
        if let Some(&other) = self.known.get(&key) {
            let serial = self.blocks[other].known.as_ref().expect("it was found by its key").1;
            return Before::Block(serial);
        }
        self.serial += 1;
        self.known.insert(key.clone(), block);
        self.blocks[block].known = Some((key, self.serial));
        Before::Block(self.serial)
    }

    /// A sequence no longer uses these blocks, in the order of its positions: known ones are kept, the first longest.
    pub fn release(&mut self, blocks: impl DoubleEndedIterator<Item = usize>) {
        for block in blocks.rev() {
            let released = &mut self.blocks[block];
            released.users -= 1;
            if released.users > 0 {
                continue;
            }
            match released.known {
                Some(_) => {
                    self.clock += 1;
                    released.used = self.clock;
                    self.unused.insert(self.clock, block);
                }
                None => self.free.push(block),
            }
        }
    }

    /// Forgets every block that no sequence uses.
    pub fn clear(&mut self) {
        for (_, block) in std::mem::take(&mut self.unused) {
            let (key, _) = self.blocks[block].known.take().expect("an unused block is known");
            self.known.remove(&key);
            self.free.push(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(before: &Before, id: u32) -> Key {
        Key::of(before, &[id; BLOCK], 0).unwrap()
    }

    #[test]
    fn a_block_is_found_by_all_that_is_before_it() {
        let mut prefixes = Prefixes::new(4);
        assert!(prefixes.reserve(4) && !prefixes.reserve(1));
        let start = Before::Start(None, None);
        let (first, second) = (prefixes.take(), prefixes.take());
        let after = prefixes.publish(first, key(&start, 1));
        let last = prefixes.publish(second, key(&after, 2));
        assert!(prefixes.share(&key(&start, 2)).is_none(), "other ids before it");
        assert!(prefixes.share(&key(&Before::Start(Some("a".into()), None), 1)).is_none(), "another salt");
        assert!(prefixes.share(&key(&Before::Start(None, Some(0)), 1)).is_none(), "with an adapter");
        assert_eq!(prefixes.share(&key(&start, 1)), Some((first, after.clone())));
        assert_eq!(prefixes.share(&key(&after, 2)), Some((second, last)));
        assert_eq!((prefixes.in_use(), prefixes.kept()), (2, 0));
        prefixes.release([first, second].into_iter());
        assert_eq!((prefixes.in_use(), prefixes.kept()), (2, 0), "the first sequence uses them still");
        prefixes.release([first, second].into_iter());
        assert_eq!((prefixes.in_use(), prefixes.kept()), (0, 2));
    }

    #[test]
    fn the_end_of_what_was_unused_longest_is_dropped_first() {
        let mut prefixes = Prefixes::new(3);
        let start = Before::Start(None, None);
        assert!(prefixes.reserve(3));
        let (a, b, other) = (prefixes.take(), prefixes.take(), prefixes.take());
        let after = prefixes.publish(a, key(&start, 1));
        prefixes.publish(b, key(&after, 2));
        prefixes.publish(other, key(&start, 3));
        prefixes.release([a, b].into_iter());
        prefixes.release([other].into_iter());
        assert!(prefixes.reserve(2));
        assert_eq!(prefixes.take(), b, "the later block of the older sequence");
        assert_eq!(prefixes.evicted(), 1);
        assert_eq!(prefixes.share(&key(&start, 1)).map(|(block, _)| block), Some(a));
        assert!(prefixes.reserve(1) && !prefixes.reserve(1));
        prefixes.clear();
        assert_eq!((prefixes.in_use(), prefixes.kept()), (2, 0));
    }

    #[test]
    fn two_that_computed_the_same_share_from_then_on() {
        let mut prefixes = Prefixes::new(2);
        let start = Before::Start(None, None);
        assert!(prefixes.reserve(2));
        let (a, b) = (prefixes.take(), prefixes.take());
        let first = prefixes.publish(a, key(&start, 1));
        assert_eq!(prefixes.publish(b, key(&start, 1)), first);
        prefixes.release([b].into_iter());
        assert_eq!((prefixes.in_use(), prefixes.kept()), (1, 0), "the second copy is free");
    }
}
