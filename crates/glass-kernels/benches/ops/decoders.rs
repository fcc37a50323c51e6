//! Operations of Llama and its relatives, on buffers beyond the caches; bytes are counted as for the other operations that
//! memory limits.

use glass_kernels::activate::Activation::{GeluTanh, Silu};
use glass_kernels::add::scale;
use glass_kernels::cap::cap;
use glass_kernels::gate::{gate, gate_backward};
use glass_kernels::norm::{Norm, norm, norm_backward};
use glass_kernels::rotate::{Pairs, Rotation, angles, rotate};

use super::{Add, Peak, Subject, bytes, numbers};

/// Heads and their size.
const HEADS: usize = 9;
const SIZE: usize = 64;

/// Their width, and that of the gated MLP: SmolLM2 135M.
const WIDTH: usize = HEADS * SIZE;
const HIDDEN: usize = 1536;

/// Rows of activations of these widths.
const ROWS: usize = 32 * 1024;
const WIDE_ROWS: usize = 16 * 1024;

pub fn subjects(add: Add<'_>) {
    for (what, cols) in [("rows", WIDTH), ("heads", SIZE)] {
        add(format!("norm rms {what}"), &|name| norming(name, cols));
        add(format!("norm_backward rms {what}"), &|name| norming_backward(name, cols));
    }
    for pairs in [Pairs::Halves, Pairs::Neighbours] {
        add(format!("rotate {pairs:?}").to_lowercase(), &|name| rotating(name, pairs));
    }
    for kind in [Silu, GeluTanh] {
        add(format!("gate {kind:?}").to_lowercase(), &|name| {
            let [by, up, mut y] = [0; 3].map(|_| numbers(WIDE_ROWS * HIDDEN));
            Subject::new(name, Peak::Copying, bytes(3 * y.len()), move |cores| {
                gate(cores, &mut y, &by, &up, kind)
            })
        });
        add(format!("gate_backward {kind:?}").to_lowercase(), &|name| {
            let [by, up, mut dgate, mut d] = [0; 4].map(|_| numbers(WIDE_ROWS * HIDDEN));
            Subject::new(name, Peak::Copying, bytes(4 * d.len()), move |cores| {
                gate_backward(cores, &mut dgate, &mut d, &by, &up, kind);
            })
        });
    }
    add("scale".into(), &|name| {
        let mut y = numbers(ROWS * WIDTH);
        Subject::new(name, Peak::Updating, bytes(y.len()), move |cores| scale(cores, &mut y, -1.0))
    });
    add("cap".into(), &|name| {
        let mut y = numbers(ROWS * WIDTH);
        Subject::new(name, Peak::Updating, bytes(y.len()), move |cores| cap(cores, &mut y, 30.0))
    });
}

fn norming(name: String, cols: usize) -> Subject {
    let (x, mut y, gain) = (numbers(ROWS * WIDTH), numbers(ROWS * WIDTH), numbers(cols));
    let mut stats = vec![0.0; 2 * x.len() / cols];
    Subject::new(name, Peak::Copying, bytes(2 * x.len()), move |cores| {
        norm(cores, &mut y, &mut stats, &x, cols, Some(&gain), None, Norm::rms(1e-5));
    })
}

fn norming_backward(name: String, cols: usize) -> Subject {
    let [x, dy, mut dx] = [0; 3].map(|_| numbers(ROWS * WIDTH));
    let (gain, mut dgain, stats) = (numbers(cols), numbers(cols), vec![0.5; 2 * x.len() / cols]);
    Subject::new(name, Peak::Updating, bytes(3 * x.len()), move |cores| {
        let (gain, dgain) = (Some(&gain[..]), Some(&mut dgain[..]));
        norm_backward(cores, &mut dx, dgain, None, &dy, &x, &stats, cols, gain, Norm::rms(1e-5));
    })
}

fn rotating(name: String, pairs: Pairs) -> Subject {
    let mut x = numbers(ROWS * WIDTH);
    let frequencies: Vec<f64> = (0..SIZE / 2).map(|i| 1e5f64.powf(-2.0 * i as f64 / SIZE as f64)).collect();
    let [mut cos, mut sin] = [0; 2].map(|_| vec![0.0; ROWS * SIZE / 2]);
    let rows = cos.chunks_exact_mut(SIZE / 2).zip(sin.chunks_exact_mut(SIZE / 2));
    rows.enumerate().for_each(|(position, (cos, sin))| angles(cos, sin, position, &frequencies, 1.0));
    Subject::new(name, Peak::Updating, bytes(x.len()), move |cores| {
        let rotation = Rotation { pairs, size: SIZE, width: SIZE, cos: &cos, sin: &sin };
        rotate(cores, &mut x, HEADS, rotation);
    })
}
