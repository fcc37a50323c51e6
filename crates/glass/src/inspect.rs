//! Looking inside: passes over whole sequences, recorded, edited, and taken apart. Every number is the engine's own.
//!
//! ```no_run
//! # use glass::{backend::Cpu, engine::Engine};
//! use glass::inspect::{Inspector, Record};
//! use glass::probe::Site;
//!
//! # fn main() -> glass::Result<()> {
//! # let engine = Engine::open(Cpu::new(2), "my-model".as_ref())?;
//! let ids = engine.tokenizer.as_ref().expect("a tokenizer").encode("The ball is", glass::tokens::Special::Plain);
//! let mut inspector = Inspector::new(&engine, 64, 1)?;
//! let mut record = Record::of(["block.0.attention.pattern".parse()?]);
//! inspector.run(&[&ids], &mut record)?;
//! let pattern = &record["block.0.attention.pattern".parse::<Site>()?];
//! println!("the last token looks at the first by {}", pattern.row(pattern.rows - 1)[0]);
//! # Ok(())
//! # }
//! ```

pub mod attribute;
pub mod circuits;
pub mod drift;
pub mod edit;
pub mod gradient;
pub mod growth;
pub mod heads;
pub mod lens;
pub mod nearest;
pub mod neurons;
mod record;
pub mod sweep;

pub use edit::{Edit, Edits};
pub use record::{Matrix, Record};

use crate::backend::{Backend, CacheType, Span, Tensor, Weight, Write};
use crate::generate::ends;
use crate::loaded::Loaded;
use crate::memory::{Cache, Keep, Memory};
use crate::model::{Gpt, Pass};
use crate::plan::Plan;
use crate::probe::{Probe, Site, Want};
use crate::weights::Weights;
use crate::{Error, Result};

/// Most rows whose logits stand at once.
const LOGIT_ROWS: usize = 64;

/// A model to look into: passes over sequences that each stand alone, all of a pass together.
pub struct Inspector<'a, B: Backend> {
    model: &'a Loaded<B>,
    plan: Plan,
    memory: Memory<B>,
    cache: Cache<B>,
    logits: Tensor<B>,
    /// Of the last pass: what its vectors behind the last block belong to.
    spans: Vec<Span>,
}

impl<'a, B: Backend> Inspector<'a, B> {
    /// For passes of at most `rows` positions of at most so many sequences together. Keys and values are kept as they are.
    ///
    /// # Errors
    /// There is too little memory.
    pub fn new(model: &'a Loaded<B>, rows: usize, sequences: usize) -> Result<Self> {
        let (backend, config) = (model.backend(), model.config());
        let wanted = sequences.max(LOGIT_ROWS.min(rows));
        let positions = rows.min(config.context);
        Ok(Inspector {
            model,
            plan: Gpt::plan(config).1,
            memory: Memory::new(backend, config, Keep::One, rows, wanted)?,
            cache: Cache::new(backend, config, Keep::One, CacheType::F32, sequences, positions)?,
            logits: Tensor::new(backend, wanted, config.vocabulary)?,
            spans: Vec::with_capacity(sequences),
        })
    }

    /// The model.
    pub fn model(&self) -> &'a Loaded<B> {
        self.model
    }

    /// Positions that one pass can have, and sequences.
    pub fn room(&self) -> (usize, usize) {
        (self.memory.residual.capacity(), self.cache.slots())
    }

    /// Reads sequences, number by number in slot 0, 1, …; every probe sees all of them.
    ///
    /// # Errors
    /// The model cannot read one of them.
    pub fn run<P: Probe>(&mut self, sequences: &[&[u32]], probe: P) -> Result<()> {
        let config = self.model.config();
        if let Some(id) = sequences.iter().flat_map(|ids| *ids).find(|&&id| id as usize >= config.vocabulary)
        {
            let why = format!("{id} is not in the model's vocabulary of {} tokens", config.vocabulary);
            return Err(Error::asked("ids", why));
        }
        self.lay_out(&sequences.iter().map(|ids| ids.len()).collect::<Vec<_>>())?;
        let ids = sequences.concat();
        let (gpt, mut pass) = pass(self.model, &self.spans, probe);
        gpt.forward(&mut pass, &ids, &mut self.memory, &mut self.cache);
        show_logits(gpt, &mut pass, &mut self.memory, &mut self.logits);
        Ok(())
    }

    /// Goes on from residual streams that enter block `layer`, `[rows, width]`, those of sequences of these lengths one after
    /// another: only this block and those behind it are computed.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn resume<P: Probe>(
        &mut self,
        layer: usize,
        residual: &[f32],
        lengths: &[usize],
        probe: P,
    ) -> Result<()> {
        self.lay_out(lengths)?;
        self.enter(residual);
        let (gpt, mut pass) = pass(self.model, &self.spans, probe);
        gpt.forward_from(&mut pass, layer, &mut self.memory, &mut self.cache);
        show_logits(gpt, &mut pass, &mut self.memory, &mut self.logits);
        Ok(())
    }

    /// The same where only [`next_logits`](Self::next_logits) is asked for afterwards: of the last block, little more than keys and
    /// values is computed of the other positions.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn resume_to_ends<P: Probe>(
        &mut self,
        layer: usize,
        residual: &[f32],
        lengths: &[usize],
        probe: P,
    ) -> Result<()> {
        self.lay_out(lengths)?;
        self.enter(residual);
        let ends: Vec<Span> = ends(&self.spans).collect();
        let (gpt, mut pass) = pass(self.model, &self.spans, probe);
        pass.ends = Some(&ends);
        gpt.forward_from(&mut pass, layer, &mut self.memory, &mut self.cache);
        self.spans = ends;
        Ok(())
    }

    fn enter(&mut self, residual: &[f32]) {
        let rows = self.spans.last().map_or(0, |span| span.rows.end);
        assert_eq!(residual.len(), rows * self.model.config().width, "a residual for every row");
        self.memory.use_rows(rows);
        self.model.backend().write(&mut self.memory.residual.data, 0, residual);
    }

    /// The logits after the last position of every sequence of the last pass, `[sequences, vocabulary]`.
    pub fn next_logits(&mut self) -> Vec<f32> {
        let (gpt, mut pass) = pass(self.model, &self.spans, ());
        gpt.next(&mut pass, &mut self.memory, &mut self.logits);
        pass.backend.view(&self.logits.data, 0..self.logits.len()).into_owned()
    }

    /// The logits after every row of the last pass, `each(row, logits)`: in chunks, so that they never stand whole.
    pub fn logits(&mut self, each: &mut dyn FnMut(usize, &[f32])) {
        let (gpt, mut pass) = pass(self.model, &self.spans, ());
        let rows = self.memory.normed.rows;
        for start in (0..rows).step_by(LOGIT_ROWS) {
            let chunk = start..rows.min(start + LOGIT_ROWS);
            gpt.logits(&mut pass, chunk.clone(), &mut self.memory, &mut self.logits);
            let logits = pass.backend.view(&self.logits.data, 0..self.logits.len());
            chunk.zip(logits.chunks_exact(self.logits.cols)).for_each(|(row, logits)| each(row, logits));
        }
    }

    /// A parameter as floats, row-major, `[rows, cols]`: what it is computed with, whatever it is kept in.
    ///
    /// # Errors
    /// There is none of this name, or too little memory.
    pub fn parameter(&self, name: &str) -> Result<Matrix> {
        let rows = self.plan.specs.iter().find(|spec| spec.name == name).map_or(0, |spec| spec.rows);
        self.rows(name, &(0..rows as u32).collect::<Vec<_>>())
    }

    /// Some rows of a parameter.
    ///
    /// # Errors
    /// As for [`parameter`](Self::parameter).
    pub fn rows(&self, name: &str, rows: &[u32]) -> Result<Matrix> {
        let Some(index) = self.plan.specs.iter().position(|spec| spec.name == name) else {
            return Err(Error::asked("parameter", format!("{name:?} is none of this model's")));
        };
        let (backend, cols) = (self.model.backend(), self.plan.specs[index].cols);
        let mut values = Tensor::new(backend, rows.len(), cols)?;
        // Reading rows out of a table is what embedding is.
        let table = Weight::Packed(self.model.weights().get(index));
        backend.embed(&mut values, Write::Set, rows, table);
        let values = backend.view(&values.data, 0..values.len()).into_owned();
        Ok(Matrix { rows: rows.len(), cols, values })
    }

    /// The spans of sequences of these lengths.
    fn lay_out(&mut self, lengths: &[usize]) -> Result<()> {
        let (context, (room, slots)) = (self.cache.positions(), self.room());
        let rows = lengths.iter().sum::<usize>();
        if let Some(&len) = lengths.iter().find(|&&len| len == 0 || len > context) {
            let why = format!("{len} tokens: one to {context} can be looked at");
            return Err(Error::asked("sequence", why));
        }
        if rows > room || lengths.len() > slots || lengths.is_empty() {
            let why = format!(
                "{rows} positions of {} sequences; memory was taken for {room} of {slots}",
                lengths.len()
            );
            return Err(Error::asked("sequences", why));
        }
        self.spans.clear();
        let mut start = 0;
        for (slot, &len) in lengths.iter().enumerate() {
            self.spans.push(Span { rows: start..start + len, slot, past: 0 });
            start += len;
        }
        Ok(())
    }
}

/// Logits are computed where they are asked for; where a probe wants to see them, those of all rows, in chunks.
fn show_logits<B: Backend, P: Probe>(
    gpt: &Gpt,
    pass: &mut Pass<'_, B, P>,
    memory: &mut Memory<B>,
    logits: &mut Tensor<B>,
) {
    if pass.wants(Site::Logits) != Want::No {
        let rows = memory.normed.rows;
        for start in (0..rows).step_by(LOGIT_ROWS) {
            gpt.logits(pass, start..rows.min(start + LOGIT_ROWS), memory, logits);
        }
    }
}

fn pass<'a, B: Backend, P: Probe>(
    model: &'a Loaded<B>,
    spans: &'a [Span],
    probe: P,
) -> (&'a Gpt, Pass<'a, B, P>) {
    let weights = Weights::Frozen(model.weights());
    (model.gpt(), Pass { backend: model.backend(), weights, spans, ends: None, chance: None, probe })
}
