//! Clear.

use glass_kernels::Cores;
use glass_kernels::clear::clear;

use crate::close::numbers;

#[test]
fn everything_is_zero() {
    for n in [0, 1, 300_000] {
        for threads in [1, 2] {
            let mut y = numbers(n, 1);
            clear(&Cores::new(threads), &mut y);
            assert!(y.iter().all(|y| y.to_bits() == 0), "{n} on {threads}");
        }
    }
}
