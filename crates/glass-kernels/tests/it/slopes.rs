//! Gradients compared with finite differences of a reference.

/// Compares `dx` with the slopes of `f` at `x`, at about thirty elements spread over it (all, if there are fewer).
#[track_caller]
pub fn assert_slopes(what: &str, f: impl Fn(&[f64]) -> f64, x: &[f64], dx: &[f32], bound: f64) {
    assert_eq!(x.len(), dx.len(), "{what}");
    let mut x = x.to_vec();
    for i in (0..x.len()).step_by(x.len() / 30 + 1) {
        let (at, h) = (x[i], 1e-4);
        x[i] = at + h;
        let above = f(&x);
        x[i] = at - h;
        let below = f(&x);
        x[i] = at;
        let (slope, got) = ((above - below) / (2.0 * h), f64::from(dx[i]));
        assert!((got - slope).abs() <= bound, "{what}: slope {i} is {got}, expected {slope}");
    }
}

/// `Σ a b`.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
