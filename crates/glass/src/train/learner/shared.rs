//! What the ranks of a training tell each other about gradients, weights and moments.
//!
//! A rank owns pieces of the model: it alone has their moments and the sums of their gradients (ZeRO, stage 1; Rajbhandari et al.
//! 2020). Every rank has all weights, and all gradients of its batches, unless these are [divided](divided) too.

mod divided;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::iter::StepBy;
use std::ops::Range;
use std::sync::Arc;

use crate::Result;
use crate::backend::Backend;
use crate::plan::{Plan, Spec};
use crate::train::learner::objective::Sums3;
use crate::train::learner::pieces::Pieces;
use crate::train::learner::sums::{Leaf, Reduce, Sums};
use crate::train::ranks::{Divided, Exchange, Parcel, Ranks, gather_numbers, share};
pub(crate) use divided::Arrival;
use divided::OnWay;

/// Floats that are on their way to rank 0 or from it at once.
const GROUP: usize = 1 << 22;

/// Floats that are added up at once: 64 KB.
const LOT: usize = 1 << 14;

/// Buckets that are on their way at once.
pub(crate) const BUCKETS: usize = 4;

/// A learner's share in the work of all ranks.
pub(crate) struct Shared {
    pub ranks: Arc<dyn Ranks>,
    pub reduce: Reduce,
    pub divided: Divided,
    pub pieces: Pieces,
    /// Memory of earlier exchanges.
    spare: Vec<Vec<f32>>,
    /// Exchanges of what is divided that have begun.
    on_way: VecDeque<OnWay>,
}

impl Shared {
    pub fn new(
        ranks: Arc<dyn Ranks>,
        reduce: Reduce,
        divided: Divided,
        plan: &Plan,
        layers: usize,
    ) -> Shared {
        let pieces = Pieces::of(plan, layers, ranks.rank(), ranks.size());
        Shared { ranks, reduce, divided, pieces, spare: Vec::new(), on_way: VecDeque::new() }
    }

    pub fn is_alone(&self) -> bool {
        self.ranks.size() == 1
    }

    /// Whether every rank has only its own pieces of the gradients.
    pub fn divides_gradients(&self) -> bool {
        !self.is_alone() && self.divided >= Divided::Gradients
    }

    /// Whether every rank has only its own pieces of the weights.
    pub fn divides_weights(&self) -> bool {
        !self.is_alone() && self.divided == Divided::Weights
    }

    /// The batches of a step of `count` that a rank learns from. Where gradients are divided, all ranks together learn from
    /// neighbouring ones, which can be added up at once.
    pub fn batches(&self, count: usize, rank: usize) -> StepBy<Range<usize>> {
        match self.divides_gradients() {
            true => (rank..count).step_by(self.ranks.size()),
            false => share(count, rank, self.ranks.size()).step_by(1),
        }
    }

    /// This rank's part in a step of `batches`.
    pub fn sums(&self, batches: usize) -> Sums {
        Sums::of(self.reduce, batches, self.ranks.rank(), self.ranks.size())
    }

    /// The batches of a step as one process adds them up.
    pub fn leaves(&self, batches: usize) -> Vec<Leaf> {
        Sums::of(self.reduce, batches, 0, 1).own
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let (rank, size) = (self.ranks.rank(), self.ranks.size());
        (0..size).filter(move |&other| other != rank)
    }

    /// Memory for `len` floats, if possible of an earlier exchange; what is in it is unknown.
    fn memory(&mut self, len: usize) -> Vec<f32> {
        if len == 0 {
            return Vec::new();
        }
        let fitting = self.spare.iter().enumerate().filter(|(_, spare)| spare.capacity() >= len);
        let found = fitting.min_by_key(|(_, spare)| spare.capacity()).map(|(at, _)| at);
        let mut memory = found.map_or_else(Vec::new, |at| self.spare.swap_remove(at));
        memory.resize(len, 0.0);
        memory
    }

    /// Keeps the memory of an exchange for the next ones.
    fn keep(&mut self, exchange: Exchange) {
        let sent = exchange.sends.into_iter().map(|parcel| parcel.values);
        self.spare.extend(sent.chain(exchange.receives.into_iter().map(|(_, values)| values)));
    }

    /// Memory for what others send, by rank and number of floats, without those that send nothing.
    fn receives(&mut self, floats: impl Iterator<Item = (usize, usize)>) -> Vec<(usize, Vec<f32>)> {
        floats.filter(|(_, floats)| *floats > 0).map(|(rank, floats)| (rank, self.memory(floats))).collect()
    }

    /// Copies spans of an arena, one after another, behind what is in `into` up to `at`. Returns the end.
    fn copy<'a, B: Backend>(
        backend: &B,
        arena: &B::Buffer,
        specs: impl Iterator<Item = &'a Spec>,
        mut at: usize,
        into: &mut [f32],
    ) -> usize {
        for spec in specs {
            backend.read(arena, spec.span.start, &mut into[at..at + spec.span.len()]);
            at += spec.span.len();
        }
        at
    }

    /// Sends this rank's sums of a bucket's gradients to the owners of its pieces. `arena(node)` has the sum of a node.
    pub fn begin_gradients<'a, B: Backend>(
        &mut self,
        backend: &B,
        arena: &dyn Fn(usize) -> &'a B::Buffer,
        sums: &Sums,
        bucket: usize,
    ) -> Result<()>
    where
        B::Buffer: 'a,
    {
        let rank = self.ranks.rank();
        let mut exchange = Exchange::default();
        for to in self.others() {
            let floats = self.pieces.floats(bucket, to);
            if floats > 0 {
                let nodes = sums.nodes[rank].len();
                let mut values = self.memory(floats * nodes);
                for node in 0..nodes {
                    let specs = self.pieces.of_rank(bucket, to);
                    Self::copy(backend, arena(node), specs, node * floats, &mut values);
                }
                exchange.sends.push(Parcel { to: vec![to], values });
            }
        }
        let floats = self.pieces.floats(bucket, rank);
        exchange.receives = self.receives(self.others().map(|from| (from, floats * sums.nodes[from].len())));
        self.ranks.begin(exchange)
    }

    /// Receives what others computed of this rank's pieces in a bucket, and leaves their sums over all batches in the first
    /// arena.
    pub fn end_gradients<B: Backend>(
        &mut self,
        backend: &B,
        arenas: &mut [B::Buffer],
        sums: &Sums,
        bucket: usize,
    ) -> Result<()> {
        let exchange = self.ranks.end()?;
        let rank = self.ranks.rank();
        let mut received: Vec<&[f32]> = vec![&[]; self.ranks.size()];
        exchange.receives.iter().for_each(|(from, values)| received[*from] = values);
        let (floats, mut at) = (self.pieces.floats(bucket, rank), 0);
        for span in self.pieces.of_rank(bucket, rank).flat_map(|spec| in_lots(&spec.span)) {
            let own: Vec<Cow<'_, [f32]>> =
                (0..sums.nodes[rank].len()).map(|node| backend.view(&arenas[node], span.clone())).collect();
            let part = |from: usize, node: usize| match from == rank {
                true => &*own[node],
                false => &received[from][node * floats + at..][..span.len()],
            };
            let total = sums.total(&part);
            drop(own);
            backend.write(&mut arenas[0], span.start, &total);
            at += span.len();
        }
        self.keep(exchange);
        Ok(())
    }

    /// Tells all ranks the sums of this rank's batches, and the sums of the squares of its pieces. Returns those of all ranks,
    /// in the order of batches and of pieces.
    pub fn gather(
        &self,
        batches: usize,
        losses: &[Sums3],
        squares: &[f64],
    ) -> Result<(Vec<Sums3>, Vec<f64>)> {
        let of = |rank| self.batches(batches, rank);
        let pieces = |rank| self.pieces.owners.iter().filter(|&&owner| owner == rank).count();
        let counts: Vec<usize> =
            (0..self.ranks.size()).map(|rank| 3 * of(rank).len() + pieces(rank)).collect();
        let told = gather_numbers(&*self.ranks, &[losses.as_flattened(), squares].concat(), &counts)?;
        let (mut all, mut next) = (vec![[0.0; 3]; batches], Vec::new());
        for (rank, told) in told.iter().enumerate() {
            let (losses, squares) = told.split_at(3 * of(rank).len());
            of(rank).zip(losses.as_chunks().0).for_each(|(batch, sums)| all[batch] = *sums);
            next.push(squares.iter());
        }
        let squares = self.pieces.owners.iter().filter_map(|&owner| next[owner].next().copied()).collect();
        Ok((all, squares))
    }

    /// Sends this rank's pieces of an arena to all others, and writes theirs.
    pub fn exchange_pieces<B: Backend>(&mut self, backend: &B, arena: &mut B::Buffer) -> Result<()> {
        let buckets = self.pieces.buckets.len();
        for at in 0..buckets + BUCKETS {
            if let Some(bucket) = at.checked_sub(BUCKETS) {
                self.receive_pieces(backend, arena, bucket)?;
            }
            if at < buckets {
                self.send_pieces(backend, arena, at)?;
            }
        }
        Ok(())
    }

    /// Sends this rank's pieces of a bucket to all others.
    fn send_pieces<B: Backend>(&mut self, backend: &B, arena: &B::Buffer, bucket: usize) -> Result<()> {
        let mut exchange = Exchange::default();
        let values = self.of_bucket(backend, arena, bucket, self.ranks.rank());
        if !values.is_empty() {
            exchange.sends.push(Parcel { to: self.others().collect(), values });
        }
        let floats: Vec<_> = self.others().map(|from| (from, self.pieces.floats(bucket, from))).collect();
        exchange.receives = self.receives(floats.into_iter());
        self.ranks.begin(exchange)
    }

    /// Writes the pieces of a bucket that others sent.
    fn receive_pieces<B: Backend>(
        &mut self,
        backend: &B,
        arena: &mut B::Buffer,
        bucket: usize,
    ) -> Result<()> {
        let exchange = self.ranks.end()?;
        for (from, values) in &exchange.receives {
            write_pieces(backend, arena, self.pieces.of_rank(bucket, *from), values);
        }
        self.keep(exchange);
        Ok(())
    }

    /// A rank's pieces of a bucket, one after another.
    fn of_bucket<B: Backend>(
        &mut self,
        backend: &B,
        arena: &B::Buffer,
        bucket: usize,
        rank: usize,
    ) -> Vec<f32> {
        let mut values = self.memory(self.pieces.floats(bucket, rank));
        Self::copy(backend, arena, self.pieces.of_rank(bucket, rank), 0, &mut values);
        values
    }

    /// Groups of pieces that go to rank 0, or come from there, one after another.
    fn groups(&self) -> Vec<Range<usize>> {
        self.pieces.groups(GROUP)
    }

    fn of_group(&self, group: &Range<usize>, rank: usize) -> impl Iterator<Item = &Spec> {
        group
            .clone()
            .filter(move |&piece| self.pieces.owners[piece] == rank)
            .map(|piece| &self.pieces.all[piece])
    }

    fn floats_of_group(&self, group: &Range<usize>, rank: usize) -> usize {
        self.of_group(group, rank).map(|spec| spec.span.len()).sum()
    }

    /// Shows rank 0 a whole arena of which every rank has its own pieces, in consecutive parts. All ranks must call it.
    pub fn collect<B: Backend>(
        &self,
        backend: &B,
        arena: &B::Buffer,
        see: &mut dyn FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let rank = self.ranks.rank();
        for group in self.groups() {
            let mut exchange = Exchange::default();
            let mut own = vec![0.0; self.floats_of_group(&group, rank)];
            Self::copy(backend, arena, self.of_group(&group, rank), 0, &mut own);
            if rank != 0 {
                if !own.is_empty() {
                    exchange.sends.push(Parcel { to: vec![0], values: own });
                }
                self.ranks.begin(exchange)?;
                self.ranks.end()?;
                continue;
            }
            let floats = self.others().map(|from| (from, self.floats_of_group(&group, from)));
            let floats = floats.filter(|(_, floats)| *floats > 0);
            exchange.receives = floats.map(|(from, floats)| (from, vec![0.0; floats])).collect();
            self.ranks.begin(exchange)?;
            let exchange = self.ranks.end()?;
            let mut parts: Vec<&[f32]> = vec![&[]; self.ranks.size()];
            parts[0] = &own;
            exchange.receives.iter().for_each(|(from, values)| parts[*from] = values);
            for piece in group {
                let from = &mut parts[self.pieces.owners[piece]];
                let (values, rest) = from.split_at(self.pieces.all[piece].span.len());
                *from = rest;
                see(values)?;
            }
        }
        Ok(())
    }

    /// Sends an arena from rank 0, where `fill` gives its floats in order, to the owners of its pieces, or to `all` ranks. All
    /// ranks must call it.
    pub fn spread<B: Backend>(
        &self,
        backend: &B,
        arena: &mut B::Buffer,
        all: bool,
        fill: &mut dyn FnMut(&mut [f32]) -> Result<()>,
    ) -> Result<()> {
        let rank = self.ranks.rank();
        for group in self.groups() {
            let specs = |to: usize| {
                let wanted = group.clone().filter(move |&piece| all || self.pieces.owners[piece] == to);
                wanted.map(|piece| &self.pieces.all[piece])
            };
            let floats = |to: usize| specs(to).map(|spec| spec.span.len()).sum::<usize>();
            let mut exchange = Exchange::default();
            if rank == 0 {
                let start = self.pieces.all[group.start].span.start;
                let mut values = vec![0.0; self.pieces.all[group.end - 1].span.end - start];
                fill(&mut values)?;
                let of = |spec: &Spec| &values[spec.span.start - start..spec.span.end - start];
                for spec in specs(0) {
                    backend.write(arena, spec.span.start, of(spec));
                }
                let parcel =
                    |to: usize| Parcel { to: vec![to], values: specs(to).flat_map(of).copied().collect() };
                exchange.sends = match all {
                    false => self.others().map(parcel).filter(|parcel| !parcel.values.is_empty()).collect(),
                    true => vec![Parcel { to: self.others().collect(), values }],
                };
            } else if floats(rank) > 0 {
                exchange.receives = vec![(0, vec![0.0; floats(rank)])];
            }
            self.ranks.begin(exchange)?;
            for (_, values) in self.ranks.end()?.receives {
                write_pieces(backend, arena, specs(rank), &values);
            }
        }
        Ok(())
    }
}

/// A span in lots that stay in a cache while they are added up.
fn in_lots(span: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = span.end;
    span.clone().step_by(LOT).map(move |start| start..end.min(start + LOT))
}

/// Writes pieces whose values follow one another.
fn write_pieces<'a, B: Backend>(
    backend: &B,
    arena: &mut B::Buffer,
    specs: impl Iterator<Item = &'a Spec>,
    values: &[f32],
) {
    let mut at = 0;
    for spec in specs {
        backend.write(arena, spec.span.start, &values[at..at + spec.span.len()]);
        at += spec.span.len();
    }
}
