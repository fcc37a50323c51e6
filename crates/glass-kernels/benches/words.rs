//! Every word at GPT-2 124M's shapes, beside the machine's roofs, measured in the same run and in turns.
//!
//! `cargo bench -p glass-kernels -- [FILTER] [--isa plain|avx2|avx512|neon] [--threads N] [--rounds N]`
//!
//! A new word is a line in [`subjects`], or in `words/others.rs`.

#[path = "words/others.rs"]
mod others;

use std::hint::black_box;
use std::time::Instant;

use glass_kernels::linear::{
    Layout, Matrix, linear, linear_backward_input, linear_backward_weight, pack, panels_len,
};
use glass_kernels::{Cores, Isa, Write, roof};

/// What a subject is measured in.
#[derive(Clone, Copy)]
enum Work {
    /// Floating-point operations, against multiply-adds in registers.
    Operations(f64),
    /// Bytes read and written, against reading a gigabyte.
    Bytes(f64),
}

struct Subject {
    name: String,
    work: Work,
    run: Box<dyn FnMut(&Cores)>,
    seconds: Vec<f64>,
}

fn main() {
    let arguments = Arguments::read();
    let cores = arguments
        .isa
        .map_or_else(|| Some(Cores::new(arguments.threads)), |isa| Cores::with(isa, arguments.threads));
    let cores = cores.unwrap_or_else(|| fail("this machine lacks that instruction set"));
    let mut roofs = roofs(&cores);
    let mut subjects = subjects(&cores, &|name| name.contains(&arguments.filter));
    for _ in 0..arguments.rounds {
        for subject in roofs.iter_mut().chain(&mut subjects) {
            let start = Instant::now();
            (subject.run)(&cores);
            subject.seconds.push(start.elapsed().as_secs_f64());
        }
    }
    println!("{:?}, {} threads, medians of {} rounds", cores.isa(), cores.threads(), arguments.rounds);
    let (operations, bytes) = (roofs[0].rate(), roofs[1].rate());
    for subject in roofs.iter_mut().chain(&mut subjects) {
        let (unit, roof) = match subject.work {
            Work::Operations(_) => ("GFLOP/s", operations),
            Work::Bytes(_) => ("GB/s", bytes),
        };
        let (rate, time) = (subject.rate(), subject.median() * 1e3);
        println!("{:42} {time:9.3} ms {rate:9.1} {unit:7} {:5.0} %", subject.name, 100.0 * rate / roof);
    }
}

impl Subject {
    fn new(name: &str, work: Work, run: impl FnMut(&Cores) + 'static) -> Self {
        Self { name: name.into(), work, run: Box::new(run), seconds: Vec::new() }
    }

    fn median(&mut self) -> f64 {
        self.seconds.sort_by(f64::total_cmp);
        self.seconds[self.seconds.len() / 2]
    }

    fn rate(&mut self) -> f64 {
        let (Work::Operations(work) | Work::Bytes(work)) = self.work;
        work / self.median() / 1e9
    }
}

/// Multiply-adds in registers; reading a gigabyte; and a product whose operands stay in the first-level cache.
fn roofs(cores: &Cores) -> [Subject; 2] {
    const ROUNDS: usize = 1_000_000;
    let operations = roof::multiply_add(cores, ROUNDS);
    let gigabyte = vec![1.0f32; 1 << 28];
    [
        Subject::new("roof: multiply-adds in registers", Work::Operations(operations), |cores| {
            black_box(roof::multiply_add(cores, ROUNDS));
        }),
        Subject::new("roof: reading 1 GiB", Work::Bytes((1u64 << 30) as f64), move |cores| {
            black_box(roof::read(cores, &gigabyte));
        }),
    ]
}

/// GPT-2 124M: width, vocabulary.
const WIDTH: usize = 768;
const VOCABULARY: usize = 50_257;

/// All that is measured and whose name is wanted.
fn subjects(cores: &Cores, wanted: &dyn Fn(&str) -> bool) -> Vec<Subject> {
    let mut all = Vec::new();
    let mut add = |name: String, make: &dyn Fn(&str) -> Subject| {
        if wanted(&name) {
            all.push(make(&name));
        }
    };
    add("linear 96 × 64 → 64 in L1".into(), &in_cache);
    let products = [(WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, VOCABULARY)];
    for (inputs, outputs) in products {
        let shape = format!("{inputs} → {outputs}");
        add(format!("linear 1 × {shape} panels"), &|name| {
            forward(cores, name, Layout::Panels, 1, inputs, outputs)
        });
        for rows in [256, 1024] {
            let forward = |layout| move |name: &str| forward(cores, name, layout, rows, inputs, outputs);
            add(format!("linear {rows} × {shape} panels"), &forward(Layout::Panels));
            add(format!("linear {rows} × {shape} rows"), &forward(Layout::Rows));
            add(format!("linear_backward_input {rows} × {shape}"), &|name| {
                backward_input(name, rows, inputs, outputs)
            });
            add(format!("linear_backward_weight {rows} × {shape}"), &|name| {
                backward_weight(name, rows, inputs, outputs)
            });
        }
    }
    others::subjects(cores, &mut add);
    all
}

fn in_cache(name: &str) -> Subject {
    let (x, w, mut y) = (vec![0.5; 96 * 64], vec![0.5; 64 * 64], vec![0.0; 96 * 64]);
    const TIMES: usize = 500;
    Subject::new(name, Work::Operations(2.0 * (TIMES * 96 * 64 * 64) as f64), move |cores| {
        for _ in 0..TIMES {
            let w = Matrix { values: &w, rows: 64, cols: 64, layout: Layout::Panels };
            linear(cores, &mut y, &x, w, None, None);
        }
    })
}

fn forward(cores: &Cores, name: &str, layout: Layout, rows: usize, inputs: usize, outputs: usize) -> Subject {
    let (x, bias, mut y) = (numbers(rows * inputs), numbers(outputs), vec![0.0; rows * outputs]);
    let mut values = numbers(outputs * inputs);
    if layout == Layout::Panels {
        let mut panels = vec![0.0; panels_len(outputs, inputs)];
        pack(cores, &mut panels, &values, outputs, inputs);
        values = panels;
    }
    let work =
        if rows == 1 { Work::Bytes(4.0 * values.len() as f64) } else { product(rows, inputs, outputs) };
    // One row is repeated over other weights in between, as in decoding: what was read is no longer in the caches.
    Subject::new(name, work, move |cores| {
        let w = Matrix { values: &values, rows: outputs, cols: inputs, layout };
        linear(cores, &mut y, &x, w, Some(&bias), None);
    })
}

fn backward_input(name: &str, rows: usize, inputs: usize, outputs: usize) -> Subject {
    let (dy, w, mut dx) = (numbers(rows * outputs), numbers(outputs * inputs), vec![0.0; rows * inputs]);
    Subject::new(name, product(rows, inputs, outputs), move |cores| {
        let w = Matrix { values: &w, rows: outputs, cols: inputs, layout: Layout::Rows };
        linear_backward_input(cores, &mut dx, Write::Set, &dy, w);
    })
}

fn backward_weight(name: &str, rows: usize, inputs: usize, outputs: usize) -> Subject {
    let (dy, x) = (numbers(rows * outputs), numbers(rows * inputs));
    let (mut dw, mut dbias) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
    Subject::new(name, product(rows, inputs, outputs), move |cores| {
        linear_backward_weight(cores, &mut dw, Some(&mut dbias), &dy, &x, rows);
    })
}

fn product(rows: usize, inputs: usize, outputs: usize) -> Work {
    Work::Operations(2.0 * rows as f64 * inputs as f64 * outputs as f64)
}

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i.wrapping_mul(7919) % 1021) as f32 - 510.0) / 1021.0).collect()
}

struct Arguments {
    filter: String,
    isa: Option<Isa>,
    threads: usize,
    rounds: usize,
}

impl Arguments {
    fn read() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut arguments = Self { filter: String::new(), isa: None, threads, rounds: 11 };
        let mut given = std::env::args().skip(1);
        while let Some(word) = given.next() {
            let mut value = || given.next().unwrap_or_else(|| fail(&format!("{word} needs a value")));
            let number =
                |value: String| value.parse().unwrap_or_else(|_| fail(&format!("{value} is no number")));
            match word.as_str() {
                "--bench" => {}
                "--threads" => arguments.threads = number(value()),
                "--rounds" => arguments.rounds = number(value()).max(1),
                "--isa" => {
                    let name = value();
                    let isa = Isa::ALL.into_iter().find(|isa| format!("{isa:?}").eq_ignore_ascii_case(&name));
                    arguments.isa =
                        Some(isa.unwrap_or_else(|| fail(&format!("{name} is no instruction set"))));
                }
                _ => arguments.filter = word,
            }
        }
        arguments
    }
}

fn fail(sentence: &str) -> ! {
    eprintln!("words: {sentence}");
    std::process::exit(2)
}
