//! Gradients and weights of which every rank keeps only its own pieces (ZeRO, stages 2 and 3; Rajbhandari et al. 2020, sections 5.2
//! and 5.3).
//!
//! Ranks learn from the batches of a step in rounds, each from one. A bucket of gradients goes to the owners of its pieces as soon as
//! it is complete, and its memory is used again; owners add up what came in the order of batches. Weights of a bucket come from
//! their owners before they are needed, and go afterwards. Arenas are as long as ever, so that every number has its place, but only
//! what is written in them takes memory.

use super::{BUCKETS, Shared};
use crate::Result;
use crate::backend::Backend;
use crate::plan::Spec;
use crate::train::learner::sums::Leaf;
use crate::train::ranks::{Exchange, Parcel};

/// A bucket on its way between ranks.
pub(super) enum OnWay {
    /// Gradients of the batches of a round, to the owners of its pieces; `own` are this rank's of its own pieces.
    Gradients { round: usize, bucket: usize, own: Vec<f32> },
    /// Weights, from the owners of its pieces.
    Weights { bucket: usize },
}

/// Where what is on its way arrives.
pub(crate) struct Arrival<'a, B: Backend> {
    pub backend: &'a B,
    /// Sums of the gradients of this rank's pieces.
    pub sums: &'a mut [B::Buffer],
    /// How they are added up, one leaf for every batch of the step.
    pub leaves: &'a [Leaf],
    /// The weights, where they are divided.
    pub weights: Option<&'a mut B::Buffer>,
}

impl Shared {
    /// Sends the gradients of a bucket, of this rank's batch of a round, to the owners of its pieces, and gives their memory back; a
    /// rank without a batch (`None`) only receives.
    pub fn divide<B: Backend>(
        &mut self,
        arrival: &mut Arrival<'_, B>,
        gradients: Option<&mut B::Buffer>,
        round: usize,
        bucket: usize,
    ) -> Result<()> {
        let (rank, size, backend) = (self.ranks.rank(), self.ranks.size(), arrival.backend);
        let (mut exchange, mut own) = (Exchange::default(), Vec::new());
        let floats = self.pieces.floats(bucket, rank);
        if let Some(gradients) = gradients {
            own = self.of_bucket(backend, gradients, bucket, rank);
            for to in self.others() {
                let values = self.of_bucket(backend, gradients, bucket, to);
                if !values.is_empty() {
                    exchange.sends.push(Parcel { to: vec![to], values });
                }
            }
            self.pieces.spans(bucket).into_iter().for_each(|span| backend.release(gradients, span));
        }
        let learn = size.min(arrival.leaves.len() - round * size);
        exchange.receives = self.receives((0..learn).filter(|from| *from != rank).map(|from| (from, floats)));
        self.ranks.begin(exchange)?;
        self.on_way.push_back(OnWay::Gradients { round, bucket, own });
        self.arrive_all_but(BUCKETS, arrival)
    }

    /// Sends this rank's weights of a bucket to all others, which send theirs.
    pub fn call_weights<B: Backend>(&mut self, arrival: &Arrival<'_, B>, bucket: usize) -> Result<()> {
        if let Some(weights) = arrival.weights.as_deref() {
            self.send_pieces(arrival.backend, weights, bucket)?;
            self.on_way.push_back(OnWay::Weights { bucket });
        }
        Ok(())
    }

    /// Waits until all weights of a bucket are there.
    pub fn await_weights<B: Backend>(&mut self, arrival: &mut Arrival<'_, B>, bucket: usize) -> Result<()> {
        let is_it = |on_way: &OnWay| matches!(on_way, OnWay::Weights { bucket: other } if *other == bucket);
        match self.on_way.iter().position(is_it) {
            Some(at) => self.arrive_all_but(self.on_way.len() - at - 1, arrival),
            None => Ok(()),
        }
    }

    /// Gives the memory of others' weights of a bucket back.
    pub fn forget_weights<B: Backend>(&self, arrival: &mut Arrival<'_, B>, bucket: usize) {
        if let Some(weights) = arrival.weights.as_deref_mut() {
            for span in self.pieces.of_others(bucket, self.ranks.rank()) {
                arrival.backend.release(weights, span);
            }
        }
    }

    /// Waits for what is on its way, the earliest first, until so much is left.
    pub fn arrive_all_but<B: Backend>(&mut self, left: usize, arrival: &mut Arrival<'_, B>) -> Result<()> {
        while self.on_way.len() > left {
            match self.on_way.pop_front() {
                Some(OnWay::Gradients { round, bucket, own }) => {
                    self.add_up(arrival, round, bucket, own)?;
                }
                Some(OnWay::Weights { bucket }) => {
                    if let Some(weights) = arrival.weights.as_deref_mut() {
                        self.receive_pieces(arrival.backend, weights, bucket)?;
                    }
                }
                None => break,
            }
        }
        Ok(())
    }

    /// Adds the gradients of a round to the sums, those of earlier batches first.
    fn add_up<B: Backend>(
        &mut self,
        arrival: &mut Arrival<'_, B>,
        round: usize,
        bucket: usize,
        own: Vec<f32>,
    ) -> Result<()> {
        let (rank, size) = (self.ranks.rank(), self.ranks.size());
        let mut exchange = self.ranks.end()?;
        exchange.receives.push((rank, own));
        exchange.receives.sort_by_key(|(from, _)| *from);
        for (leaf, (_, values)) in arrival.leaves[round * size..].iter().zip(&exchange.receives) {
            let mut at = 0;
            for piece in self.pieces.of_rank(bucket, rank) {
                let gradients = &values[at..at + piece.span.len()];
                add(arrival.backend, arrival.sums, leaf, piece, gradients);
                at += piece.span.len();
            }
        }
        self.keep(exchange);
        Ok(())
    }
}

/// Adds a batch's gradients of a piece to the sums, as its leaf says.
fn add<B: Backend>(backend: &B, sums: &mut [B::Buffer], leaf: &Leaf, piece: &Spec, gradients: &[f32]) {
    let span = &piece.span;
    if leaf.adds {
        let mut sum = backend.view(&sums[leaf.arena], span.clone()).into_owned();
        sum.iter_mut().zip(gradients).for_each(|(sum, gradient)| *sum += gradient);
        backend.write(&mut sums[leaf.arena], span.start, &sum);
    } else {
        backend.write(&mut sums[leaf.arena], span.start, gradients);
    }
    for above in (leaf.arena + 1 - leaf.merges..=leaf.arena).rev() {
        let (lower, upper) = sums.split_at_mut(above);
        backend.add_span(&mut lower[above - 1], &upper[0], span.clone());
    }
}
