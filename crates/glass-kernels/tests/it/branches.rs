//! Several ways in which a sequence may go on, in one pass: each gives the bits of a sequence by itself.

use glass_kernels::Cores;
use glass_kernels::attend::*;

use crate::attend::{Cache, Case, WAYS};
use crate::close::{assert_same_bits, each_isa};

/// First row, rows, and the chain and the depth after which it begins.
type Chain = (usize, usize, Option<(usize, usize)>);

/// A tree in one pass: rows 0 to 4 go on from the past; 5 and 6 from row 1; 7 to 9 from row 5; 10 from row 4.
const CHAINS: [Chain; 4] = [(0, 5, None), (5, 2, Some((0, 2))), (7, 3, Some((1, 3))), (10, 1, Some((0, 5)))];

/// The rows before each chain's end, in the order of their positions.
const PATHS: [&[usize]; 4] = [&[0, 1, 2, 3, 4], &[0, 1, 5, 6], &[0, 1, 5, 7, 8, 9], &[0, 1, 2, 3, 4, 10]];

const ROWS: usize = 11;

/// A sequence with a past, whose rows are a tree, on a cache with room for branches.
struct Tree {
    case: Case,
    cache: Cache,
    spans: Vec<Span>,
}

impl Tree {
    fn new(cores: &Cores, case: Case, table: BlockTable, slots: usize) -> Tree {
        let past = case.past;
        let mut cache = Cache::over(case.heads, table.with_branches(3), case.kind);
        let width = case.heads.key * case.heads.size;
        // In pieces, as rings of blocks need it.
        for start in (0..past).step_by(50) {
            let rows = 50.min(past - start);
            let part = start * width..(start + rows) * width;
            let span = Span { rows: 0..rows, slot: 0, past: start };
            cache.append(cores, &case.k[part.clone()], &case.v[part], &[span]);
        }
        let mut spans = Vec::new();
        for (number, (first, rows, from)) in CHAINS.into_iter().enumerate() {
            let slot = if number == 0 { 0 } else { slots + number - 1 };
            let mut begin = past;
            if let Some((of, depth)) = from {
                begin = past + depth;
                let of = if of == 0 { 0 } else { slots + of - 1 };
                cache.table.branch(slot, of, begin, rows);
            }
            spans.push(Span { rows: first..first + rows, slot, past: begin });
        }
        cache.append(cores, &case.k[past * width..], &case.v[past * width..], &spans);
        Tree { case, cache, spans }
    }

    fn attend(&self, cores: &Cores) -> Vec<f32> {
        let mut z = vec![f32::NAN; self.case.q.len()];
        let (sinks, heads) = (self.case.sinks.as_deref(), self.case.heads);
        attend(cores, &mut z, None, &self.case.q, self.cache.kv(), heads, sinks, &self.spans, None);
        z
    }

    /// The rows of a path as a sequence by itself.
    fn alone(&self, path: &[usize]) -> Case {
        let Case { heads, past, .. } = self.case;
        let pick = |x: &[f32], width: usize, before: usize| {
            let rows = path.iter().flat_map(|row| x[(before + row) * width..][..width].to_vec());
            x[..before * width].iter().copied().chain(rows).collect::<Vec<f32>>()
        };
        let width = heads.key * heads.size;
        let q = pick(&self.case.q, heads.query * heads.size, 0);
        let (k, v) = (pick(&self.case.k, width, past), pick(&self.case.v, width, past));
        Case { q, k, v, rows: path.len(), ..self.case.clone() }
    }
}

fn each_tree(check: impl Fn(&Cores, &Tree, &str)) {
    for cores in each_isa() {
        for past in [0, 3, 58, 60, 62, 63, 64, 65, 124, 200] {
            for (kind, way) in
                [CacheType::F32, CacheType::Bf16].into_iter().flat_map(|kind| WAYS.map(|way| (kind, way)))
            {
                let case = Case { kind, ..Case::new([ROWS, past, 4, 2, 24], 7).with(way) };
                let tables = [
                    BlockTable::separate(2, 300),
                    BlockTable::windowed(2, 300, case.heads.window, 50 + ROWS),
                ];
                for table in tables {
                    let what = format!("{:?} {past} {kind:?} {way:?}", cores.isa());
                    check(&cores, &Tree::new(&cores, case.clone(), table, 2), &what);
                }
            }
        }
    }
}

#[test]
fn each_branch_is_a_sequence_by_itself() {
    each_tree(|cores, tree, what| {
        let z = tree.attend(cores);
        let width = tree.case.heads.query * tree.case.heads.size;
        for path in PATHS {
            let (expected, _) = tree.alone(path).attend(cores, None);
            for (&row, expected) in path.iter().zip(expected.chunks_exact(width)) {
                assert_same_bits(&format!("{what} row {row}"), &z[row * width..][..width], expected);
            }
        }
    });
}

/// What a branch computed is kept where its sequence goes on.
#[test]
fn a_kept_branch_is_what_was_appended() {
    each_tree(|cores, tree, what| {
        let (past, heads) = (tree.case.past, tree.case.heads);
        let (chain, path) = (2, PATHS[2]);
        let mut cache = Cache::over(heads, tree.cache.table.clone(), tree.case.kind);
        cache.keys.copy_from_slice(&tree.cache.keys);
        cache.values.copy_from_slice(&tree.cache.values);
        let slot = tree.spans[chain].slot;
        let kept = past + 2..past + path.len();
        keep_branch(&mut cache.keys, &mut cache.values, cache.shape, &cache.table, slot, 0, kept);
        // The last row again: it sees everything before it in the sequence's own slot.
        let alone = tree.alone(path);
        let last = Span { rows: 0..1, slot: 0, past: past + path.len() - 1 };
        let q = &alone.q[(path.len() - 1) * heads.query * heads.size..];
        let mut z = vec![f32::NAN; q.len()];
        let sinks = tree.case.sinks.as_deref();
        attend(cores, &mut z, None, q, cache.kv(), heads, sinks, &[last], None);
        let (expected, _) = alone.attend(cores, None);
        assert_same_bits(what, &z, &expected[expected.len() - z.len()..]);
    });
}
