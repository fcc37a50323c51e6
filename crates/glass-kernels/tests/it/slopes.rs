//! Gradients compared with finite differences of a reference.

/// Compares `dx` with the slopes of `f` at `x`, at about thirty elements spread over it (all, if there are fewer).
#[track_caller]
pub fn assert_slopes(what: &str, f: impl Fn(&[f64]) -> f64, x: &[f64], dx: &[f32], bound: f64) {
    assert_slopes_of_each(what, f, x, &[("", dx)], bound);
}

/// The same for several `dx`, each with a name: the slopes are computed once.
#[track_caller]
pub fn assert_slopes_of_each(
    what: &str,
    f: impl Fn(&[f64]) -> f64,
    x: &[f64],
    each: &[(&str, &[f32])],
    bound: f64,
) {
    each.iter().for_each(|(name, dx)| assert_eq!(x.len(), dx.len(), "{what} {name}"));
    let mut x = x.to_vec();
    for i in (0..x.len()).step_by(x.len() / 30 + 1) {
        let (at, h) = (x[i], 1e-4);
        x[i] = at + h;
        let above = f(&x);
        x[i] = at - h;
        let below = f(&x);
        x[i] = at;
        let slope = (above - below) / (2.0 * h);
        for (name, dx) in each {
            let got = f64::from(dx[i]);
            assert!((got - slope).abs() <= bound, "{what} {name}: slope {i} is {got}, expected {slope}");
        }
    }
}

/// `Σ a b`.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
