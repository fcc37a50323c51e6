//! Learning a head: from each vector it goes on over the tokens that were drawn, and after each is told the distribution that the
//! model drew the next one from (distillation, Hinton et al. 2015).

mod teacher;

use glass_kernels::format::bf16_to_f32;

use crate::backend::{AdamW, Backend, Grads, Tensor, Weight, Write};
use crate::guess::head::{ACTIVATION, Layers, Step, norm};
use crate::guess::{Candidate, Drawn, Head, MOST, likeliest, table};
use crate::random::Random;
use crate::runtime::Model;
use crate::weights::initialise::initialise;
use crate::weights::{Trainable, Weights};
use crate::{Error, Result};
use teacher::Teacher;

/// Steps over which a vector is followed.
const STEPS: usize = 3;

/// Vectors of a text that are followed together, and such pieces in a batch.
const PIECE: usize = 32;
const PIECES: usize = 16;

/// Tokens that a head can guess: the most frequent ones.
const TOKENS: usize = 8192;

/// One text in so many says how often guesses are right.
const HELD_OUT: usize = 10;

/// The learning rate at its highest, if no other is asked for, and the steps until then.
pub const RATE: f32 = 2e-3;
const WARM_UP: f32 = 50.0;

/// The largest norm of the gradients.
const CLIP: f64 = 1.0;

/// Learns a head.
pub struct HeadLearner<'m, B: Backend> {
    model: &'m Model<B>,
    texts: &'m [Drawn],
    /// The numbers of those that are learned.
    learned: Vec<usize>,
    tokens: Vec<u32>,
    temperature: f32,
    layers: Layers,
    hidden: usize,
    weights: Trainable<B>,
    grads: B::Buffer,
    first: B::Buffer,
    second: B::Buffer,
    teacher: Teacher<'m, B>,
    steps: Vec<Step<B>>,
    /// The gradients of each step's vectors.
    d: Vec<Tensor<B>>,
    scratch: Scratch<B>,
    random: Random,
    rate: f32,
    taken: u64,
}

/// Memory that a step needs for a while.
struct Scratch<B: Backend> {
    /// The model's vectors, and its distributions, of every position of the pieces.
    vectors: Tensor<B>,
    targets: Tensor<B>,
    /// Of the rows of a step.
    target: Tensor<B>,
    logits: Tensor<B>,
    embeddings: Tensor<B>,
    d_hidden: Tensor<B>,
    d_normed: Tensor<B>,
    d_pairs: Tensor<B>,
    losses: Vec<f32>,
}

impl<'m, B: Backend> HeadLearner<'m, B> {
    /// A learner from these texts, which were drawn at this temperature; with `hidden` numbers between up and down, and
    /// `rate` as the highest learning rate.
    ///
    /// # Errors
    /// If the texts have no vectors, or there is too little memory.
    pub fn new(
        model: &'m Model<B>,
        texts: &'m [Drawn],
        hidden: usize,
        temperature: f32,
        rate: f32,
        seed: u64,
    ) -> Result<Self> {
        let (backend, config) = (model.backend(), model.config());
        let width = config.width;
        // If there are few texts, all are learned.
        let is_learned = |at: &usize| !at.is_multiple_of(HELD_OUT) || texts.len() < 2 * HELD_OUT;
        let is_long = |at: &usize| texts[*at].vectors.len() / width > STEPS;
        let learned: Vec<usize> = (0..texts.len()).filter(is_learned).filter(is_long).collect();
        if learned.is_empty() {
            return Err(Error::invalid_argument("texts", "too few tokens were drawn to learn a head from"));
        }
        let tokens = frequent(texts, config.vocabulary);
        let (layers, plan) = Layers::plan(width, hidden);
        let len = plan.len();
        let mut weights = Trainable::zeros(backend, plan.into())?;
        let mut values = vec![0.0; len];
        for (index, spec) in weights.plan.specs.iter().enumerate() {
            initialise(spec, index, config, seed, &mut values[spec.span.clone()]);
        }
        backend.write(&mut weights.values, 0, &values);
        let rows = PIECE * PIECES;
        let all = (PIECE + STEPS) * PIECES;
        let tensor = |rows, cols| Tensor::new(backend, rows, cols);
        Ok(HeadLearner {
            grads: backend.zeros(len)?,
            first: backend.zeros(len)?,
            second: backend.zeros(len)?,
            teacher: Teacher::new(model, &tokens)?,
            steps: (0..STEPS).map(|_| Step::new(backend, rows, width, hidden)).collect::<Result<_>>()?,
            d: (0..STEPS).map(|_| tensor(rows, width)).collect::<Result<_>>()?,
            scratch: Scratch {
                vectors: tensor(all, width)?,
                targets: tensor(all, tokens.len())?,
                target: tensor(rows, tokens.len())?,
                logits: tensor(rows, tokens.len())?,
                embeddings: tensor(rows, width)?,
                d_hidden: tensor(rows, hidden)?,
                d_normed: tensor(rows, 2 * width)?,
                d_pairs: tensor(2 * rows, width)?,
                losses: vec![0.0; all],
            },
            random: Random::new(seed, "head", 0),
            rate,
            taken: 0,
            model,
            texts,
            learned,
            tokens,
            temperature,
            layers,
            hidden,
            weights,
        })
    }

    /// One step of AdamW, at `progress` (0 to 1) of the learning. Returns the mean cross-entropy of each of the steps over which
    /// vectors are followed, in nats.
    pub fn learn(&mut self, progress: f32) -> [f64; STEPS] {
        let losses = self.gradients();
        self.taken += 1;
        let backend = self.model.backend();
        let len = self.weights.plan.len();
        let norm = backend.square_sum(&self.grads, 0..len).sqrt();
        if !norm.is_finite() {
            return losses;
        }
        let warm = (self.taken as f32 / WARM_UP).min(1.0);
        let rate = self.rate * warm * (1.0 - progress.clamp(0.0, 1.0)).max(0.01);
        let step = AdamW {
            rate,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            decay: 0.01,
            step: self.taken,
            scale: if norm > CLIP { (CLIP / norm) as f32 } else { 1.0 },
        };
        let (values, grads) = (&mut self.weights.values, &self.grads);
        backend.adamw(values, grads, &mut self.first, &mut self.second, 0..len, &step);
        losses
    }

    /// The gradients of a batch of pieces, and its losses.
    fn gradients(&mut self) -> [f64; STEPS] {
        let batch = self.batch();
        self.targets(&batch);
        let losses = self.forward(&batch, true);
        self.backward();
        losses
    }

    /// Pieces of texts: of each the text, and its first vector.
    fn batch(&mut self) -> Vec<(usize, usize)> {
        let width = self.model.config().width;
        let piece = |_| {
            let text = self.learned[self.random.below(self.learned.len())];
            let vectors = self.texts[text].vectors.len() / width;
            (text, self.random.below(vectors.saturating_sub(PIECE + STEPS) + 1))
        };
        (0..PIECES).map(piece).collect()
    }

    /// Sets the model's vectors and distributions of a batch. A piece that is too short is followed by zeros, which count nothing.
    fn targets(&mut self, batch: &[(usize, usize)]) {
        let (backend, width) = (self.model.backend(), self.model.config().width);
        let s = &mut self.scratch;
        let mut row = vec![0.0; (PIECE + STEPS) * width];
        for (piece, &(text, first)) in batch.iter().enumerate() {
            let vectors = &self.texts[text].vectors[first * width..];
            row.fill(0.0);
            row.iter_mut().zip(vectors).for_each(|(to, from)| *to = bf16_to_f32(*from));
            backend.write(&mut s.vectors.data, piece * (PIECE + STEPS) * width, &row);
        }
        s.vectors.use_rows(batch.len() * (PIECE + STEPS));
        s.targets.use_rows(s.vectors.rows);
        let known = |row: usize| {
            let (text, first) = batch[row / (PIECE + STEPS)];
            row % (PIECE + STEPS) < self.texts[text].vectors.len() / width - first
        };
        self.teacher.probabilities(&mut s.targets, &s.vectors, self.temperature, &known);
    }

    /// Follows the vectors of a batch over its tokens; with `learn`, the gradients of the vectors after each are left in `d`.
    fn forward(&mut self, batch: &[(usize, usize)], learn: bool) -> [f64; STEPS] {
        let (backend, rows) = (self.model.backend(), batch.len() * PIECE);
        let gpt = self.model.gpt();
        let table = self.model.weights().get(gpt.embedding_table().index());
        let positions = |ahead: usize| {
            let of =
                move |piece: usize| (0..PIECE).map(move |i| (piece * (PIECE + STEPS) + i + ahead) as u32);
            (0..batch.len()).flat_map(of).collect::<Vec<u32>>()
        };
        let [even, odd] = [0, 1].map(|by| (0..rows as u32).map(|row| 2 * row + by).collect::<Vec<u32>>());
        let mut losses = [0.0; STEPS];
        for (k, loss) in losses.iter_mut().enumerate() {
            let (before, from) = self.steps.split_at_mut(k);
            let (step, s) = (&mut from[0], &mut self.scratch);
            let ids: Vec<u32> = (batch.iter())
                .flat_map(|&(text, first)| {
                    let Drawn { ids, from, .. } = &self.texts[text];
                    (0..PIECE).map(move |i| *ids.get(from + first + i + k).unwrap_or(&0))
                })
                .collect();
            step.pairs.use_rows(2 * rows);
            s.embeddings.use_rows(rows);
            backend.embed(&mut s.embeddings, Write::Set, &ids, Weight::Packed(table));
            backend.put(&mut step.pairs, &s.embeddings, &odd);
            match before.last() {
                Some(before) => backend.put(&mut step.pairs, &before.next, &even),
                None => {
                    backend.take(&mut s.embeddings, &s.vectors, &positions(0));
                    backend.put(&mut step.pairs, &s.embeddings, &even);
                }
            }
            self.layers.forward(backend, Weights::Trainable(&self.weights), step);
            s.logits.use_rows(rows);
            s.target.use_rows(rows);
            self.teacher.logits(&mut s.logits, &step.next);
            backend.scale(&mut s.logits, 1.0 / self.temperature);
            backend.take(&mut s.target, &s.targets, &positions(k + 1));
            let scale = learn.then_some(1.0 / rows as f32);
            backend.distil(&mut s.logits, &mut s.losses[..rows], &s.target, scale);
            *loss = s.losses[..rows].iter().map(|&loss| f64::from(loss)).sum::<f64>() / rows as f64;
            if learn {
                backend.scale(&mut s.logits, gpt.unembedding().factor() / self.temperature);
                self.d[k].use_rows(rows);
                let matrix = self.teacher.matrix();
                backend.linear_backward_input(&mut self.d[k], Write::Set, &s.logits, Weight::Dense(matrix));
            }
        }
        losses
    }

    /// From the gradients of the vectors after each token to those of the weights.
    fn backward(&mut self) {
        let (backend, Layers { up, skip, down }) = (self.model.backend(), self.layers);
        let (width, len) = (self.model.config().width, self.weights.plan.len());
        backend.clear(&mut self.grads, 0..len);
        for k in (0..STEPS).rev() {
            let (step, s) = (&mut self.steps[k], &mut self.scratch);
            let (before, from) = self.d.split_at_mut(k);
            let d = &from[0];
            let rows = d.rows;
            s.d_hidden.use_rows(rows);
            s.d_normed.use_rows(rows);
            s.d_pairs.use_rows(2 * rows);
            step.normed.reshape(2 * width);
            let mut learn = |param, dy: &Tensor<B>, x: &Tensor<B>| {
                let weight = self.weights.plan.spec(param).span.clone();
                let grads = Grads { arena: &mut self.grads, weight, bias: None };
                backend.linear_backward_weight(grads, Write::Add, dy, x);
            };
            learn(down, d, &step.active);
            backend.linear_backward_input(
                &mut s.d_hidden,
                Write::Set,
                d,
                Weight::Dense(self.weights.get(down)),
            );
            backend.activate_backward(&mut s.d_hidden, &step.up, ACTIVATION);
            learn(up, &s.d_hidden, &step.normed);
            learn(skip, d, &step.normed);
            step.normed.reshape(width);
            if let Some(before) = before.last_mut() {
                backend.linear_backward_input(
                    &mut s.d_normed,
                    Write::Set,
                    &s.d_hidden,
                    Weight::Dense(self.weights.get(up)),
                );
                backend.linear_backward_input(
                    &mut s.d_normed,
                    Write::Add,
                    d,
                    Weight::Dense(self.weights.get(skip)),
                );
                backend.clear(&mut s.d_pairs.data, 0..2 * rows * width);
                s.d_normed.reshape(width);
                let (x, stats) = (&step.pairs, &step.stats);
                backend.norm_backward(&mut s.d_pairs, None, &s.d_normed, x, stats, 1, None, norm(), 1);
                s.d_normed.reshape(2 * width);
                let even: Vec<u32> = (0..rows as u32).map(|row| 2 * row).collect();
                s.embeddings.use_rows(rows);
                backend.take(&mut s.embeddings, &s.d_pairs, &even);
                backend.add(before, &s.embeddings);
            }
        }
    }

    /// The head, with what guesses are worth in the texts that were held out.
    pub fn head(mut self) -> Head {
        let mut values = vec![0.0; self.weights.plan.len()];
        self.model.backend().read(&self.weights.values, 0, &mut values);
        let chances = self.chances();
        Head {
            values,
            width: self.model.config().width,
            hidden: self.hidden,
            tokens: self.tokens,
            temperature: self.temperature,
            chances,
        }
    }

    /// How often the likeliest tokens are right, by their probability.
    fn chances(&mut self) -> [f32; table::STEPS] {
        let width = self.model.config().width;
        let mut counts = [(0.0, 0.0); table::STEPS];
        let held_out: Vec<(usize, usize)> = (0..self.texts.len())
            .step_by(HELD_OUT)
            .flat_map(|text| {
                let vectors = self.texts[text].vectors.len() / width;
                (0..vectors.saturating_sub(PIECE + STEPS)).step_by(PIECE).map(move |first| (text, first))
            })
            .collect();
        for batch in held_out.chunks(PIECES).take(40) {
            self.targets(batch);
            self.forward(batch, false);
            for k in 0..STEPS {
                let s = &mut self.scratch;
                let step = &self.steps[k];
                s.logits.use_rows(step.next.rows);
                self.teacher.logits(&mut s.logits, &step.next);
                let cols = s.logits.cols;
                let logits = self.model.backend().view(&s.logits.data, 0..s.logits.len());
                for (row, logits) in logits.chunks(cols).enumerate() {
                    let (text, first) = batch[row / PIECE];
                    let Drawn { ids, from, .. } = &self.texts[text];
                    let drawn = ids.get(from + first + row % PIECE + k + 1);
                    let mut found = [Candidate { id: 0, probability: 0.0 }; MOST];
                    let count = likeliest(logits, self.temperature, &mut found);
                    for candidate in &found[..count] {
                        let (right, all) = &mut counts[table::step(candidate.probability)];
                        *all += 1.0;
                        *right += f32::from(u8::from(drawn == Some(&self.tokens[candidate.id as usize])));
                    }
                }
            }
        }
        table::chances(&counts)
    }
}

/// The most frequent of the tokens that were drawn, in ascending order.
fn frequent(texts: &[Drawn], vocabulary: usize) -> Vec<u32> {
    let mut counts: Vec<(usize, u32)> = (0..vocabulary as u32).map(|id| (0, id)).collect();
    for text in texts {
        text.ids[text.from..].iter().for_each(|&id| counts[id as usize].0 += 1);
    }
    counts.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut tokens: Vec<u32> =
        counts.iter().take(TOKENS).filter(|(count, _)| *count > 0).map(|(_, id)| *id).collect();
    tokens.sort_unstable();
    tokens
}

#[cfg(test)]
mod tests;
