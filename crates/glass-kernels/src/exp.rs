//! The vectorised exponential, for the softmax and the non-linearities.

use crate::lanes::Lanes;

/// Below this, the result would be subnormal, and is set to 0.
const LOWEST: f32 = -87.336;

/// Here the result is infinite, but the exponent's field has not overflowed yet.
const HIGHEST: f32 = 89.0;

/// Added to a small number, it rounds it to an integer n, and leaves `127 + n`, the exponent of 2^n, in the lowest
/// bits.
const ROUNDER: f32 = 1.5 * 8_388_608.0 + 127.0;

/// `e^x`, within 1.1 ULP (1.6 in plain Rust) of the true value for x from -87.336 to 88; 0 below, and `inf` somewhere above.
/// Exactly 1 for 0; NaN stays NaN.
///
/// `e^x = 2^n e^r` with n the integer nearest to `x / ln 2`, and ln 2 in two parts (Cody & Waite 1980) so that r is
/// exact to the last bits; `e^r` by a polynomial of degree 6 that minimises the greatest relative error (3e-9) over
/// `|r| ≤ ln 2 / 2`.
#[inline(always)]
pub(crate) fn exp<V: Lanes>(v: V, x: V) -> V {
    let held = x.max(v.splat(LOWEST)).min(v.splat(HIGHEST));
    let (rest, power) = split(v, held, x);
    x.if_less(v.splat(LOWEST), v.splat(0.0), (rest + v.splat(1.0)) * power)
}

/// `e^x − 1`, within 1.6 ULP of the true value for x from -87 to 88, also near 0; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp_minus_one<V: Lanes>(v: V, x: V) -> V {
    let (rest, power) = split(v, x, x);
    rest.mul_add(power, power - v.splat(1.0))
}

/// `e^r − 1`, and `2^n`, for n the integer nearest to `held / ln 2` and `r = x − n ln 2`.
#[inline(always)]
fn split<V: Lanes>(v: V, held: V, x: V) -> (V, V) {
    let rounded = held.mul_add(v.splat(std::f32::consts::LOG2_E), v.splat(ROUNDER));
    let n = rounded - v.splat(ROUNDER);
    let r = n.mul_add(v.splat(-0.693_359_4), x);
    let r = n.mul_add(v.splat(2.121_944_4e-4), r);
    let q = v.splat(1.381_453_9e-3).mul_add(r, v.splat(8.368_745e-3));
    let q = q.mul_add(r, v.splat(4.166_839e-2));
    let q = q.mul_add(r, v.splat(1.666_652_1e-1));
    let q = q.mul_add(r, v.splat(4.999_999_4e-1));
    ((q * r).mul_add(r, r), rounded.bits_to_exponent())
}

#[cfg(test)]
mod tests {
    use super::{exp, exp_minus_one};
    use crate::lanes::{Lanes, kernel};
    use crate::{Cores, Isa};

    kernel!(fn all(x: &mut [f32]) = all_body);

    #[inline(always)]
    fn all_body<V: Lanes>(v: V, x: &mut [f32]) {
        for x in x.chunks_mut(V::LEN) {
            exp(v, v.load_part(x)).store_part(x);
        }
    }

    kernel!(fn all_minus_one(x: &mut [f32]) = all_minus_one_body);

    #[inline(always)]
    fn all_minus_one_body<V: Lanes>(v: V, x: &mut [f32]) {
        for x in x.chunks_mut(V::LEN) {
            exp_minus_one(v, v.load_part(x)).store_part(x);
        }
    }

    /// The error in units of the last place of the true value.
    fn ulps(got: f32, true_value: f64) -> f64 {
        let place = (true_value as f32).to_bits() & 0x7f80_0000;
        (f64::from(got) - true_value).abs() / (f64::from(f32::from_bits(place)) * 2f64.powi(-23))
    }

    #[test]
    fn within_the_stated_error_over_the_whole_range() {
        for isa in Isa::ALL {
            let Some(cores) = Cores::with(isa, 1) else { continue };
            let x: Vec<f32> = (0..0x42b0_0000)
                .step_by(997)
                .map(f32::from_bits)
                .flat_map(|x| [x, -x])
                .filter(|&x| x > -87.33)
                .collect();
            let mut y = x.clone();
            all(&cores, &mut y);
            let worst = x.iter().zip(&y).map(|(&x, &y)| ulps(y, f64::from(x).exp())).fold(0.0, f64::max);
            assert!(worst <= if isa.fuses() { 1.1 } else { 1.6 }, "{worst} ULP on {isa:?}");
        }
    }

    #[test]
    fn minus_one_within_the_stated_error_also_near_zero() {
        for isa in Isa::ALL {
            let Some(cores) = Cores::with(isa, 1) else { continue };
            let bits = (f32::MIN_POSITIVE.to_bits()..88f32.to_bits()).step_by(997);
            let x: Vec<f32> = bits.map(f32::from_bits).flat_map(|x| [x, -x]).filter(|&x| x > -87.0).collect();
            let mut y = x.clone();
            all_minus_one(&cores, &mut y);
            let worst = x.iter().zip(&y).map(|(&x, &y)| ulps(y, f64::from(x).exp_m1())).fold(0.0, f64::max);
            assert!(worst <= 1.6, "{worst} ULP on {isa:?}");
        }
    }

    #[test]
    fn at_the_edges() {
        for cores in Isa::ALL.into_iter().filter_map(|isa| Cores::with(isa, 1)) {
            let mut x = [0.0, -0.0, -88.0, -1e30, f32::NEG_INFINITY, 1e30, f32::INFINITY, f32::NAN];
            all(&cores, &mut x);
            assert_eq!(x[..7], [1.0, 1.0, 0.0, 0.0, 0.0, f32::INFINITY, f32::INFINITY]);
            assert!(x[7].is_nan());
        }
    }
}
