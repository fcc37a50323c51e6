//! Attention: compared with the reference, and the guarantees about bits.

use glass_kernels::Cores;
use glass_kernels::attend::*;
use glass_kernels::dropout::Dropout;
use glass_kernels::format::{bf16_to_f32, f32_to_bf16};

use crate::close::{assert_close, assert_same_bits, each_cut, each_isa, numbers};
use crate::naive::{Sequence, wide};

/// Rows, past, query heads, key heads, size.
pub const SHAPES: [[usize; 5]; 9] = [
    [1, 0, 1, 1, 4],
    [2, 1, 2, 1, 7],
    [5, 60, 2, 2, 8],
    [70, 0, 2, 2, 16],
    [64, 64, 1, 1, 33],
    [130, 3, 4, 2, 24],
    [1, 200, 6, 2, 64],
    [3, 125, 3, 1, 80],
    [200, 0, 3, 3, 64],
];

/// What scores go through besides a factor: a window, a cap, sinks.
pub type Ways = (Option<usize>, Option<f32>, bool);

/// Each by itself, and several together.
pub const WAYS: [Ways; 9] = [
    (None, None, false),
    (Some(1), None, false),
    (Some(7), None, false),
    (Some(64), None, false),
    (Some(100), None, false),
    (None, Some(2.0), false),
    (None, None, true),
    (Some(65), Some(1.5), false),
    (Some(20), Some(3.0), true),
];

/// One sequence, and a cache for it.
#[derive(Clone)]
pub struct Case {
    pub heads: Heads,
    /// One for each query head, if there are any.
    pub sinks: Option<Vec<f32>>,
    pub past: usize,
    pub rows: usize,
    pub q: Vec<f32>,
    pub k: Vec<f32>,
    pub v: Vec<f32>,
    pub kind: CacheType,
}

/// A cache that starts as NaN: entries that were never written must not matter.
pub struct Cache {
    pub keys: Vec<f32>,
    pub values: Vec<f32>,
    pub shape: KvShape,
    pub table: BlockTable,
}

impl Cache {
    pub fn new(heads: Heads, slots: usize, positions: usize, kind: CacheType) -> Self {
        Self::over(heads, BlockTable::separate(slots, positions), kind)
    }

    pub fn over(heads: Heads, table: BlockTable, kind: CacheType) -> Self {
        let shape = KvShape { heads: heads.key, size: heads.size, blocks: table.in_memory(), kind };
        let (keys, values) = (vec![f32::NAN; shape.keys_len()], vec![f32::NAN; shape.values_len()]);
        Self { keys, values, shape, table }
    }

    pub fn append(&mut self, cores: &Cores, k: &[f32], v: &[f32], spans: &[Span]) {
        append(cores, &mut self.keys, &mut self.values, self.shape, &self.table, k, v, spans);
    }

    pub fn kv(&self) -> Kv<'_> {
        Kv { keys: &self.keys, values: &self.values, shape: self.shape, table: &self.table }
    }
}

impl Case {
    pub fn new([rows, past, query, key, size]: [usize; 5], seed: u64) -> Self {
        let heads = Heads::new(query, key, size);
        let keys = (past + rows) * key * size;
        let sharp = |x: Vec<f32>| x.iter().map(|x| 3.0 * x).collect();
        let (q, k) = (sharp(numbers(rows * query * size, seed)), numbers(keys, seed + 1));
        Self { heads, sinks: None, past, rows, q, k, v: numbers(keys, seed + 2), kind: CacheType::F32 }
    }

    /// The same with a window, a cap and sinks, and with another scale.
    pub fn with(mut self, (window, cap, sinks): Ways) -> Self {
        let scale = if cap.is_some() { self.heads.scale * 1.5 } else { self.heads.scale };
        self.heads = Heads { window, cap, scale, ..self.heads };
        self.sinks = sinks.then(|| numbers(self.heads.query, 99).iter().map(|x| x * 2.0).collect());
        self
    }

    pub fn oracle(&self) -> Sequence {
        let heads = [self.heads.query, self.heads.key, self.heads.size];
        Sequence {
            q: wide(&self.q),
            k: wide(&self.k),
            v: wide(&self.v),
            heads,
            scale: f64::from(self.heads.scale),
            window: self.heads.window,
            cap: self.heads.cap.map(f64::from),
            sinks: self.sinks.as_deref().map(wide),
        }
    }

    fn span(&self) -> Span {
        Span { rows: 0..self.rows, slot: 0, past: self.past }
    }

    /// A cache with the past and the rows themselves.
    pub fn cache(&self, cores: &Cores) -> Cache {
        let mut cache = Cache::new(self.heads, 1, self.past + self.rows + 1, self.kind);
        let width = self.heads.key * self.heads.size;
        let past = Span { rows: 0..self.past, slot: 0, past: 0 };
        cache.append(cores, &self.k[..self.past * width], &self.v[..self.past * width], &[past]);
        let (k, v) = (&self.k[self.past * width..], &self.v[self.past * width..]);
        cache.append(cores, k, v, &[self.span()]);
        cache
    }

    pub fn attend(&self, cores: &Cores, dropout: Option<Dropout>) -> (Vec<f32>, Vec<f32>) {
        let (mut z, mut sums) = (vec![f32::NAN; self.q.len()], vec![f32::NAN; self.rows * self.heads.query]);
        let cache = self.cache(cores);
        let (sinks, spans) = (self.sinks.as_deref(), [self.span()]);
        attend(cores, &mut z, Some(&mut sums), &self.q, cache.kv(), self.heads, sinks, &spans, dropout);
        (z, sums)
    }
}

/// Every shape in every way, on every instruction set.
fn each_case(seed: u64) -> impl Iterator<Item = (Cores, Case, String)> {
    each_isa().flat_map(move |cores| {
        let isa = cores.isa();
        let all = SHAPES.into_iter().flat_map(|shape| WAYS.map(|way| (shape, way)));
        all.map(move |(shape, way)| {
            let cores = Cores::with(isa, 1).expect("it is there");
            (cores, Case::new(shape, seed).with(way), format!("{shape:?} {way:?} {isa:?}"))
        })
    })
}

#[test]
fn attend_is_the_oracle() {
    for (cores, case, what) in each_case(7) {
        let (z, sums) = case.attend(&cores, None);
        let (expected, expected_sums) = case.oracle().attend(&|_, _, _| 1.0);
        assert_close(&format!("z {what}"), &z, &expected, 2e-6);
        assert_close(&format!("sums {what}"), &sums, &expected_sums, 4e-6);
    }
}

#[test]
fn the_visible_path_is_the_oracle() {
    for (cores, case, what) in each_case(8) {
        let (cache, oracle, spans) = (case.cache(&cores), case.oracle(), [case.span()]);
        let lines = || (0..case.heads.query).flat_map(|head| (0..case.rows).map(move |row| (row, head)));
        let mut p = vec![f32::NAN; pattern_len(case.heads, &spans)];
        scores(&cores, &mut p, &case.q, cache.kv(), case.heads, &spans);
        for ((row, head), p) in lines().zip(p.chunks(case.past + case.rows)) {
            for (j, (&p, s)) in p.iter().zip(oracle.scores(row, head)).enumerate() {
                let before = j <= case.past + row && !oracle.sees(row, j);
                let right = if before { p == f32::NEG_INFINITY } else { (f64::from(p) - s).abs() < 2e-5 };
                assert!(right, "scores {what}: {p}, expected {s}");
            }
        }
        mask(&cores, &mut p, case.heads, &spans);
        let expected = lines().flat_map(|(row, head)| oracle.masked(row, head));
        for (masked, score) in p.iter().zip(expected) {
            let same = f64::from(*masked) == score || (f64::from(*masked) - score).abs() < 1e-5;
            assert!(same, "mask {what}: {masked}, expected {score}");
        }
        softmax(&cores, &mut p, case.heads, case.sinks.as_deref(), &spans);
        let expected: Vec<f64> = lines().flat_map(|(row, head)| oracle.pattern(row, head).0).collect();
        assert_close(&format!("pattern {what}"), &p, &expected, 1e-6);
        let mut z = vec![f32::NAN; case.q.len()];
        mix(&cores, &mut z, &p, cache.kv(), case.heads, &spans);
        assert_close(&format!("mix {what}"), &z, &oracle.attend(&|_, _, _| 1.0).0, 2e-6);
    }
}

#[test]
fn a_query_that_sees_nothing_has_no_pattern() {
    for cores in each_isa() {
        let (heads, spans) = (Heads::new(1, 1, 4), [Span { rows: 0..1, slot: 0, past: 18 }]);
        let mut p = vec![f32::NEG_INFINITY; 19];
        softmax(&cores, &mut p, heads, None, &spans);
        assert_eq!(p, [0.0; 19]);
        let mut p = vec![f32::NEG_INFINITY; 19];
        p[17] = -3.0;
        softmax(&cores, &mut p, heads, None, &spans);
        assert_eq!((p[17], p.iter().sum::<f32>()), (1.0, 1.0));
    }
}

/// Cuts 0..n at random.
fn cuts(n: usize, seed: u64) -> Vec<usize> {
    let mut cuts = vec![0];
    for x in numbers(n, seed) {
        let last = cuts[cuts.len() - 1];
        let step = if x < 0.3 { 1 } else { 1 + (x * x * 100.0) as usize };
        cuts.push(n.min(last + step));
        if cuts[cuts.len() - 1] == n {
            break;
        }
    }
    cuts
}

#[test]
fn in_pieces_and_at_once_give_the_same_bits() {
    for cores in each_isa() {
        let shapes = [[150, 0, 2, 2, 24], [200, 0, 4, 2, 64], [131, 0, 3, 1, 20]];
        let kinds = [CacheType::F32, CacheType::Bf16];
        let all = shapes.into_iter().flat_map(|shape| kinds.map(|kind| (shape, kind)));
        let all = all.flat_map(|(shape, kind)| WAYS.map(|way| (shape, kind, way)));
        for (seed, (shape, kind, way)) in (1..).zip(all) {
            let case = Case { kind, ..Case::new(shape, seed).with(way) };
            let (whole, _) = case.attend(&cores, None);
            let mut cache = Cache::new(case.heads, 1, case.rows, case.kind);
            let (query, key) = (case.heads.query * case.heads.size, case.heads.key * case.heads.size);
            let mut z = vec![f32::NAN; whole.len()];
            for cut in cuts(case.rows, seed).windows(2) {
                let span = Span { rows: 0..cut[1] - cut[0], slot: 0, past: cut[0] };
                let (q, k) = (cut[0] * query..cut[1] * query, cut[0] * key..cut[1] * key);
                cache.append(&cores, &case.k[k.clone()], &case.v[k], std::slice::from_ref(&span));
                let (z, q, sinks) = (&mut z[q.clone()], &case.q[q], case.sinks.as_deref());
                attend(&cores, z, None, q, cache.kv(), case.heads, sinks, &[span], None);
            }
            assert_same_bits(&format!("{shape:?} {way:?} {:?}", cores.isa()), &z, &whole);
            let at_once = case.cache(&cores);
            let seen = |kv: Kv<'_>| -> u64 {
                kv.keys.iter().chain(kv.values).filter(|x| !x.is_nan()).map(|x| u64::from(x.to_bits())).sum()
            };
            assert_eq!(seen(cache.kv()), seen(at_once.kv()), "{shape:?} what was written");
        }
    }
}

/// Keys and values are rounded when stored, queries when multiplied: scores are those of rounded numbers. A pattern
/// is rounded too, by at most a 256th of each of its numbers.
#[test]
fn a_cache_in_16_bits_is_one_of_rounded_numbers() {
    for cores in each_isa() {
        for shape in SHAPES {
            let mut case = Case::new(shape, 15);
            case.kind = CacheType::Bf16;
            let (z, sums) = case.attend(&cores, None);
            let seen = visible(&case, &cores);
            let scale = (case.heads.size as f32).sqrt();
            case.kind = CacheType::F32;
            let round = |x: &mut f32| *x = bf16_to_f32(f32_to_bf16(*x));
            case.k.iter_mut().chain(&mut case.v).for_each(round);
            let (exact, greatest) = (case.q.clone(), case.v.iter().fold(0.0f32, |most, v| most.max(v.abs())));
            let bound = f64::from(greatest) / 256.0;
            // The visible path multiplies by 1 / √size after the product.
            case.q.iter_mut().for_each(round);
            let whole = visible(&case, &cores);
            let of_pattern = whole.len() - z.len();
            let what = format!("{shape:?} {:?}", cores.isa());
            assert_close(&what, &seen[..of_pattern], &wide(&whole[..of_pattern]), 1e-5);
            assert_close(&what, &seen[of_pattern..], &wide(&whole[of_pattern..]), bound);
            case.q = exact.iter().map(|q| bf16_to_f32(f32_to_bf16(q / scale)) * scale).collect();
            let (expected, expected_sums) = case.attend(&cores, None);
            assert_close(&what, &z, &wide(&expected), bound);
            assert_close(&what, &sums, &wide(&expected_sums), 1e-4);
        }
    }
}

/// The visible path's pattern, followed by its output.
fn visible(case: &Case, cores: &Cores) -> Vec<f32> {
    let (cache, spans) = (case.cache(cores), [case.span()]);
    let mut p = vec![f32::NAN; pattern_len(case.heads, &spans)];
    pattern(cores, &mut p, &case.q, cache.kv(), case.heads, case.sinks.as_deref(), &spans);
    let mut z = vec![f32::NAN; case.q.len()];
    mix(cores, &mut z, &p, cache.kv(), case.heads, &spans);
    p.extend(z);
    p
}

/// Three sequences in one batch: prefill, one step of decoding, a piece in the middle.
fn mixed_batch(
    cores: &Cores,
    kind: CacheType,
    dropout: Option<Dropout>,
    way: Ways,
) -> (Vec<f32>, Vec<Vec<f32>>) {
    let shapes = [[100, 0], [1, 77], [30, 50]];
    let cases: Vec<Case> = shapes
        .iter()
        .enumerate()
        .map(|(i, &[rows, past])| Case { kind, ..Case::new([rows, past, 4, 2, 24], 90 + i as u64).with(way) })
        .collect();
    let (heads, sinks) = (cases[0].heads, cases[0].sinks.as_deref());
    let (mut cache, mut q, mut spans) = (Cache::new(heads, 3, 101, kind), Vec::new(), Vec::new());
    let mut alone = Vec::new();
    for (slot, case) in cases.iter().enumerate() {
        let start = q.len() / 96;
        let all = Span { rows: 0..case.past + case.rows, slot, past: 0 };
        cache.append(cores, &case.k, &case.v, &[all]);
        q.extend_from_slice(&case.q);
        spans.push(Span { rows: start..start + case.rows, slot, past: case.past });
        let moved = dropout.map(|d| Dropout { first_sample: d.first_sample + slot as u32, ..d });
        alone.push(case.attend(cores, moved).0);
    }
    let mut z = vec![f32::NAN; q.len()];
    attend(cores, &mut z, None, &q, cache.kv(), heads, sinks, &spans, dropout);
    (z, alone)
}

#[test]
fn a_batch_is_each_alone_however_it_is_cut() {
    let dropout = Some(Dropout { rate: 0.25, key: 3, first_sample: 11 });
    let kinds = [(CacheType::F32, None), (CacheType::F32, dropout), (CacheType::Bf16, None)];
    for ((kind, dropout), way) in kinds.into_iter().flat_map(|kind| WAYS.map(|way| (kind, way))) {
        for cores in each_isa() {
            let (z, alone) = mixed_batch(&cores, kind, dropout, way);
            assert_same_bits("mixed and alone", &z, &alone.concat());
            for (what, cores) in each_cut(&cores) {
                let what = format!("{what} {way:?}");
                assert_same_bits(&what, &mixed_batch(&cores, kind, dropout, way).0, &z);
            }
        }
    }
}

#[test]
fn the_visible_path_however_it_is_cut() {
    let kinds = [CacheType::F32, CacheType::Bf16].into_iter();
    for (kind, way) in kinds.flat_map(|kind| WAYS.map(|way| (kind, way))) {
        let case = Case { kind, ..Case::new([130, 3, 4, 2, 24], 7).with(way) };
        for cores in each_isa() {
            let one = visible(&case, &cores);
            for (what, cores) in each_cut(&cores) {
                assert_same_bits(&what, &visible(&case, &cores), &one);
            }
        }
    }
}

#[test]
fn extreme_scores() {
    for cores in each_isa() {
        let mut case = Case::new([70, 0, 1, 1, 8], 5);
        case.q.iter_mut().for_each(|q| *q *= 1e4);
        case.k.iter_mut().for_each(|k| *k *= 1e4);
        let (z, _) = case.attend(&cores, None);
        let (expected, _) = case.oracle().attend(&|_, _, _| 1.0);
        assert_close("huge scores", &z, &expected, 1e-3);
        assert_same_bits("the first row sees itself", &z[..8], &case.v[..8]);

        case.q[3] = f32::NAN;
        let (z, _) = case.attend(&cores, None);
        assert!(z[..8].iter().all(|z| z.is_nan()), "NaN surfaces");
        assert_close("and stays in its row", &z[8..], &expected[8..], 1e-3);
    }
}

/// Blocks in any order, and blocks that two slots share, give the bits of blocks that follow each other.
#[test]
fn where_blocks_are_changes_no_bit() {
    for kind in [CacheType::F32, CacheType::Bf16] {
        let mut case = Case::new([40, 130, 4, 2, 24], 7);
        case.kind = kind;
        let width = case.heads.key * case.heads.size;
        for cores in each_isa() {
            let (expected, _) = case.attend(&cores, None);
            let mut table = BlockTable::shared(2, 170, 7);
            [5, 0, 3].into_iter().enumerate().for_each(|(at, block)| table.give(0, at, block));
            let mut cache = Cache::over(case.heads, table, kind);
            let past = Span { rows: 0..130, slot: 0, past: 0 };
            cache.append(&cores, &case.k[..130 * width], &case.v[..130 * width], &[past]);
            // The second slot reads the first two blocks, and has its own copy of the third.
            [5, 0].into_iter().enumerate().for_each(|(at, block)| cache.table.share(1, at, block));
            cache.table.give(1, 2, 6);
            let tail = 128 * width..130 * width;
            let copied = Span { rows: 0..2, slot: 1, past: 128 };
            cache.append(&cores, &case.k[tail.clone()], &case.v[tail], &[copied]);
            let both = [0, 1].map(|slot| Span { rows: 40 * slot..40 * (slot + 1), slot, past: 130 });
            let twice = |x: &[f32]| [x, x].concat();
            cache.append(&cores, &twice(&case.k[130 * width..]), &twice(&case.v[130 * width..]), &both);
            let mut z = vec![0.0; 2 * case.q.len()];
            attend(&cores, &mut z, None, &twice(&case.q), cache.kv(), case.heads, None, &both, None);
            assert_same_bits("blocks in any order", &z, &twice(&expected));
            let mut p = vec![0.0; pattern_len(case.heads, &both)];
            pattern(&cores, &mut p, &twice(&case.q), cache.kv(), case.heads, None, &both);
            let mut mixed = vec![0.0; z.len()];
            mix(&cores, &mut mixed, &p, cache.kv(), case.heads, &both);
            let (first, second) = mixed.split_at(case.q.len());
            assert_same_bits("the visible path", first, second);
        }
    }
}

/// With few heads, threads share out the blocks of a head.
#[test]
fn threads_that_share_a_head_change_no_bit() {
    for cores in each_isa() {
        let pasts = [[63, 4, 1, 24], [511, 4, 1, 256], [700, 9, 3, 64], [1_500, 2, 1, 64], [2_200, 3, 3, 20]];
        for (seed, [past, query, key, size]) in (1..).zip(pasts) {
            for (kind, way) in
                [CacheType::F32, CacheType::Bf16].into_iter().flat_map(|kind| WAYS.map(|way| (kind, way)))
            {
                let case = Case { kind, ..Case::new([1, past, query, key, size], seed).with(way) };
                let (alone, sums) = case.attend(&cores, None);
                for threads in [2, 3] {
                    let many = Cores::with(cores.isa(), threads).unwrap();
                    let (z, sums_too) = case.attend(&many, None);
                    let what = format!("{:?} {past} {query} {key} {size} {kind:?} {way:?}", cores.isa());
                    assert_same_bits(&what, &z, &alone);
                    assert_same_bits(&what, &sums_too, &sums);
                }
            }
        }
    }
}

/// A cache that keeps what a window needs gives the bits of one that keeps everything, also over blocks it has overwritten.
#[test]
fn what_no_window_sees_may_be_forgotten() {
    for (window, kind) in
        [(1, CacheType::F32), (20, CacheType::Bf16), (64, CacheType::F32), (65, CacheType::Bf16)]
    {
        let mut case = Case::new([0, 600, 4, 2, 24], 7);
        case.heads.window = Some(window);
        case.kind = kind;
        let (q, key, query) = (numbers(600 * 4 * 24, 3), 2 * 24, 4 * 24);
        for cores in each_isa() {
            let table = BlockTable::windowed(1, 600, Some(window), 70);
            assert!(table.in_memory() <= 4, "{window}: {} blocks", table.in_memory());
            let mut caches = [Cache::new(case.heads, 1, 600, kind), Cache::over(case.heads, table, kind)];
            let mut past = 0;
            for rows in cuts(600, window as u64).windows(2).flat_map(|cut| pieces_of(cut[1] - cut[0], 70)) {
                let (spans, at) = ([Span { rows: 0..rows, slot: 0, past }], past..past + rows);
                let part = |x: &[f32], width: usize| x[at.start * width..at.end * width].to_vec();
                let [whole, kept] = caches.each_mut().map(|cache| {
                    cache.append(&cores, &part(&case.k, key), &part(&case.v, key), &spans);
                    let q = part(&q, query);
                    let (mut z, mut p) = (vec![0.0; q.len()], vec![0.0; pattern_len(case.heads, &spans)]);
                    attend(&cores, &mut z, None, &q, cache.kv(), case.heads, None, &spans, None);
                    pattern(&cores, &mut p, &q, cache.kv(), case.heads, None, &spans);
                    let mut mixed = vec![0.0; q.len()];
                    mix(&cores, &mut mixed, &p, cache.kv(), case.heads, &spans);
                    [z, p, mixed]
                });
                whole.iter().zip(&kept).for_each(|(a, b)| assert_same_bits("a windowed cache", b, a));
                past += rows;
            }
        }
    }
}

/// `rows` in pieces of at most `most`.
fn pieces_of(rows: usize, most: usize) -> impl Iterator<Item = usize> {
    (0..rows).step_by(most).map(move |at| most.min(rows - at))
}

#[test]
#[should_panic(expected = "in a cache that keeps 2")]
fn what_was_forgotten_is_not_read() {
    let (case, cores) = (Case::new([1, 200, 1, 1, 4], 1), Cores::new(1));
    let mut cache = Cache::over(case.heads, BlockTable::windowed(1, 256, Some(64), 2), case.kind);
    (0..200).for_each(|past| {
        cache.append(&cores, &case.k[..4], &case.v[..4], &[Span { rows: 0..1, slot: 0, past }])
    });
    // These heads have no window.
    let (mut z, span) = (vec![0.0; 4], Span { rows: 0..1, slot: 0, past: 199 });
    attend(&cores, &mut z, None, &case.q, cache.kv(), case.heads, None, &[span], None);
}

#[test]
#[should_panic(expected = "not its own")]
fn a_block_that_a_slot_only_reads_is_not_written() {
    let case = Case::new([4, 0, 1, 1, 4], 1);
    let mut table = BlockTable::shared(2, 64, 1);
    table.give(0, 0, 0);
    table.share(1, 0, 0);
    let span = Span { rows: 0..4, slot: 1, past: 0 };
    Cache::over(case.heads, table, case.kind).append(&Cores::new(1), &case.k, &case.v, &[span]);
}

#[test]
#[should_panic(expected = "in two spans")]
fn a_slot_in_two_spans_is_refused() {
    let case = Case::new([4, 0, 1, 1, 4], 1);
    let spans = [0..2, 2..4].map(|rows| Span { rows, slot: 1, past: 0 });
    Cache::new(case.heads, 2, 4, case.kind).append(&Cores::new(1), &case.k, &case.v, &spans);
}

#[test]
#[should_panic(expected = "order of their rows")]
fn spans_that_overlap_are_refused() {
    let (case, cores) = (Case::new([4, 0, 1, 1, 4], 1), Cores::new(1));
    let spans = [0..3, 2..4].map(|rows| Span { rows, slot: 0, past: 0 });
    let mut z = vec![0.0; case.q.len()];
    attend(&cores, &mut z, None, &case.q, case.cache(&cores).kv(), case.heads, None, &spans, None);
}

/// A reversed span has no rows, and would let the next span overlap an earlier one.
#[test]
#[should_panic(expected = "order")]
fn a_span_that_runs_backward_is_refused() {
    let (case, cores) = (Case::new([4, 0, 1, 1, 4], 1), Cores::new(1));
    #[allow(clippy::reversed_empty_ranges)]
    let spans = [0..4, 4..0, 0..4].map(|rows| Span { rows, slot: 0, past: 0 });
    let mut z = vec![0.0; case.q.len()];
    attend(&cores, &mut z, None, &case.q, case.cache(&cores).kv(), case.heads, None, &spans, None);
}
