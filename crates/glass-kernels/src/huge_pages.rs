//! Memory for what stays: large pieces side by side, in large pages where the system has them.
//!
//! A processor looks up where each page of memory lies, and of pages of 4 KiB it remembers fewer than a model's weights
//! fill. In pages of 2 MiB it remembers all of them; but only where a whole page is asked for before it is touched, which
//! pieces of an allocator of small things never do.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

#[cfg(target_family = "wasm")]
use crate::aligned::AlignedBuffer;
use crate::aligned::LINE;

/// Floats in a large page: 2 MiB.
const PAGE: usize = 1 << 19;

/// Floats of a chunk: 32 MiB, of which only what is touched takes memory.
const CHUNK: usize = 16 * PAGE;

/// Hands out pieces of one chunk after another. A chunk is given back with the last of its pieces.
#[derive(Default)]
pub struct HugePages {
    last: Weak<Chunk>,
    /// Floats of it that were handed out.
    taken: usize,
}

impl HugePages {
    /// `len` zeros; none where the system has no memory left.
    pub fn zeros(&mut self, len: usize) -> Option<Piece> {
        let whole = len.checked_next_multiple_of(LINE)?;
        let (chunk, at) = match self.last.upgrade() {
            Some(chunk) if whole <= chunk.len - self.taken => (chunk, self.taken),
            _ => (Arc::new(Chunk::zeros(whole.max(CHUNK))?), 0),
        };
        // SAFETY: so far into the chunk, and what was handed out of it lies before.
        let start = unsafe { chunk.start.add(at) };
        (self.last, self.taken) = (Arc::downgrade(&chunk), at + whole);
        Some(Piece { start, len, _chunk: chunk })
    }
}

/// Floats of a chunk, which belong to whoever holds the piece.
pub struct Piece {
    start: NonNull<f32>,
    len: usize,
    _chunk: Arc<Chunk>,
}

// SAFETY: a piece is floats of its own; the chunk is only kept.
unsafe impl Send for Piece {}
// SAFETY: as above.
unsafe impl Sync for Piece {}

impl Deref for Piece {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: these floats are this piece's alone, and there as long as the chunk is.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Piece {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

/// Zeros from the system, aligned to a large page where it maps memory.
struct Chunk {
    start: NonNull<f32>,
    len: usize,
    #[cfg(not(target_family = "wasm"))]
    _map: memmap2::MmapMut,
    #[cfg(target_family = "wasm")]
    _floats: AlignedBuffer,
}

// SAFETY: a chunk is memory that pieces share out among them; it reads and writes none of it.
unsafe impl Send for Chunk {}
// SAFETY: as above.
unsafe impl Sync for Chunk {}

#[cfg(not(target_family = "wasm"))]
impl Chunk {
    fn zeros(len: usize) -> Option<Self> {
        // A page more than asked for, so that one of them begins at a multiple of its size.
        let bytes = len.checked_add(PAGE)?.checked_mul(4)?;
        let mut map = memmap2::MmapMut::map_anon(bytes).ok()?;
        let skipped = map.as_ptr().align_offset(4 * PAGE);
        #[cfg(target_os = "linux")]
        // Where the system refuses, pages are small, and nothing else changes.
        let _ = map.advise_range(memmap2::Advice::HugePage, skipped, 4 * len);
        // SAFETY: less than a page is skipped, and there is a page more.
        let start = NonNull::new(unsafe { map.as_mut_ptr().add(skipped) }.cast())?;
        Some(Self { start, len, _map: map })
    }
}

#[cfg(target_family = "wasm")]
impl Chunk {
    fn zeros(len: usize) -> Option<Self> {
        let mut floats = AlignedBuffer::zeros(len)?;
        Some(Self { start: NonNull::new(floats.as_mut_ptr())?, len, _floats: floats })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_zeros_of_their_own_on_whole_lines() {
        let mut chunks = HugePages::default();
        let lens = [0, 1, LINE, 3 * LINE + 5, CHUNK - 7, 9, 2 * CHUNK + 1, 33];
        let mut pieces = lens.map(|len| chunks.zeros(len).expect("there is memory"));
        for (number, piece) in pieces.iter_mut().enumerate() {
            assert_eq!((piece.len(), piece.as_ptr().align_offset(64)), (lens[number], 0));
            assert!(piece.iter().all(|&x| x == 0.0), "piece {number}");
            piece.fill(number as f32);
        }
        let [first, ..] = &pieces;
        let chunk = Arc::downgrade(&first._chunk);
        for (number, piece) in pieces.iter().enumerate() {
            assert!(piece.iter().all(|&x| x == number as f32), "piece {number}");
        }
        drop(pieces);
        assert!(chunk.upgrade().is_none() && chunks.last.upgrade().is_none());
    }

    #[test]
    fn what_no_machine_has_is_refused() {
        assert!(HugePages::default().zeros(usize::MAX / 8).is_none());
        assert!(HugePages::default().zeros(usize::MAX).is_none());
    }
}
