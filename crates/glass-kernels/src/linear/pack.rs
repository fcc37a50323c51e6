//! Blocks of a matrix in the order in which the inner kernel reads them, one line after another.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::PANEL;
use crate::lanes::{Lanes, kernel};

kernel!(
    /// Panel `p` of a row-major matrix, `cols` wide.
    pub(super) fn panel(panel: &mut [f32], w: &[f32], cols: usize, p: usize) = panel_body
);

#[inline(always)]
fn panel_body<V: Lanes>(v: V, panel: &mut [f32], w: &[f32], cols: usize, p: usize) {
    let lines = p * PANEL..(w.len() / cols).min((p + 1) * PANEL);
    assert_eq!(panel.len(), cols * PANEL);
    // SAFETY: the panel has room for all its steps.
    unsafe { transpose_to(v, panel.as_mut_ptr(), w, cols, 0..cols, lines) };
}

/// `to[k × step + j] = from[k, j]` for the given k and j; zeros after them to a whole vector, or in a panel to its end.
/// `from` is `width` wide. Returns where they are.
///
/// # Safety
/// There is room for all steps, each `step` long.
#[inline(always)]
pub(super) unsafe fn copy<V: Lanes, const N: usize>(
    v: V,
    room: &mut MaybeUninit<[f32; N]>,
    step: usize,
    from: &[f32],
    width: usize,
    steps: Range<usize>,
    columns: Range<usize>,
) -> *const f32 {
    let mut to = room.as_mut_ptr().cast::<f32>();
    let end = if step == PANEL { PANEL } else { columns.len() };
    for k in steps {
        let line = &from[k * width..][columns.clone()];
        for j in (0..end).step_by(V::LEN) {
            // SAFETY: by contract.
            unsafe {
                if j + V::LEN <= line.len() {
                    v.load_at(line.as_ptr().add(j)).store_at(to.add(j));
                } else {
                    v.load_part(&line[j.min(line.len())..]).store_at(to.add(j));
                }
            }
        }
        to = to.wrapping_add(step);
    }
    room.as_ptr().cast()
}

/// `to[k × PANEL + j] = from[j, k]` for the given k and j, zeros up to PANEL; `from` is `depth` wide. Returns where they are.
///
/// # Safety
/// There is room for all steps.
#[inline(always)]
pub(super) unsafe fn transpose<V: Lanes, const N: usize>(
    v: V,
    room: &mut MaybeUninit<[f32; N]>,
    from: &[f32],
    depth: usize,
    steps: Range<usize>,
    lines: Range<usize>,
) -> *const f32 {
    // SAFETY: by contract.
    unsafe { transpose_to(v, room.as_mut_ptr().cast(), from, depth, steps, lines) };
    room.as_ptr().cast()
}

/// # Safety
/// `to` has room for all steps.
#[inline(always)]
unsafe fn transpose_to<V: Lanes>(
    v: V,
    to: *mut f32,
    from: &[f32],
    depth: usize,
    steps: Range<usize>,
    lines: Range<usize>,
) {
    let whole = lines.len() - lines.len() % V::LEN;
    let square = steps.len() - steps.len() % V::LEN;
    assert!(lines.is_empty() || from.len() >= (lines.end - 1) * depth + steps.end);
    let from = from.as_ptr().wrapping_add(lines.start * depth + steps.start);
    for j in (0..PANEL).step_by(V::LEN) {
        let square = if j < whole { square } else { 0 };
        for k in (0..square).step_by(V::LEN) {
            // SAFETY: LEN lines from j on and LEN steps from k on are there.
            unsafe { v.transpose_at(from.add(j * depth + k), depth, to.add(k * PANEL + j), PANEL) };
        }
        for k in square..steps.len() {
            for j in j..j + V::LEN {
                // SAFETY: only lines that are there are read.
                unsafe {
                    *to.add(k * PANEL + j) = if j < lines.len() { *from.add(j * depth + k) } else { 0.0 }
                };
            }
        }
    }
}
