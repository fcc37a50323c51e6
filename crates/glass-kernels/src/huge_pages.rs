//! Memory for weights: large pieces next to each other, in huge pages if the system has them.
//!
//! A processor looks up where each page of memory is, and its TLB holds fewer pages of 4 KiB than a model's weights
//! fill. It can hold all of them as pages of 2 MiB; but huge pages are only used if a whole page is requested
//! before it is touched, which an allocator for small objects never does.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

#[cfg(target_family = "wasm")]
use crate::aligned::AlignedBuffer;
use crate::aligned::LINE;

/// Floats in a huge page: 2 MiB.
const PAGE: usize = 1 << 19;

/// Floats in a chunk: 32 MiB, of which only touched pages take memory.
const CHUNK: usize = 16 * PAGE;

/// Allocates pieces of one chunk after another. A chunk is freed with the last of its pieces.
#[derive(Default)]
pub struct HugePages {
    last: Weak<Chunk>,
    /// How many floats of it are allocated.
    taken: usize,
}

impl HugePages {
    /// `len` zeros; `None` if there is not enough memory.
    pub fn zeros(&mut self, len: usize) -> Option<Pages> {
        let whole = len.checked_next_multiple_of(LINE)?;
        let (chunk, at) = match self.last.upgrade() {
            Some(chunk) if whole <= chunk.len - self.taken => (chunk, self.taken),
            _ => (Arc::new(Chunk::zeros(whole.max(CHUNK))?), 0),
        };
        // SAFETY: within the chunk, and all earlier pieces end before it.
        let start = unsafe { chunk.start.add(at) };
        (self.last, self.taken) = (Arc::downgrade(&chunk), at + whole);
        Some(Pages { start, len, _chunk: chunk })
    }
}

/// Some floats of a chunk, owned exclusively.
pub struct Pages {
    start: NonNull<f32>,
    len: usize,
    _chunk: Arc<Chunk>,
}

// SAFETY: these floats belong to nobody else; the chunk is only kept alive.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Deref for Pages {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: only this piece uses these floats, which exist as long as the chunk.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

/// Zeroed memory from the system, aligned to a huge page if it is mapped.
struct Chunk {
    start: NonNull<f32>,
    len: usize,
    #[cfg(not(target_family = "wasm"))]
    _map: memmap2::MmapMut,
    #[cfg(target_family = "wasm")]
    _floats: AlignedBuffer,
}

// SAFETY: a chunk only owns memory that pieces use; it neither reads nor writes it.
unsafe impl Send for Chunk {}
// SAFETY: as above.
unsafe impl Sync for Chunk {}

#[cfg(not(target_family = "wasm"))]
impl Chunk {
    fn zeros(len: usize) -> Option<Self> {
        // One page more than requested, so that the start can be aligned to a page.
        let bytes = len.checked_add(PAGE)?.checked_mul(4)?;
        let mut map = memmap2::MmapMut::map_anon(bytes).ok()?;
        let skipped = map.as_ptr().align_offset(4 * PAGE);
        #[cfg(target_os = "linux")]
        // If the system refuses, pages are small, and nothing else changes.
        let _ = map.advise_range(memmap2::Advice::HugePage, skipped, 4 * len);
        // SAFETY: less than a page is skipped, and there is one extra page.
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
