//! Looking inside: passes over whole sequences are recorded, edited, and analysed. Every number is the same as in
//! generating and scoring.
//!
//! ```no_run
//! # use glass::{backend::Cpu, text_model::TextModel};
//! use glass::inspect::Inspector;
//! use glass::probe::Site;
//!
//! # fn main() -> glass::Result<()> {
//! # let model = TextModel::open(Cpu::new(2), "my-model".as_ref())?;
//! let ids = model.tokenizer.as_ref().expect("a tokenizer").encode("The ball is", glass::tokens::Special::Plain);
//! let mut inspector = Inspector::new(&model, 64, 1)?;
//! let mut record = inspector.record(["block.0.attention.pattern".parse()?]);
//! inspector.run(&[&ids], &mut record)?;
//! let pattern = record.get("block.0.attention.pattern".parse::<Site>()?)?;
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
pub mod jacobian;
pub mod lens;
pub mod linear_norm;
pub mod nearest;
pub mod neurons;
pub mod origin;
pub mod promoted;
mod record;
pub mod sweep;

pub use edit::{Edit, Edits};
pub use record::{Matrix, Record};

use record::Spare;

use crate::backend::{Backend, Span, Tensor, Weight, Write};
use crate::generate::ends;
use crate::memory::{Cache, Keep, Memory};
use crate::model::{Gpt, Pass};
use crate::plan::Plan;
use crate::probe::{Ahead, Probe, Site, Want};
use crate::runtime::Model;
use crate::{Error, Result};

/// Most rows whose logits are in memory at once.
const LOGIT_ROWS: usize = 64;

/// A model to look into, and memory for passes over independent sequences, several of them in one pass.
pub struct Inspector<'a, B: Backend> {
    model: &'a Model<B>,
    plan: Plan,
    memory: Memory<B>,
    cache: Cache<B>,
    logits: Tensor<B>,
    /// The spans of the last pass, which its vectors after the last block belong to.
    spans: Vec<Span>,
    /// The logits of all rows of the last pass, if a probe may have changed them.
    changed: Option<Vec<f32>>,
    /// Memory of a record that is gone.
    spare: Spare,
}

impl<'a, B: Backend> Inspector<'a, B> {
    /// For passes of at most `rows` positions in at most `sequences` sequences. Keys and values have the type of
    /// the model's [cache](Model::cache), as in generating, so that the numbers are the same.
    ///
    /// # Errors
    /// If there is too little memory.
    pub fn new(model: &'a Model<B>, rows: usize, sequences: usize) -> Result<Self> {
        let (backend, config) = (model.backend(), model.config());
        let wanted = sequences.max(LOGIT_ROWS.min(rows));
        let positions = rows.min(config.context);
        Ok(Inspector {
            model,
            plan: Gpt::plan(config).1,
            memory: Memory::new(backend, config, Keep::One, rows, wanted)?,
            cache: Cache::for_pass(backend, config, model.cache, sequences, positions)?,
            logits: Tensor::new(backend, wanted, config.vocabulary)?,
            spans: Vec::with_capacity(sequences),
            changed: None,
            spare: Spare::default(),
        })
    }

    /// The model.
    pub fn model(&self) -> &'a Model<B> {
        self.model
    }

    /// The largest numbers of positions and of sequences in one pass.
    pub fn room(&self) -> (usize, usize) {
        (self.memory.residual.capacity(), self.cache.slots())
    }

    /// A record of these sites, in the memory of one that this inspector made before and that was dropped: new pages would take longer
    /// than the numbers. The memory of one record is kept as long as the inspector is.
    pub fn record(&self, sites: impl IntoIterator<Item = Site>) -> Record {
        self.spare.record(sites)
    }

    /// Reads sequences, number by number in slot 0, 1, …; every probe sees all of them.
    ///
    /// # Errors
    /// If the model cannot read one of them, or the probe wants something that does not exist.
    pub fn run<P: Probe>(&mut self, sequences: &[&[u32]], mut probe: P) -> Result<()> {
        let config = self.model.config();
        if let Some(id) = sequences.iter().flat_map(|ids| *ids).find(|&&id| id as usize >= config.vocabulary)
        {
            let why = format!("{id} is not in the model's vocabulary of {} tokens", config.vocabulary);
            return Err(Error::invalid_argument("ids", why));
        }
        let lengths: Vec<usize> = sequences.iter().map(|ids| ids.len()).collect();
        self.begin(0, &lengths, false, &mut probe)?;
        let ids = sequences.concat();
        let (gpt, mut pass) = pass(self.model, &self.spans, &mut probe);
        gpt.forward(&mut pass, &ids, &mut self.memory, &mut self.cache);
        self.show_logits(&mut probe, false);
        Ok(())
    }

    /// Continues from residual streams that enter block `layer`, `[rows, width]`, of sequences of these lengths,
    /// one after another: only this block and the following ones are computed.
    ///
    /// # Errors
    /// As for [`run`](Self::run); and if there is no such block, or not a residual for every row.
    pub fn resume<P: Probe>(
        &mut self,
        layer: usize,
        residual: &[f32],
        lengths: &[usize],
        probe: P,
    ) -> Result<()> {
        self.go_on(layer, residual, lengths, false, probe)
    }

    /// The same if only [`next_logits`](Self::next_logits) is needed afterwards: in the last block, little more
    /// than keys and values is computed for the other positions.
    ///
    /// # Errors
    /// As for [`resume`](Self::resume).
    pub fn resume_to_ends<P: Probe>(
        &mut self,
        layer: usize,
        residual: &[f32],
        lengths: &[usize],
        probe: P,
    ) -> Result<()> {
        self.go_on(layer, residual, lengths, true, probe)
    }

    fn go_on<P: Probe>(
        &mut self,
        layer: usize,
        residual: &[f32],
        lengths: &[usize],
        only_last: bool,
        mut probe: P,
    ) -> Result<()> {
        let config = self.model.config();
        if layer > config.layers {
            let why = format!("a pass cannot begin with block {layer} of {}", config.layers);
            return Err(Error::invalid_argument("layer", why));
        }
        let begin = config.begin_at(layer);
        if begin < layer {
            let why = format!(
                "a pass cannot begin with block {layer}, as keys and values of blocks before it are read; begin with {begin}"
            );
            return Err(Error::invalid_argument("layer", why));
        }
        let rows = lengths.iter().sum::<usize>();
        if residual.len() != rows * config.width {
            let (len, width) = (residual.len(), config.width);
            let why = format!("{len} numbers for {rows} positions of {width}; give a vector for each");
            return Err(Error::invalid_argument("residual", why));
        }
        self.begin(layer, lengths, only_last, &mut probe)?;
        self.memory.use_rows(rows);
        self.model.backend().write(&mut self.memory.residual.data, 0, residual);
        let last: Vec<Span> = ends(&self.spans).collect();
        let (gpt, mut pass) = pass(self.model, &self.spans, &mut probe);
        // Without a block there are no keys and values after which rows could be left out.
        let only_last = only_last && layer < gpt.config.layers;
        pass.output_rows = only_last.then_some(&last);
        gpt.forward_from(&mut pass, layer, &mut self.memory, &mut self.cache);
        if only_last {
            self.spans = last;
        }
        self.show_logits(&mut probe, only_last);
        Ok(())
    }

    /// The spans of sequences of these lengths; announces the pass to the probe.
    fn begin(
        &mut self,
        first: usize,
        lengths: &[usize],
        only_last: bool,
        probe: &mut impl Probe,
    ) -> Result<()> {
        self.lay_out(lengths)?;
        self.changed = None;
        let config = self.model.config();
        let begun = probe.begin(&Ahead { config, spans: &self.spans, first, whole: true, only_last });
        if begun.is_err() {
            // There is no valid pass until this one is complete.
            self.spans.clear();
        }
        begun
    }

    /// Logits are computed on request. If a probe wants to see them, those of all rows are computed, in chunks; if
    /// it may change them, they are also stored.
    fn show_logits(&mut self, probe: &mut impl Probe, only_last: bool) {
        let (gpt, mut pass) = pass(self.model, &self.spans, probe);
        let wants = pass.wants(Site::Logits);
        if wants == Want::No {
            return;
        }
        let rows = if only_last { self.spans.len() } else { self.memory.normed.rows };
        let mut kept = (wants == Want::Edit).then(Vec::new);
        for start in (0..rows).step_by(LOGIT_ROWS) {
            gpt.logits(&mut pass, start..rows.min(start + LOGIT_ROWS), &mut self.memory, &mut self.logits);
            if let Some(kept) = &mut kept {
                kept.extend_from_slice(&pass.backend.view(&self.logits.data, 0..self.logits.len()));
            }
        }
        self.changed = kept;
    }

    /// The logits after the last position of every sequence of the last pass, `[sequences, vocabulary]`; empty before a pass.
    pub fn next_logits(&mut self) -> Vec<f32> {
        if self.spans.is_empty() {
            return Vec::new();
        }
        if let Some(changed) = &self.changed {
            let vocabulary = self.logits.cols;
            let last = |span: &Span| (span.rows.end - 1) * vocabulary..span.rows.end * vocabulary;
            return self.spans.iter().flat_map(|span| &changed[last(span)]).copied().collect();
        }
        let (gpt, mut pass) = pass(self.model, &self.spans, ());
        gpt.next(&mut pass, &mut self.memory, &mut self.logits);
        pass.backend.view(&self.logits.data, 0..self.logits.len()).into_owned()
    }

    /// The logits after every row of the last pass, `each(row, logits)`: in chunks, so that they are never all in memory.
    pub fn logits(&mut self, each: &mut dyn FnMut(usize, &[f32])) {
        if let Some(changed) = &self.changed {
            changed.chunks_exact(self.logits.cols).enumerate().for_each(|(row, logits)| each(row, logits));
            return;
        }
        let (gpt, mut pass) = pass(self.model, &self.spans, ());
        let rows = self.spans.last().map_or(0, |span| span.rows.end);
        for start in (0..rows).step_by(LOGIT_ROWS) {
            let chunk = start..rows.min(start + LOGIT_ROWS);
            gpt.logits(&mut pass, chunk.clone(), &mut self.memory, &mut self.logits);
            let logits = pass.backend.view(&self.logits.data, 0..self.logits.len());
            chunk.zip(logits.chunks_exact(self.logits.cols)).for_each(|(row, logits)| each(row, logits));
        }
    }

    /// A parameter as floats, row-major, `[rows, cols]`: the values that passes compute with, whatever format they
    /// are stored in.
    ///
    /// # Errors
    /// If the model has no parameter of this name, or there is too little memory.
    pub fn parameter(&self, name: &str) -> Result<Matrix> {
        let rows = self.plan.specs.iter().find(|spec| spec.name == name).map_or(0, |spec| spec.rows);
        self.rows(name, &(0..rows as u32).collect::<Vec<_>>())
    }

    /// Some rows of a parameter.
    ///
    /// # Errors
    /// As for [`parameter`](Self::parameter).
    pub fn rows(&self, name: &str, rows: &[u32]) -> Result<Matrix> {
        read_rows(self.model, &self.plan, name, rows)
    }

    /// The spans of sequences of these lengths.
    fn lay_out(&mut self, lengths: &[usize]) -> Result<()> {
        let (context, (room, slots)) = (self.cache.positions(), self.room());
        let rows = lengths.iter().sum::<usize>();
        if let Some(&len) = lengths.iter().find(|&&len| len == 0 || len > context) {
            let why = format!("{len} tokens; from 1 to {context} are possible");
            return Err(Error::invalid_argument("sequence", why));
        }
        if rows > room || lengths.len() > slots || lengths.is_empty() {
            let why = format!(
                "{rows} positions of {} sequences; there is room for {room} of {slots}",
                lengths.len()
            );
            return Err(Error::invalid_argument("sequences", why));
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

/// Some rows of a model's parameter.
fn read_rows<B: Backend>(model: &Model<B>, plan: &Plan, name: &str, rows: &[u32]) -> Result<Matrix> {
    let Some(index) = plan.specs.iter().position(|spec| spec.name == name) else {
        return Err(Error::invalid_argument("parameter", format!("the model has no parameter {name:?}")));
    };
    let (backend, cols) = (model.backend(), plan.specs[index].cols);
    let most = plan.specs[index].rows;
    if let Some(row) = rows.iter().find(|&&row| row as usize >= most) {
        return Err(Error::invalid_argument(
            name,
            format!("row {row} is not among its {most}, counted from 0"),
        ));
    }
    let mut values = Tensor::new(backend, rows.len(), cols)?;
    // Reading rows of a table is the embedding operation.
    let table = Weight::Packed(model.weights().get(index));
    backend.embed(&mut values, Write::Set, rows, table);
    let values = backend.view(&values.data, 0..values.len()).into_owned();
    Ok(Matrix { rows: rows.len(), cols, values })
}

fn pass<'a, B: Backend, P: Probe>(
    model: &'a Model<B>,
    spans: &'a [Span],
    probe: P,
) -> (&'a Gpt, Pass<'a, B, P>) {
    let weights = model.adapted();
    (model.gpt(), Pass { backend: model.backend(), weights, spans, output_rows: None, dropout: None, probe })
}
