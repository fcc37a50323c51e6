//! A buffer of floats that begins on a cache line, so that no aligned vector crosses two of them.

use std::alloc::{Layout, alloc_zeroed};
use std::ops::{Deref, DerefMut};

/// Floats in a cache line.
pub(crate) const LINE: usize = 16;

/// Floats that begin on a cache line. They are zero at first, and take no memory until they are written if the
/// system allocates page by page.
pub struct AlignedBuffer {
    memory: Vec<f32>,
    first: usize,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zeros; `None` if there is not enough memory.
    pub fn zeros(len: usize) -> Option<Self> {
        let room = len.checked_add(LINE)?;
        let layout = Layout::array::<f32>(room).ok()?;
        // SAFETY: the layout is not empty; a vector is memory of this layout, and zero bits are zeros.
        let memory = unsafe {
            let start = alloc_zeroed(layout).cast::<f32>();
            (!start.is_null()).then(|| Vec::from_raw_parts(start, room, room))?
        };
        let first = memory.as_ptr().align_offset(LINE * size_of::<f32>());
        Some(Self { memory, first, len })
    }
}

impl Deref for AlignedBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.memory[self.first..self.first + self.len]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.first..self.first + self.len]
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
    fn what_no_machine_has_is_refused() {
        assert!(black_box(AlignedBuffer::zeros(usize::MAX)).is_none());
        // A machine with addresses of 32 bits may have this much.
        #[cfg(target_pointer_width = "64")]
        assert!(black_box(AlignedBuffer::zeros(black_box(usize::MAX / 16))).is_none());
    }
}
