//! The order in which the gradients of a step's batches are added up.
//!
//! They are the leaves of a binary tree, in which the first branch of every node has the largest power of two of its leaves that
//! leaves something for the second one. The tree depends on the number of batches alone, so the sum has the same bits however
//! many ranks compute parts of it.
//!
//! ```text
//! 5 batches: ((0 + 1) + (2 + 3)) + 4
//! ```

use std::ops::Range;

use crate::train::ranks::share;

/// How gradients of a step are added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduce {
    /// In an order that depends on the number of batches only: the same bits for any number of ranks.
    #[default]
    Exact,
    /// Each rank adds its batches one after another into the same memory, which takes less memory, and at most as much
    /// exchange. The last bits depend on the number of ranks.
    Fast,
}

/// One batch of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// Its number in the step.
    pub batch: usize,
    /// The arena that its gradient is computed into.
    pub arena: usize,
    /// Whether it is added to what is there.
    pub adds: bool,
    /// How many arenas are then added up: this one to the one below, that one to the next below, and so on.
    pub merges: usize,
}

/// The work of all ranks in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    /// The leaves of the tree.
    pub leaves: usize,
    /// The nodes that each rank computes alone: their leaves. Node n is left in arena n.
    pub nodes: Vec<Vec<Range<usize>>>,
    /// The batches of this rank.
    pub own: Vec<Leaf>,
}

impl Sums {
    /// For a step of `batches`.
    pub fn of(reduce: Reduce, batches: usize, rank: usize, ranks: usize) -> Sums {
        let mine = share(batches, rank, ranks);
        match reduce {
            Reduce::Exact => {
                let nodes = |rank| nodes(0..batches, &share(batches, rank, ranks));
                let mut own = Vec::new();
                for (arena, node) in nodes(rank).into_iter().enumerate() {
                    add(node, arena, &mut own);
                }
                Sums { leaves: batches, nodes: (0..ranks).map(nodes).collect(), own }
            }
            Reduce::Fast => {
                let leaf = |batch| Leaf { batch, arena: 0, adds: batch > mine.start, merges: 0 };
                let one = |rank| std::iter::once(rank..rank + 1).collect();
                let nodes = (0..ranks).map(one).collect();
                Sums { leaves: ranks, nodes, own: mine.clone().map(leaf).collect() }
            }
        }
    }

    /// The most arenas that a rank needs, and the most nodes that it computes, without counting its batches one by one.
    pub fn most(reduce: Reduce, batches: usize, ranks: usize) -> [usize; 2] {
        if reduce == Reduce::Fast {
            return [1, 1];
        }
        let mut most = [1, 1];
        for rank in 0..ranks {
            let nodes = nodes(0..batches, &share(batches, rank, ranks));
            let arenas =
                nodes.iter().enumerate().map(|(arena, node)| arena + 1 + node.len().max(1).ilog2() as usize);
            most = [arenas.max().unwrap_or(1).max(most[0]), nodes.len().max(most[1])];
        }
        most
    }

    /// How many arenas this rank needs.
    pub fn arenas(&self) -> usize {
        self.own.iter().map(|leaf| leaf.arena + 1).max().unwrap_or(1)
    }

    /// The sum over all leaves of one piece. `part(rank, node)` are the numbers of the node that a rank computed.
    pub fn total<'a>(&self, part: &dyn Fn(usize, usize) -> &'a [f32]) -> Vec<f32> {
        self.sum(0..self.leaves, part)
    }

    fn sum<'a>(&self, node: Range<usize>, part: &dyn Fn(usize, usize) -> &'a [f32]) -> Vec<f32> {
        if let Some((rank, at)) = self.computed(&node) {
            return part(rank, at).to_vec();
        }
        let [left, right] = branches(node);
        let mut sum = self.sum(left, part);
        let add =
            |sum: &mut Vec<f32>, other: &[f32]| sum.iter_mut().zip(other).for_each(|(sum, x)| *sum += x);
        match self.computed(&right) {
            Some((rank, at)) => add(&mut sum, part(rank, at)),
            None => add(&mut sum, &self.sum(right, part)),
        }
        sum
    }

    /// The rank that computed a node alone, and which of its nodes it is.
    fn computed(&self, node: &Range<usize>) -> Option<(usize, usize)> {
        let mut ranks = self.nodes.iter().enumerate();
        ranks.find_map(|(rank, nodes)| Some((rank, nodes.iter().position(|known| known == node)?)))
    }
}

fn branches(node: Range<usize>) -> [Range<usize>; 2] {
    let middle = node.start + node.len().next_power_of_two() / 2;
    [node.start..middle, middle..node.end]
}

/// The largest nodes of the tree below `node` whose leaves are all in `run`.
fn nodes(node: Range<usize>, run: &Range<usize>) -> Vec<Range<usize>> {
    if node.start >= run.start && node.end <= run.end {
        return vec![node];
    }
    if node.end <= run.start || node.start >= run.end {
        return Vec::new();
    }
    branches(node).into_iter().flat_map(|branch| nodes(branch, run)).collect()
}

/// The work that leaves the sum of a node in an arena; arenas above it are used meanwhile.
fn add(node: Range<usize>, arena: usize, work: &mut Vec<Leaf>) {
    if node.len() == 1 {
        return work.push(Leaf { batch: node.start, arena, adds: false, merges: 0 });
    }
    let [left, right] = branches(node);
    add(left, arena, work);
    add(right, arena + 1, work);
    if let Some(last) = work.last_mut() {
        last.merges += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose sum depends on the order.
    fn value(batch: usize) -> f32 {
        (batch as f32 * 0.7).sin() * 10f32.powi(batch as i32 % 7)
    }

    /// Does a rank's work on arenas of one number.
    fn computed(sums: &Sums) -> Vec<f32> {
        let mut arenas = vec![f32::NAN; sums.arenas()];
        for leaf in &sums.own {
            let before = if leaf.adds { arenas[leaf.arena] } else { 0.0 };
            arenas[leaf.arena] = before + value(leaf.batch);
            for above in (leaf.arena - leaf.merges + 1..=leaf.arena).rev() {
                arenas[above - 1] += arenas[above];
            }
        }
        arenas
    }

    fn total(reduce: Reduce, batches: usize, ranks: usize) -> f32 {
        let all: Vec<Vec<f32>> =
            (0..ranks).map(|rank| computed(&Sums::of(reduce, batches, rank, ranks))).collect();
        let sums = Sums::of(reduce, batches, 0, ranks);
        sums.total(&|rank, node| std::slice::from_ref(&all[rank][node]))[0]
    }

    #[test]
    fn the_sum_is_the_same_for_any_number_of_ranks() {
        for batches in 1..40 {
            let alone = total(Reduce::Exact, batches, 1);
            for ranks in 1..=batches.min(9) {
                let sum = total(Reduce::Exact, batches, ranks);
                assert_eq!(sum.to_bits(), alone.to_bits(), "{batches} batches on {ranks} ranks");
                let fast = total(Reduce::Fast, batches, ranks);
                assert!(
                    (fast - alone).abs() <= 1e-5 * 1e7,
                    "{batches} batches on {ranks} ranks: {fast} and {alone}"
                );
            }
        }
        assert_ne!(total(Reduce::Fast, 13, 1).to_bits(), total(Reduce::Exact, 13, 1).to_bits());
    }

    #[test]
    fn few_arenas_are_enough() {
        let arenas = |batches, ranks| Sums::of(Reduce::Exact, batches, 0, ranks).arenas();
        assert_eq!([1, 2, 3, 4, 5, 8, 9, 64].map(|batches| arenas(batches, 1)), [1, 2, 2, 3, 3, 4, 4, 7]);
        assert_eq!([2, 4].map(|ranks| arenas(4, ranks)), [2, 1]);
        assert_eq!(Sums::of(Reduce::Fast, 64, 0, 1).arenas(), 1);
        for (batches, ranks) in
            (1..70).flat_map(|batches| (1..=batches.min(9)).map(move |ranks| (batches, ranks)))
        {
            let all = (0..ranks).map(|rank| Sums::of(Reduce::Exact, batches, rank, ranks));
            let most = all.map(|sums| [sums.arenas(), sums.nodes.iter().map(Vec::len).max().unwrap()]);
            let most = most.reduce(|a, b| [a[0].max(b[0]), a[1].max(b[1])]).unwrap();
            assert_eq!(Sums::most(Reduce::Exact, batches, ranks), most, "{batches} batches on {ranks} ranks");
        }
    }

    #[test]
    fn five_leaves() {
        let leaf = |batch, arena, merges| Leaf { batch, arena, adds: false, merges };
        let own = vec![leaf(0, 0, 0), leaf(1, 1, 1), leaf(2, 1, 0), leaf(3, 2, 2), leaf(4, 1, 1)];
        assert_eq!(Sums::of(Reduce::Exact, 5, 0, 1).own, own);
        let sums = Sums::of(Reduce::Exact, 5, 1, 2);
        assert_eq!(sums.nodes, [vec![0..2, 2..3], vec![3..4, 4..5]]);
    }
}
