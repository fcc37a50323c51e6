//! Memory for activations, and what is said where it is missing.

use glass_kernels::aligned::AlignedBuffer;

use crate::{Error, Result};

pub(super) fn zeros(len: usize) -> Result<AlignedBuffer> {
    AlignedBuffer::zeros(len).ok_or_else(|| missing("activations", len))
}

pub(super) fn missing(what: &str, len: usize) -> Error {
    Error::Memory { what: what.into(), bytes: len.saturating_mul(4) }
}
