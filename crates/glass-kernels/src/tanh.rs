//! The vectorised hyperbolic tangent, for caps on scores.

use crate::exp::exp;
use crate::lanes::Lanes;

/// Below this, a polynomial; above, the exponential.
const SMALL: f32 = 0.625;

/// `tanh x`, within 3 ULP of the true value, and never beyond ±1; NaN stays NaN.
///
/// Up to 0.625 in absolute value a polynomial in x² (Moshier's Cephes library); beyond, `1 − 2 / (e^2|x| + 1)`.
#[inline(always)]
pub(crate) fn tanh<V: Lanes>(v: V, x: V) -> V {
    let (zero, one, two) = (v.splat(0.0), v.splat(1.0), v.splat(2.0));
    let square = x * x;
    let p = v.splat(-5.704_988_7e-3).mul_add(square, v.splat(2.063_909e-2));
    let p = p.mul_add(square, v.splat(-5.373_971_6e-2));
    let p = p.mul_add(square, v.splat(1.333_144_2e-1));
    let p = p.mul_add(square, v.splat(-3.333_328e-1));
    let near = (p * square).mul_add(x, x);
    let size = x.if_less(zero, -x, x);
    let far = one - two / (exp(v, size + size) + one);
    size.if_less(v.splat(SMALL), near, x.if_less(zero, -far, far))
}

#[cfg(test)]
mod tests {
    use super::tanh;
    use crate::Cores;
    use crate::Isa;
    use crate::lanes::{Lanes, kernel};

    kernel!(fn all(x: &mut [f32]) = all_body);

    #[inline(always)]
    fn all_body<V: Lanes>(v: V, x: &mut [f32]) {
        for x in x.chunks_mut(V::LEN) {
            tanh(v, v.load_part(x)).store_part(x);
        }
    }

    #[test]
    fn within_the_stated_error_over_the_whole_range() {
        for cores in Isa::ALL.into_iter().filter_map(|isa| Cores::with(isa, 1)) {
            let x: Vec<f32> =
                (0x0100_0000..0x4300_0000).step_by(997).map(f32::from_bits).flat_map(|x| [x, -x]).collect();
            let mut y = x.clone();
            all(&cores, &mut y);
            for (&x, &y) in x.iter().zip(&y) {
                let expected = f64::from(x).tanh();
                let place = f32::from_bits((expected as f32).to_bits() & 0x7f80_0000);
                let ulps = (f64::from(y) - expected).abs() / (f64::from(place) * 2f64.powi(-23));
                assert!(ulps <= 3.0 && y.abs() <= 1.0, "tanh {x} is {y} on {:?}: {ulps} ULP", cores.isa());
            }
        }
    }

    #[test]
    fn at_the_edges() {
        for cores in Isa::ALL.into_iter().filter_map(|isa| Cores::with(isa, 1)) {
            let mut x = [0.0, -0.0, 1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
            all(&cores, &mut x);
            assert_eq!(x[..6], [0.0, 0.0, 1.0, -1.0, 1.0, -1.0]);
            assert!(x[6].is_nan());
        }
    }
}
