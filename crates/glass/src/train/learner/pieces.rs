//! The pieces that a plan is cut into: what a rank owns, and when gradients are complete.

use std::ops::Range;

use crate::plan::{Plan, Spec};

/// The most floats of a piece that may be cut: tables are cut into rows, matrices that Muon updates stay whole.
const LARGEST: usize = 1 << 20;

/// A plan cut into pieces. Pieces, their owners and their buckets are functions of the plan, of the layers and of how many ranks
/// there are.
pub(crate) struct Pieces {
    /// Parameters and parts of such, in the order of the arena, without gaps.
    pub all: Vec<Spec>,
    /// The rank that owns each.
    pub owners: Vec<usize>,
    /// The pieces of each bucket. The gradients of a bucket are complete at the same moment of a backward pass, those of
    /// bucket 0 first.
    pub buckets: Vec<Vec<usize>>,
    /// Those that this rank owns.
    pub own: Vec<Spec>,
}

impl Pieces {
    pub fn of(plan: &Plan, layers: usize, rank: usize, ranks: usize) -> Pieces {
        let all: Vec<Spec> = plan.specs.iter().flat_map(cut).collect();
        let owners = owners(&all, ranks);
        let mut buckets = vec![Vec::new(); layers + 2];
        for (piece, spec) in all.iter().enumerate() {
            buckets[bucket(&spec.name, layers)].push(piece);
        }
        let owned = all.iter().zip(&owners).filter(|(_, owner)| **owner == rank);
        let own = owned.map(|(spec, _)| spec.clone()).collect();
        Pieces { all, owners, buckets, own }
    }

    /// The pieces of a bucket that `rank` owns.
    pub fn of_rank(&self, bucket: usize, rank: usize) -> impl Iterator<Item = &Spec> {
        self.buckets[bucket]
            .iter()
            .filter(move |&&piece| self.owners[piece] == rank)
            .map(|&piece| &self.all[piece])
    }

    /// The pieces of a bucket that others own, neighbours joined.
    pub fn of_others(&self, bucket: usize, rank: usize) -> Vec<Range<usize>> {
        let others = self.buckets[bucket].iter().filter(|&&piece| self.owners[piece] != rank);
        joined(others.map(|&piece| &self.all[piece]))
    }

    /// The pieces of a parameter's span that others own, neighbours joined.
    pub fn of_others_in(&self, whole: &Range<usize>, rank: usize) -> Vec<Range<usize>> {
        let inside = |span: &Range<usize>| whole.start <= span.start && span.end <= whole.end;
        let others =
            self.all.iter().zip(&self.owners).filter(|(spec, owner)| **owner != rank && inside(&spec.span));
        joined(others.map(|(spec, _)| spec))
    }

    /// The floats of these pieces.
    pub fn floats(&self, bucket: usize, rank: usize) -> usize {
        self.of_rank(bucket, rank).map(|spec| spec.span.len()).sum()
    }

    /// The spans of a bucket, neighbours joined.
    pub fn spans(&self, bucket: usize) -> Vec<Range<usize>> {
        joined(self.buckets[bucket].iter().map(|&piece| &self.all[piece]))
    }

    /// Consecutive pieces in groups of about `floats`, so that few are in memory at once.
    pub fn groups(&self, floats: usize) -> Vec<Range<usize>> {
        let mut groups: Vec<Range<usize>> = Vec::new();
        let mut held = 0;
        for (piece, spec) in self.all.iter().enumerate() {
            match groups.last_mut() {
                Some(group) if held + spec.span.len() <= floats => group.end = piece + 1,
                _ => {
                    groups.push(piece..piece + 1);
                    held = 0;
                }
            }
            held += spec.span.len();
        }
        groups
    }
}

/// The spans of pieces, neighbours joined.
fn joined<'a>(pieces: impl Iterator<Item = &'a Spec>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for Spec { span, .. } in pieces {
        match joined.last_mut() {
            Some(last) if last.end == span.start => last.end = span.end,
            _ => joined.push(span.clone()),
        }
    }
    joined
}

/// A parameter in pieces.
fn cut(spec: &Spec) -> Vec<Spec> {
    if spec.is_hidden_matrix || spec.span.len() <= LARGEST {
        return vec![spec.clone()];
    }
    let rows = (LARGEST / spec.cols).max(1);
    (0..spec.rows).step_by(rows).map(|row| spec.some(row..spec.rows.min(row + rows))).collect()
}

/// The largest first, each to the rank that has least.
fn owners(pieces: &[Spec], ranks: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|&piece| (std::cmp::Reverse(pieces[piece].span.len()), piece));
    let (mut owners, mut held) = (vec![0; pieces.len()], vec![0; ranks]);
    for piece in order {
        let least = (0..ranks).min_by_key(|&rank| held[rank]).unwrap_or(0);
        owners[piece] = least;
        held[least] += pieces[piece].span.len();
    }
    owners
}

/// A backward pass completes what is after the blocks first, then the blocks from the last one on, and the embedding at the end.
pub(crate) fn bucket(name: &str, layers: usize) -> usize {
    let mut parts = name.split('.');
    match (parts.next(), parts.next().and_then(|layer| layer.parse::<usize>().ok())) {
        (Some("block"), Some(layer)) if layer < layers => layers - layer,
        (Some("norm" | "unembedding"), _) => 0,
        _ => layers + 1,
    }
}

/// Whether a parameter is learned where only the first `blocks` are; all are if there is no such limit.
pub(crate) fn is_within(spec: &Spec, blocks: Option<usize>, layers: usize) -> bool {
    let left_out = layers.saturating_sub(blocks.unwrap_or(layers));
    !(1..=left_out).contains(&bucket(&spec.name, layers))
}
