//! Shared by the tests of the kernels: numbers, comparisons, the machine's instruction sets.

use glass_kernels::{Cores, InputScales, Isa, Room};

/// Every instruction set of this machine, with one thread. In an emulator, only that which is looked at (`tools/neon`).
pub fn each_isa() -> impl Iterator<Item = Cores> {
    let asked = |isa: &Isa| option_env!("GLASS_TEST_ISA").is_none_or(|name| format!("{isa:?}") == name);
    Isa::ALL.into_iter().filter(asked).filter_map(|isa| Cores::with(isa, 1))
}

#[test]
fn there_is_an_instruction_set() {
    assert!(each_isa().next().is_some(), "GLASS_TEST_ISA names none of this machine");
}

/// The same with these scales of the inputs of quantised products.
pub fn each_isa_with(scales: InputScales) -> impl Iterator<Item = Cores> {
    each_isa().map(move |cores| cores.with_input_scales(scales))
}

/// The same processor with other numbers of threads and caches of other sizes: the work is cut differently, and no
/// result may differ by a bit.
pub fn each_cut(cores: &Cores) -> impl Iterator<Item = (String, Cores)> {
    let (isa, precision) = (cores.isa(), cores.precision());
    [(1, 0), (2, 64 << 10), (3, 1 << 20), (4, 256 << 10), (1, 64 << 20)].into_iter().map(
        move |(threads, bytes)| {
            let cores = Cores::with(isa, threads).expect("it is there").with_precision(precision);
            let what = format!("{isa:?} {precision:?}, {threads} threads, caches of {bytes} bytes");
            (what, cores.with_room(Room::in_cache_of(bytes)))
        },
    )
}

/// `n` numbers between -1 and 1, the same for the same seed.
pub fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n + 8).map(|_| next()).skip(8).collect()
}

/// Checks that every element is within `bound` of the reference.
#[track_caller]
pub fn assert_close(what: &str, got: &[f32], expected: &[f64], bound: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(got) - expected).abs() <= bound,
            "{what}: element {i} is {got}, expected {expected}"
        );
    }
}

/// Checks that all bits are the same.
#[track_caller]
pub fn assert_same_bits(what: &str, a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!(a.to_bits() == b.to_bits(), "{what}: element {i} is {a} and {b}");
    }
}
