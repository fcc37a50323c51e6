//! Caps.

use glass_kernels::Cores;
use glass_kernels::cap::{cap, cap_backward};

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

fn slopes(cores: &Cores, y: &[f32], c: f32) -> Vec<f32> {
    let mut d = vec![1.0; y.len()];
    cap_backward(cores, &mut d, y, c);
    d
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
fn backward_is_the_slope() {
    let x = everywhere();
    for cores in each_isa() {
        for c in CAPS {
            for (&x, d) in x.iter().zip(slopes(&cores, &capped(&cores, &x, c), c)) {
                let (wide, c, h) = (f64::from(x), f64::from(c), 1e-5 * f64::from(c));
                let expected = (naive::cap(wide + h, c) - naive::cap(wide - h, c)) / (2.0 * h);
                let expected = if wide.abs() > 1e3 { 0.0 } else { expected };
                assert!((f64::from(d) - expected).abs() <= 1e-6, "at {x}, {c}: {d}, expected {expected}");
                assert!((0.0..=1.0).contains(&d));
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
        let d = slopes(&cores, &y, 30.0);
        assert!(d[0].is_nan());
        assert_eq!(d[1..], [0.0, 0.0, 1.0, 0.0, 0.0]);
    }
}

#[test]
fn lanes_tails_and_threads_give_the_same_bits() {
    let x: Vec<f32> = everywhere().into_iter().skip(20_000).take(50_001).collect();
    for cores in each_isa() {
        let y = capped(&cores, &x, 30.0);
        let d = slopes(&cores, &y, 30.0);
        for threads in 2..=4 {
            let more = Cores::with(cores.isa(), threads).expect("it is there");
            assert_same_bits("y", &capped(&more, &x, 30.0), &y);
            assert_same_bits("d", &slopes(&more, &y, 30.0), &d);
        }
        for i in 0..200 {
            assert_same_bits("alone", &capped(&cores, &x[i..=i], 30.0), &y[i..=i]);
            assert_same_bits("slope alone", &slopes(&cores, &y[i..=i], 30.0), &d[i..=i]);
        }
    }
}

#[test]
#[should_panic(expected = "above zero")]
fn a_cap_of_nothing_is_refused() {
    cap(&Cores::new(1), &mut [1.0], 0.0);
}
