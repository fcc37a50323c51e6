//! What a teacher said of samples that come again: its largest logits, of which its distribution is made.

use std::collections::HashMap;

use glass_kernels::loss::IGNORE;
use glass_kernels::teach::largest_first;

use crate::backend::{Backend, Span, Tensor};
use crate::memory::Memory;
use crate::model::{Gpt, Lesson, Pass};
use crate::train::learner::Batch;

/// One of the largest logits of a row.
#[derive(Clone, Copy)]
pub struct Large {
    id: u32,
    logit: f32,
}

/// The largest logits of every counted row of a sample, by its inputs and targets.
#[derive(Default)]
pub struct Kept {
    pub samples: HashMap<Box<[u32]>, Box<[Large]>>,
    /// For how many more there is room.
    pub room: usize,
}

/// A sample of a batch.
pub struct Sample {
    /// Inputs, then targets.
    ids: Box<[u32]>,
    /// Rows that count.
    counted: usize,
}

impl Sample {
    /// The sample in these rows.
    pub fn of(part: &Batch, span: &Span) -> Self {
        let (inputs, targets) = (&part.inputs[span.rows.clone()], &part.targets[span.rows.clone()]);
        Sample {
            ids: [inputs, targets].concat().into(),
            counted: targets.iter().filter(|&&target| target != IGNORE).count(),
        }
    }
}

impl Kept {
    /// What is kept of all these samples, one after another; `None` if one is missing.
    pub fn all(&self, samples: &[Sample]) -> Option<Vec<Large>> {
        let known = samples.iter().map(|sample| self.samples.get(&sample.ids));
        let known = known.collect::<Option<Vec<_>>>().filter(|known| !known.is_empty())?;
        Some(known.into_iter().flatten().copied().collect())
    }
}

/// A teacher that has read a batch, now or before.
pub struct Taught<'a, B: Backend> {
    pub backend: &'a B,
    pub top: usize,
    /// Those of the batch, if they are to be kept.
    pub samples: Vec<Sample>,
    pub kept: &'a mut Kept,
    pub logits: &'a mut Tensor<B>,
    pub source: Source<'a, B>,
}

/// Where the logits come from.
pub enum Source<'a, B: Backend> {
    /// It went forward; its largest logits so far.
    Pass { gpt: &'a Gpt, pass: Pass<'a, B, ()>, memory: &'a mut Memory<B>, said: Vec<Large> },
    /// What it said of the batch before, and where the next row begins.
    Kept { known: Vec<Large>, next: usize },
}

impl<B: Backend> Lesson<B> for Taught<'_, B> {
    fn logits(&mut self, rows: &[u32]) -> &mut Tensor<B> {
        let Taught { backend, top, samples, logits, source, .. } = self;
        let columns = logits.cols;
        match source {
            Source::Pass { gpt, pass, memory, said } => {
                gpt.logits(pass, rows.iter().map(|&row| row as usize), memory, logits);
                if !samples.is_empty() {
                    let all = backend.view(&logits.data, 0..rows.len() * columns);
                    for row in all.chunks_exact(columns) {
                        let ids = largest_first(row, *top).into_iter().take(*top);
                        said.extend(ids.map(|id| Large { id, logit: row[id as usize] }));
                    }
                }
            }
            Source::Kept { known, next } => {
                logits.use_rows(rows.len());
                let mut row = vec![f32::NEG_INFINITY; columns];
                for at in 0..rows.len() {
                    row.fill(f32::NEG_INFINITY);
                    known[*next..][..*top].iter().for_each(|large| row[large.id as usize] = large.logit);
                    backend.write(&mut logits.data, at * columns, &row);
                    *next += *top;
                }
            }
        }
        self.logits
    }
}

impl<B: Backend> Taught<'_, B> {
    /// Keeps what was said, as far as there is room.
    pub fn keep(self) {
        let Source::Pass { said, .. } = &self.source else { return };
        let mut rest = said.as_slice();
        for Sample { ids, counted } in self.samples {
            let (own, others) = rest.split_at(counted * self.top);
            rest = others;
            if own.len() <= self.kept.room && !self.kept.samples.contains_key(&ids) {
                self.kept.room -= own.len();
                self.kept.samples.insert(ids, own.into());
            }
        }
    }
}
