//! Where the blocks of each sequence are in the memory of a cache (paged attention, Kwon et al. 2023). Sequences with a
//! common prefix share its blocks.

use std::ops::Range;

use super::BLOCK;

/// The slot of a block that nobody may write.
const NOBODY: u32 = u32::MAX;

/// For every slot, the memory's block that holds each of its blocks of 64 positions. A block may be read by several slots;
/// at most one may write it.
#[derive(Clone, Debug)]
pub struct BlockTable {
    /// Blocks that a sequence may have.
    most: usize,
    /// Blocks of a slot in memory. If they are fewer than `most`, each takes the place of the one that is as many before it.
    per_slot: usize,
    /// `[slots][blocks of a slot]`.
    blocks: Vec<u32>,
    /// For each of the memory's blocks, the slot that may write it.
    writers: Vec<u32>,
    /// The slots after those of sequences.
    branches: Vec<Branch>,
}

/// A slot for rows that are one of several ways in which a sequence may go on. It has memory for them alone, and reads what is
/// before them where the sequence has it.
#[derive(Clone, Copy, Debug)]
struct Branch {
    /// Its own memory: as many rows as a block has may lie in two.
    own: [u32; 2],
    /// The slot that it goes on from, and the position of its first row.
    from: Option<(usize, usize)>,
}

impl BlockTable {
    /// Every slot has memory of its own for this many positions.
    pub fn separate(slots: usize, positions: usize) -> BlockTable {
        BlockTable::windowed(slots, positions, None, positions)
    }

    /// Every slot has memory of its own: as [`separate`](Self::separate), or, if queries see a window of positions only, for the
    /// last ones, as many as they see while at most `rows` are appended at once.
    pub fn windowed(slots: usize, positions: usize, window: Option<usize>, rows: usize) -> BlockTable {
        let most = positions.div_ceil(BLOCK);
        // From the first key that the first row sees to the last row, wherever the first block begins.
        let needed = |window: usize| window.saturating_add(rows).saturating_sub(2).div_ceil(BLOCK) + 1;
        let per_slot = window.map_or(most, |window| most.min(needed(window)));
        let all = u32::try_from(slots * per_slot).expect("fewer than 2³² blocks");
        let writers = (0..all).map(|block| block / per_slot.max(1) as u32).collect();
        BlockTable { most, per_slot, blocks: (0..all).collect(), writers, branches: Vec::new() }
    }

    /// Slots of at most this many positions over a memory of `blocks` blocks, of which none belongs to a slot yet.
    pub fn shared(slots: usize, positions: usize, blocks: usize) -> BlockTable {
        let most = positions.div_ceil(BLOCK);
        let (all, writers) = (vec![NOBODY; slots * most], vec![NOBODY; blocks]);
        BlockTable { most, per_slot: most, blocks: all, writers, branches: Vec::new() }
    }

    /// With this many more slots, for [branches](Self::branch).
    #[must_use]
    pub fn with_branches(mut self, count: usize) -> BlockTable {
        for slot in self.slots()..self.slots() + count {
            let block = self.writers.len() as u32;
            self.branches.push(Branch { own: [block, block + 1], from: None });
            self.writers.extend([slot as u32; 2]);
            self.blocks.extend(vec![NOBODY; self.per_slot]);
        }
        self
    }

    /// From now on, `slot` goes on from what slot `of` has before position `past`, by at most `rows` rows. What of it lies in the
    /// block of these rows is copied when they are [appended](super::append).
    pub fn branch(&mut self, slot: usize, of: usize, past: usize, rows: usize) {
        assert!(rows <= BLOCK && of < slot, "{rows} rows of slot {slot}, which goes on from {of}");
        let branch = slot - self.slots();
        let (from, to) = (of * self.per_slot, slot * self.per_slot);
        self.blocks.copy_within(from..from + self.per_slot, to);
        self.branches[branch].from = Some((of, past));
        for (at, own) in (past / BLOCK..(past + rows).div_ceil(BLOCK)).zip(self.branches[branch].own) {
            self.blocks[to + at % self.per_slot] = own;
        }
    }

    /// What a slot goes on from, if it is a branch: a slot, and how many positions of it.
    pub(super) fn branched(&self, slot: usize) -> Option<(usize, usize)> {
        slot.checked_sub(self.slots()).and_then(|branch| self.branches.get(branch)?.from)
    }

    /// From now on, block `at` of a slot is the memory's block `block`, which this slot alone may write.
    pub fn give(&mut self, slot: usize, at: usize, block: usize) {
        self.blocks[slot * self.per_slot + at] = block as u32;
        self.writers[block] = slot as u32;
    }

    /// From now on, block `at` of a slot is the memory's block `block`, which this slot only reads.
    pub fn share(&mut self, slot: usize, at: usize, block: usize) {
        self.blocks[slot * self.per_slot + at] = block as u32;
    }

    /// From now on, nobody may write the memory's block `block`.
    pub fn seal(&mut self, block: usize) {
        self.writers[block] = NOBODY;
    }

    /// The slots of sequences; those of branches have the numbers after them.
    pub fn slots(&self) -> usize {
        self.blocks.len().checked_div(self.per_slot).unwrap_or(0) - self.branches.len()
    }

    /// Blocks of the memory.
    pub fn in_memory(&self) -> usize {
        self.writers.len()
    }

    /// Whether a sequence that had this many positions still has block `at`.
    pub fn keeps(&self, at: usize, positions: usize) -> bool {
        positions.div_ceil(BLOCK) <= at + self.per_slot
    }

    /// The memory's block that is block `at` of a slot.
    pub(super) fn block(&self, slot: usize, at: usize) -> usize {
        let at = if at < self.per_slot || self.per_slot == self.most { at } else { at % self.per_slot };
        self.blocks[slot * self.per_slot..][..self.per_slot][at] as usize
    }

    /// Asserts that there is memory for these blocks at once.
    pub(super) fn assert_together(&self, at: &Range<usize>) {
        let (end, has) = (at.end, self.most);
        assert!(end <= has, "block {end} is outside a cache of {has} blocks a slot");
        assert!(at.len() <= self.per_slot, "blocks {at:?} in a cache that keeps {}", self.per_slot);
    }

    /// Asserts that a slot may write these of its blocks, in a memory of `blocks` blocks.
    pub(super) fn assert_written(&self, slot: usize, at: Range<usize>, blocks: usize) {
        let slots = self.slots() + self.branches.len();
        assert!(slot < slots, "slot {slot} is outside a cache of {slots}");
        self.assert_together(&at);
        for at in at {
            let block = self.block(slot, at);
            let writer = self.writers.get(block).copied();
            assert!(
                block < blocks && writer == Some(slot as u32),
                "slot {slot} writes block {at}, which is not its own"
            );
        }
    }
}
