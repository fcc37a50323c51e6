//! 16-bit floats: bf16 and f16, to and from f32.
