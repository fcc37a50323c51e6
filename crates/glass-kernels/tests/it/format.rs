//! 16-bit floats: all of them, and every rounding between two neighbours.

use glass_kernels::format::*;

/// The value of 16 bits, by definition: sign, exponent with a bias, mantissa.
fn meaning(x: u16, exponent_bits: i32, mantissa_bits: i32) -> f64 {
    let (exponent, mantissa) =
        (i32::from(x) >> mantissa_bits & ((1 << exponent_bits) - 1), x & ((1 << mantissa_bits) - 1));
    let bias = (1 << (exponent_bits - 1)) - 1;
    let part = f64::from(mantissa) / f64::from(1 << mantissa_bits);
    let size = match exponent {
        0 => part * 2f64.powi(1 - bias),
        e if e == (1 << exponent_bits) - 1 => {
            if mantissa == 0 {
                f64::INFINITY
            } else {
                f64::NAN
            }
        }
        e => (1.0 + part) * 2f64.powi(e - bias),
    };
    if x & 0x8000 == 0 { size } else { -size }
}

fn every_value_and_every_rounding(
    exponent: i32,
    mantissa: i32,
    widen: fn(u16) -> f32,
    narrow: fn(f32) -> u16,
) {
    let infinite = ((1u16 << exponent) - 1) << mantissa;
    for x in 0..=u16::MAX {
        let (wide, expected) = (f64::from(widen(x)), meaning(x, exponent, mantissa));
        assert!(
            wide == expected || wide.is_nan() && expected.is_nan(),
            "{x:#06x} is {wide}, expected {expected}"
        );
        assert_eq!(wide.is_sign_negative(), x & 0x8000 != 0, "{x:#06x}");
        if expected.is_nan() {
            let back = narrow(widen(x));
            assert!(
                meaning(back, exponent, mantissa).is_nan() && back & 0x8000 == x & 0x8000,
                "{x:#06x} {back:#06x}"
            );
        } else {
            assert_eq!(narrow(widen(x)), x, "there and back");
        }
    }
    for x in 0..infinite {
        // The number after the greatest finite one, if there were one more exponent, takes infinity's place.
        let next = if x + 1 == infinite {
            2.0 * meaning(infinite - (1 << mantissa), exponent, mantissa)
        } else {
            meaning(x + 1, exponent, mantissa)
        };
        let middle = (meaning(x, exponent, mantissa) + next) / 2.0;
        let tie = middle as f32;
        assert_eq!(f64::from(tie), middle, "an f32 holds it");
        for sign in [1.0, -1.0] {
            let bit = if sign < 0.0 { 0x8000 } else { 0 };
            assert_eq!(narrow(sign * tie), (x + (x & 1)) | bit, "half-way above {x:#06x}: to even");
            assert_eq!(narrow(sign * tie.next_down()), x | bit, "just below half-way above {x:#06x}");
            assert_eq!(narrow(sign * tie.next_up()), (x + 1) | bit, "just above half-way above {x:#06x}");
        }
    }
    assert_eq!(narrow(f32::MAX), infinite);
}

#[test]
fn bf16() {
    every_value_and_every_rounding(8, 7, bf16_to_f32, f32_to_bf16);
}

#[test]
fn f16() {
    every_value_and_every_rounding(5, 10, f16_to_f32, f32_to_f16);
}

#[test]
fn nan_in_low_bits_stays_nan() {
    let x = f32::from_bits(0xff80_0001);
    assert!(bf16_to_f32(f32_to_bf16(x)).is_nan() && f16_to_f32(f32_to_f16(x)).is_nan());
}

#[test]
fn slices_are_their_elements() {
    let x: Vec<f32> = crate::close::numbers(1003, 1);
    let (mut half, mut back) = (vec![0; x.len()], vec![0.0; x.len()]);
    to_bf16(&mut half, &x);
    from_bf16(&mut back, &half);
    assert!(x.iter().zip(&half).all(|(&x, &h)| h == f32_to_bf16(x)));
    assert!(half.iter().zip(&back).all(|(&h, &b)| b == bf16_to_f32(h)));
    to_f16(&mut half, &x);
    from_f16(&mut back, &half);
    assert!(x.iter().zip(&half).all(|(&x, &h)| h == f32_to_f16(x)));
    assert!(half.iter().zip(&back).all(|(&h, &b)| b == f16_to_f32(h)));
}
