//! Every operation, on every instruction set of this machine, compared with the machine's peaks: medians of rounds
//! in which all take turns. Mixed precision has its own column, for matrix products.
//!
//! `cargo bench -p glass-kernels --bench ops -- [FILTER…] [--isa plain|avx2|avx512|avx512bf16|amx|neon] [--threads N]
//! [--rounds N] [--json FILE]`
//!
//! A new operation is a line in `ops/{attention,decoders,linear,memory}.rs`.

#[path = "ops/arguments.rs"]
mod arguments;
#[path = "ops/attention.rs"]
mod attention;
#[path = "ops/decoders.rs"]
mod decoders;
#[path = "ops/linear.rs"]
mod linear;
#[path = "ops/memory.rs"]
mod memory;
#[path = "ops/report.rs"]
mod report;

use std::hint::black_box;
use std::time::Instant;

use arguments::{Arguments, fail};
use glass_kernels::{Cores, Isa, Precision, peak};

/// The peak that a subject is compared with.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Peak {
    /// Floating-point operations, against multiply-adds in registers.
    Multiplying,
    /// Bytes read, against reading.
    Reading,
    /// Bytes read and bytes written elsewhere, against copying.
    Copying,
    /// Bytes read and written in place, against negating in place.
    Updating,
    /// Operations on 8-bit numbers, against multiply-adds of quads of them in registers.
    MultiplyingQuads,
}

/// What is measured.
struct Subject {
    name: String,
    peak: Peak,
    /// Operations or bytes of one run, if known beforehand.
    work: Option<f64>,
    /// Runs it once, and returns how many operations or bytes that took.
    run: Box<dyn FnMut(&Cores) -> f64>,
    /// Operations or bytes per second, by column.
    rates: Vec<Vec<f64>>,
}

impl Subject {
    fn new(name: String, peak: Peak, work: f64, mut run: impl FnMut(&Cores) + 'static) -> Self {
        let run = move |cores: &Cores| {
            run(cores);
            work
        };
        Self { work: Some(work), ..Self::counted(&name, peak, run) }
    }

    fn counted(name: &str, peak: Peak, run: impl FnMut(&Cores) -> f64 + 'static) -> Self {
        Self { name: name.into(), peak, work: None, run: Box::new(run), rates: Vec::new() }
    }

    /// Whether the precision changes what it does.
    fn is_mixed(&self) -> bool {
        self.name.starts_with("linear") || self.name.starts_with("peak")
    }

    fn take_turn(&mut self, column: usize, cores: &Cores) {
        let start = Instant::now();
        let work = (self.run)(cores);
        self.rates.resize_with(self.rates.len().max(column + 1), Vec::new);
        self.rates[column].push(work / start.elapsed().as_secs_f64());
    }

    /// The median of a column, if there is one.
    fn rate(&self, column: usize) -> Option<f64> {
        let mut rates = self.rates.get(column)?.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    }
}

/// The index of the first peak.
const MULTIPLYING: &str = "peak: multiply-adds in registers";

/// Plain Rust takes every third turn, and none if a run has more operations than this.
const PLAIN_TURNS: usize = 3;
const PLAIN_MOST: f64 = 6e9;

fn main() {
    let arguments = Arguments::read();
    let sets = Isa::ALL.into_iter().filter(|isa| arguments.isa.is_none_or(|wanted| wanted == *isa));
    let columns: Vec<Cores> = sets.filter_map(|isa| column(isa, arguments.threads)).collect();
    let widest = columns.iter().rfind(|cores| cores.precision() == Precision::F32).or(columns.last());
    let widest = widest.unwrap_or_else(|| fail("this machine lacks that instruction set"));

    let mut subjects = peaks();
    let mut add = |name: String, make: &dyn Fn(String) -> Subject| {
        if arguments.wants(&name) {
            subjects.push(make(name));
        }
    };
    attention::subjects(widest, &mut add);
    memory::subjects(&mut add);
    decoders::subjects(&mut add);
    linear::subjects(widest, &mut add);
    linear::quantised(widest, &mut add);

    for round in 0..arguments.rounds {
        for (column, cores) in columns.iter().enumerate() {
            let plain = cores.isa() == Isa::Plain && columns.len() > 1;
            if plain && !round.is_multiple_of(PLAIN_TURNS) {
                continue;
            }
            for subject in &mut subjects {
                let wanted = !plain || subject.work.is_none_or(|work| work <= PLAIN_MOST);
                if wanted && (cores.precision() == Precision::F32 || subject.is_mixed()) {
                    subject.take_turn(column, cores);
                }
            }
        }
    }
    report::print(&arguments, &columns, &subjects);
    if let Some(file) = &arguments.json {
        report::write(file, &arguments, &columns, &subjects);
    }
}

/// An instruction set as it is measured: AVX-512 with BF16 differs from AVX-512 in mixed precision and, like
/// AVX-512 with VNNI, in quantised weights.
fn column(isa: Isa, threads: usize) -> Option<Cores> {
    let cores = Cores::with(isa, threads)?;
    let twice = isa == Isa::Avx512Vnni && Isa::Avx512Bf16.available();
    let mixed = matches!(isa, Isa::Avx512Bf16 | Isa::Amx);
    (!twice).then(|| if mixed { cores.with_precision(Precision::Mixed) } else { cores })
}

/// The peaks; those used for comparison are in the order of [`Peak`].
fn peaks() -> Vec<Subject> {
    const FLOATS: usize = 1 << 28;
    let gigabyte = vec![1.0f32; FLOATS];
    let (x, mut y, mut z) = (vec![1.0f32; FLOATS / 2], vec![0.0f32; FLOATS / 2], vec![1.0f32; FLOATS / 2]);
    vec![
        Subject::counted(MULTIPLYING, Peak::Multiplying, |cores| peak::multiply_add(cores, 500_000)),
        Subject::new("peak: reading 1 GiB".into(), Peak::Reading, bytes(FLOATS), move |cores| {
            black_box(peak::read(cores, &gigabyte));
        }),
        Subject::new("peak: copying 512 MiB".into(), Peak::Copying, bytes(FLOATS), move |cores| {
            peak::copy(cores, &mut y, &x);
        }),
        Subject::new(
            "peak: negating 512 MiB in place".into(),
            Peak::Updating,
            bytes(FLOATS / 2),
            move |cores| {
                peak::update(cores, &mut z);
            },
        ),
        Subject::counted("peak: multiply-adds of quads in registers", Peak::MultiplyingQuads, |cores| {
            peak::multiply_add_quads(cores, 500_000)
        }),
        Subject::counted("peak: a product that stays in L1", Peak::Multiplying, |cores| {
            peak::small_product(cores, 1_000)
        }),
    ]
}

/// Adds a subject: its name, and a function that makes it.
type Add<'a> = &'a mut dyn FnMut(String, &dyn Fn(String) -> Subject);

/// Bytes of `floats` floats.
fn bytes(floats: usize) -> f64 {
    4.0 * floats as f64
}

/// GPT-2 124M: width, vocabulary.
const WIDTH: usize = 768;
const VOCABULARY: usize = 50_257;

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i.wrapping_mul(7919) % 1021) as f32 - 510.0) / 1021.0).collect()
}
