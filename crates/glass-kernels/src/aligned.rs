//! A buffer of floats that begins on a cache line, so that no aligned vector crosses two of them.

use std::alloc::{Layout, alloc_zeroed};
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;

/// Floats in a cache line.
pub(crate) const LINE: usize = 16;

/// The largest page that a system for these processors has, apart from huge ones.
#[cfg(target_os = "linux")]
const PAGE: usize = 64 << 10;

/// Floats that begin on a cache line. They are zero at first, and take no memory until they are written if the
/// system allocates page by page.
pub struct AlignedBuffer {
    start: NonNull<f32>,
    len: usize,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "it is only kept alive"))]
    memory: Memory,
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "they are only kept alive"))]
enum Memory {
    Heap {
        _floats: Vec<f32>,
    },
    #[cfg(not(target_family = "wasm"))]
    Pages(memmap2::MmapMut),
}

// SAFETY: the floats belong to this buffer alone.
unsafe impl Send for AlignedBuffer {}
// SAFETY: as above.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// `len` zeros; `None` if there is not enough memory.
    pub fn zeros(len: usize) -> Option<Self> {
        let room = len.checked_add(LINE)?;
        let layout = Layout::array::<f32>(room).ok()?;
        // SAFETY: the layout is not empty; a vector is memory of this layout, and zero bits are zeros.
        let mut floats = unsafe {
            let start = alloc_zeroed(layout).cast::<f32>();
            (!start.is_null()).then(|| Vec::from_raw_parts(start, room, room))?
        };
        let first = floats.as_ptr().align_offset(LINE * size_of::<f32>());
        let start = NonNull::new(floats[first..].as_mut_ptr())?;
        Some(Self { start, len, memory: Memory::Heap { _floats: floats } })
    }

    /// `len` zeros in pages of the system, of which [`release`](Self::release) gives memory back. There may be more of them than
    /// memory, as long as they are not all written. `None` if there are not enough addresses.
    #[cfg(not(target_family = "wasm"))]
    pub fn in_pages(len: usize) -> Option<Self> {
        let bytes = len.max(1).checked_mul(size_of::<f32>())?;
        let mut pages = memmap2::MmapOptions::new().len(bytes).no_reserve_swap().map_anon().ok()?;
        Some(Self { start: NonNull::new(pages.as_mut_ptr().cast())?, len, memory: Memory::Pages(pages) })
    }

    /// `len` zeros; without pages, none of their memory is given back before the end.
    #[cfg(target_family = "wasm")]
    pub fn in_pages(len: usize) -> Option<Self> {
        Self::zeros(len)
    }

    /// Some of the floats become zeros. On Linux, pages that hold nothing else are given back to the system.
    pub fn release(&mut self, span: Range<usize>) {
        let whole = self.give_back(&span).unwrap_or(span.end..span.end);
        self[span.start..whole.start].fill(0.0);
        self[whole.end..span.end].fill(0.0);
    }

    /// Gives the whole pages in a span back, if there are any. Returns the floats in them, which are zeros now.
    #[cfg(target_os = "linux")]
    fn give_back(&mut self, span: &Range<usize>) -> Option<Range<usize>> {
        const FLOATS: usize = PAGE / size_of::<f32>();
        let Memory::Pages(pages) = &self.memory else { return None };
        assert!(span.end <= self.len);
        let whole = span.start.next_multiple_of(FLOATS)..span.end / FLOATS * FLOATS;
        if whole.is_empty() {
            return None;
        }
        let (at, len) = (whole.start * size_of::<f32>(), whole.len() * size_of::<f32>());
        // SAFETY: the pages belong to this buffer alone, which is borrowed mutably; read again, they are zeros (madvise(2)).
        let given = unsafe { pages.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, at, len) };
        given.is_ok().then_some(whole)
    }

    #[cfg(not(target_os = "linux"))]
    fn give_back(&mut self, _: &Range<usize>) -> Option<Range<usize>> {
        None
    }
}

impl Deref for AlignedBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: these floats exist as long as the buffer, which owns them.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn zeros_on_whole_lines() {
        for len in [0, 1, LINE, 1000, 1 << 20] {
            let mut buffer = AlignedBuffer::zeros(len).expect("there is memory");
            assert_eq!((buffer.len(), buffer.as_ptr().align_offset(64)), (len, 0));
            assert!(buffer.iter().all(|x| x.to_bits() == 0));
            buffer.fill(1.0);
        }
    }

    #[test]
    fn released_floats_are_zeros_and_others_stay() {
        const LEN: usize = (1 << 20) + 77;
        for make in [AlignedBuffer::zeros, AlignedBuffer::in_pages] {
            let mut buffer = make(LEN).expect("there is memory");
            assert!(buffer.len() == LEN && buffer.iter().all(|x| x.to_bits() == 0));
            for span in [0..0, 5..9, 3..LEN - 3, 1 << 14..1 << 15, LEN - 2..LEN, 0..LEN] {
                buffer.iter_mut().enumerate().for_each(|(at, x)| *x = at as f32 + 1.0);
                buffer.release(span.clone());
                let kept = |at: usize| if span.contains(&at) { 0.0 } else { at as f32 + 1.0 };
                assert!(buffer.iter().enumerate().all(|(at, x)| *x == kept(at)), "{span:?}");
            }
        }
    }

    /// The memory of this process, in bytes.
    #[cfg(target_os = "linux")]
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux says");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of it");
        line.trim().trim_end_matches("kB").trim().parse::<usize>().expect("a number") << 10
    }

    #[test]
    #[cfg(target_os = "linux")]
    #[cfg_attr(miri, ignore)]
    fn released_pages_take_no_memory() {
        const BYTES: usize = 512 << 20;
        let before = resident();
        let mut buffer = AlignedBuffer::in_pages(BYTES / 4).expect("there is memory");
        buffer.fill(1.0);
        assert!(resident() > before + BYTES / 2);
        buffer.release(0..BYTES / 4);
        assert!(resident() < before + BYTES / 2);
    }

    #[test]
    fn what_no_machine_has_is_refused() {
        assert!(AlignedBuffer::in_pages(usize::MAX / 2).is_none());
        assert!(black_box(AlignedBuffer::zeros(usize::MAX)).is_none());
        // A machine with addresses of 32 bits may have this much.
        #[cfg(target_pointer_width = "64")]
        assert!(black_box(AlignedBuffer::zeros(black_box(usize::MAX / 16))).is_none());
    }
}
