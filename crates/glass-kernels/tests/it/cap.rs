//! Caps.

use glass_kernels::Cores;
use glass_kernels::cap::cap;

use crate::close::{assert_same_bits, each_isa};
use crate::naive;

/// Numbers of every magnitude, both signs, densest between -200 and 200.
fn everywhere() -> Vec<f32> {
    let small = (-40_000..=40_000).map(|i| i as f32 / 200.0);
    let all = (0..=0x7f7f).map(|bits| f32::from_bits(bits << 16 | 0x1234));
    small.chain(all.flat_map(|x| [x, -x])).collect()
}

const CAPS: [f32; 4] = [50.0, 30.0, 15.0, 0.7];

fn capped(cores: &Cores, x: &[f32], c: f32) -> Vec<f32> {
    let mut y = x.to_vec();
    cap(cores, &mut y, c);
    y
}

/// Units in the last place of the true value, or of the smallest number that is normal after a division by `c`.
fn ulps(got: f32, expected: f64, c: f32) -> f64 {
    let place = f32::from_bits((expected as f32).to_bits() & 0x7f80_0000).max(f32::MIN_POSITIVE * c.max(1.0));
    (f64::from(got) - expected).abs() / (f64::from(place) / 8_388_608.0)
}

#[test]
fn forward_is_the_oracle_everywhere() {
    let x = everywhere();
    for cores in each_isa() {
        for c in CAPS {
            for (&x, y) in x.iter().zip(capped(&cores, &x, c)) {
                let error = ulps(y, naive::cap(f64::from(x), f64::from(c)), c);
                assert!(error <= 4.0, "{x} by {c}: {y}, {error} ULP on {:?}", cores.isa());
                assert!(y.abs() <= c);
            }
        }
    }
}

#[test]
fn edges() {
    for cores in each_isa() {
        let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, f32::MAX, f32::MIN];
        let y = capped(&cores, &x, 30.0);
        assert!(y[0].is_nan());
        assert_eq!(y[1..], [30.0, -30.0, 0.0, 30.0, -30.0]);
    }
}

#[test]
fn lanes_tails_and_threads_give_the_same_bits() {
    let x: Vec<f32> = everywhere().into_iter().skip(20_000).take(50_001).collect();
    for cores in each_isa() {
        let y = capped(&cores, &x, 30.0);
        for threads in 2..=4 {
            let more = Cores::with(cores.isa(), threads).expect("it is there");
            assert_same_bits("y", &capped(&more, &x, 30.0), &y);
        }
        for i in 0..200 {
            assert_same_bits("alone", &capped(&cores, &x[i..=i], 30.0), &y[i..=i]);
        }
    }
}

#[test]
#[should_panic(expected = "above zero")]
fn a_cap_of_nothing_is_refused() {
    cap(&Cores::new(1), &mut [1.0], 0.0);
}
