//! Addition and scaling.

use glass_kernels::Cores;
use glass_kernels::add::{add, scale};

use crate::close::{assert_close, assert_same_bits, each_isa, numbers};
use crate::naive::wide;

/// Long enough for several tasks, and not a whole number of vectors.
const LEN: usize = 70_003;

fn run(cores: &Cores, x: &[f32], y: &[f32], by: f32) -> [Vec<f32>; 2] {
    let mut sums = [y.to_vec(), y.to_vec()];
    add(cores, &mut sums[0], x);
    scale(cores, &mut sums[1], by);
    sums
}

#[test]
fn sums_and_multiples_are_the_oracle() {
    let (x, y, by) = (numbers(LEN, 1), numbers(LEN, 2), 0.22f32);
    for cores in each_isa() {
        let [sum, multiple] = run(&cores, &x, &y, by);
        let (x, y, by) = (wide(&x), wide(&y), f64::from(by));
        let oracle =
            |f: &dyn Fn(f64, f64) -> f64| x.iter().zip(&y).map(|(&x, &y)| f(x, y)).collect::<Vec<_>>();
        assert_close("y + x", &sum, &oracle(&|x, y| y + x), 6e-8);
        assert_close("by y", &multiple, &oracle(&|_, y| by * y), 1e-8);
    }
}

#[test]
fn threads_and_neighbours_change_no_bit() {
    let (x, y) = (numbers(LEN, 3), numbers(LEN, 4));
    for cores in each_isa() {
        let one = run(&cores, &x, &y, 0.3);
        for threads in 2..=4 {
            let more = Cores::with(cores.isa(), threads).expect("it is there");
            assert_same_bits("threads", &run(&more, &x, &y, 0.3).concat(), &one.concat());
        }
        for i in 0..40 {
            let alone: Vec<f32> = one.iter().map(|all| all[i]).collect();
            assert_same_bits("alone", &run(&cores, &x[i..=i], &y[i..=i], 0.3).concat(), &alone);
        }
    }
}

#[test]
fn by_one_is_not_scaled() {
    let (x, y) = (numbers(999, 5), numbers(999, 6));
    for cores in each_isa() {
        let [_, multiple] = run(&cores, &x, &y, 1.0);
        assert_same_bits("multiple", &multiple, &y);
    }
}
