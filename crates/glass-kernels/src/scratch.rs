//! Scratch memory that a thread keeps from call to call, so that decoding allocates nothing.

use std::cell::RefCell;

use crate::blocks::MOST_LINES;

/// One cache line: the alignment of scratch memory.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct CacheLine([f32; 16]);

thread_local! {
    static LINES: RefCell<Vec<CacheLine>> = const { RefCell::new(Vec::new()) };
    static COMMON: RefCell<Vec<CacheLine>> = const { RefCell::new(Vec::new()) };
}

/// The largest number of cache lines that attention's forward pass needs, with heads of up to 128.
const RESERVED: usize = MOST_LINES * (3 * 128 + 64 + (128 + 64) / 2) / 16;

/// Allocates this thread's scratch memory now, so that no later call needs to.
pub(crate) fn reserve() {
    LINES.with_borrow_mut(|lines| lines.resize(lines.len().max(RESERVED), CacheLine([0.0; 16])));
}

/// Runs `work` with slices of the given lengths, each at the start of a cache line. Their contents are unspecified.
pub(crate) fn with_scratch<const N: usize, R>(
    lens: [usize; N],
    work: impl FnOnce([&mut [f32]; N]) -> R,
) -> R {
    LINES.with_borrow_mut(|lines| work(slices(lines, lens)))
}

/// The same in other memory, which the tasks that `work` starts may use together while they use [`with_scratch`].
pub(crate) fn with_common_scratch<const N: usize, R>(
    lens: [usize; N],
    work: impl FnOnce([&mut [f32]; N]) -> R,
) -> R {
    COMMON.with_borrow_mut(|lines| work(slices(lines, lens)))
}

fn slices<const N: usize>(lines: &mut Vec<CacheLine>, lens: [usize; N]) -> [&mut [f32]; N] {
    let need = lens.iter().map(|len| len.div_ceil(16)).sum();
    if lines.len() < need {
        lines.resize(need, CacheLine([0.0; 16]));
    }
    let mut rest = lines.as_mut_slice();
    lens.map(|len| {
        let (part, others) = std::mem::take(&mut rest).split_at_mut(len.div_ceil(16));
        rest = others;
        // SAFETY: a line is sixteen floats, and only this part uses these lines.
        unsafe { std::slice::from_raw_parts_mut(part.as_mut_ptr().cast::<f32>(), len) }
    })
}
