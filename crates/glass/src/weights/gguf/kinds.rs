//! ggml's names of tensor types (`ggml.h`), so that an error can name one that is not supported.

use super::blocks::Blocks;

/// Names by number; numbers that ggml no longer uses are left out.
const NAMES: [(u32, &str); 34] = [
    (0, "F32"),
    (1, "F16"),
    (2, "Q4_0"),
    (3, "Q4_1"),
    (6, "Q5_0"),
    (7, "Q5_1"),
    (8, "Q8_0"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (12, "Q4_K"),
    (13, "Q5_K"),
    (14, "Q6_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (30, "BF16"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

/// A type's name, or its number if ggml has no name for it.
pub fn name(kind: u32) -> String {
    let known = NAMES.into_iter().find(|(number, _)| *number == kind);
    known.map_or_else(|| format!("{kind}, which ggml does not define"), |(_, name)| name.to_string())
}

/// The types that can be read, for error messages.
pub fn readable() -> String {
    let blocks: Vec<&str> = Blocks::ALL.into_iter().map(Blocks::name).collect();
    format!("F32, F16, BF16 and {}", blocks.join(", "))
}
