//! The exponential in lanes, for the softmax and the non-linearities.

use crate::lanes::Lanes;

/// Where the result would leave the normal floats: below this, it is 0.
const LOWEST: f32 = -87.336;

/// `e^x`, within 1.1 ULP (1.6 in plain Rust) of the true value for x from -87.336 to 88; 0 below, and `inf` somewhere above.
/// Exactly 1 for 0; NaN stays NaN.
///
/// `e^x = 2^n e^r` with n the integer nearest to `x / ln 2`, and ln 2 in two parts (Cody & Waite 1980) so that r is exact
/// to the last bits; `e^r` by a polynomial of degree 6, least in its greatest relative error (3e-9) over `|r| ≤ ln 2 / 2`.
#[inline(always)]
pub(crate) fn exp<V: Lanes>(v: V, x: V) -> V {
    let n = (x * v.splat(std::f32::consts::LOG2_E)).max(v.splat(-126.0)).min(v.splat(127.0)).round();
    let r = n.mul_add(v.splat(-0.693_359_4), x);
    let r = n.mul_add(v.splat(2.121_944_4e-4), r);
    let q = v.splat(1.381_453_9e-3).mul_add(r, v.splat(8.368_745e-3));
    let q = q.mul_add(r, v.splat(4.166_839e-2));
    let q = q.mul_add(r, v.splat(1.666_652_1e-1));
    let q = q.mul_add(r, v.splat(4.999_999_4e-1));
    let e = (q * r).mul_add(r, r) + v.splat(1.0);
    x.if_less(v.splat(LOWEST), v.splat(0.0), e * n.pow2())
}
