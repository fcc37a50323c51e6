//! Every word as a textbook loop in f64: the oracles. Slow, short, and nothing shared with the kernels.

/// `f64` of every element.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// `y = x Wᵀ + b`; x: `[rows, inputs]`, w: `[outputs, inputs]`.
pub fn linear(x: &[f64], w: &[f64], bias: Option<&[f64]>, inputs: usize) -> Vec<f64> {
    let mut y = Vec::new();
    for x in x.chunks(inputs) {
        for (j, w) in w.chunks(inputs).enumerate() {
            y.push(bias.map_or(0.0, |b| b[j]) + x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>());
        }
    }
    y
}
