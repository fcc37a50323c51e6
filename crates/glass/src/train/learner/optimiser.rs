//! Which rule turns gradients into steps.

use serde::{Deserialize, Serialize};

/// What steps the matrices of the blocks. Embeddings, positions, gains and biases are always stepped by AdamW.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimiser {
    /// AdamW (Loshchilov & Hutter 2019).
    #[default]
    AdamW,
    /// Muon (Jordan et al. 2024), with steps as large as AdamW's, so that rates and decays mean the same.
    Muon,
}

/// Decay of Muon's momentum, as in its reference implementation.
pub const MOMENTUM: f32 = 0.95;
