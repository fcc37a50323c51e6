//! The parameters of a model's directory: where each one is in its files, and how it is read.

use glass_kernels::packing::Quants;

use super::Folder;
use crate::backend::{Layout, Packing};
use crate::config::Packings;
use crate::config::object::short;
use crate::plan::{Plan, Spec};
use crate::weights::checkpoint::Writer;
use crate::weights::dtype::Dtype;
use crate::weights::gguf;
use crate::weights::gguf::Blocks;
use crate::weights::names::{Place, RowMap, TensorKind};
use crate::weights::tensors::Found;
use crate::weights::{copy, packed};
use crate::{Error, Result};

/// How a parameter is loaded into memory.
pub(in crate::weights) enum Form {
    /// As stored in the file.
    Stored(Layout),
    /// Block by block of 32 weights.
    Quants(Packing),
    /// As floats, which are then packed.
    Floats(Layout),
}

impl Folder {
    /// Reads one parameter, or some of its rows, `[rows, cols]`, whatever its dtype and orientation in the file.
    pub fn read(&self, spec: &Spec, into: &mut [f32]) -> Result<()> {
        self.read_own(spec, into)?;
        if let Some(adapter) = &self.adapter {
            adapter.add_to(spec, into);
        }
        Ok(())
    }

    /// The same without what an adapter changes.
    pub(in crate::weights) fn read_own(&self, spec: &Spec, into: &mut [f32]) -> Result<()> {
        if let Some(layout) = self.stored_layout(spec)? {
            return self.read_packed(spec, layout, into);
        }
        let place = self.place(&spec.name)?;
        if let Some(blocks) = self.blocks(&place) {
            return self.read_blocks(spec, &place, blocks, into);
        }
        let (Found { bytes, .. }, dtype) = self.find(&place)?;
        within(spec, &place, into)?;
        let first = place.first + spec.first;
        match (place.kind, place.rows) {
            (TensorKind::Conv1d, _) => copy::turned(into, place.inputs, bytes, dtype, first, place.of),
            (TensorKind::Table | TensorKind::Vector, RowMap::Straight) => {
                let at = first * place.inputs * dtype.bytes();
                copy::straight(into, &bytes[at..at + into.len() * dtype.bytes()], dtype);
            }
            (TensorKind::Table | TensorKind::Vector, _) => {
                let size = place.inputs * dtype.bytes();
                for (r, into) in into.chunks_exact_mut(place.inputs).enumerate() {
                    let at = place.row(spec.first + r) * size;
                    dtype.widen(into, &bytes[at..at + size]);
                }
            }
        }
        if place.is_one_more {
            into.iter_mut().for_each(|weight| *weight -= 1.0);
        }
        Ok(())
    }

    /// Everything read from its files has been converted: its memory may be released.
    pub(in crate::weights) fn forget(&self) {
        self.tensors.forget();
    }

    /// The blocks that a parameter is quantised in, if it is.
    pub(in crate::weights) fn blocks(&self, place: &Place) -> Option<Blocks> {
        let found = self.tensors.get(&place.tensor)?;
        Blocks::named(found.tensor.dtype.as_ref().err()?).filter(|_| self.writer == Writer::Gguf)
    }

    fn read_blocks(&self, spec: &Spec, place: &Place, blocks: Blocks, into: &mut [f32]) -> Result<()> {
        let found = self.shaped(place)?;
        within(spec, place, into)?;
        let row = place.inputs / blocks.len() * blocks.bytes();
        if place.rows == RowMap::Straight {
            blocks.widen(into, &found.bytes[(place.first + spec.first) * row..][..spec.rows * row]);
            return Ok(());
        }
        for (r, into) in into.chunks_exact_mut(place.inputs).enumerate() {
            blocks.widen(into, &found.bytes[place.row(spec.first + r) * row..][..row]);
        }
        Ok(())
    }

    /// How a parameter is loaded into memory.
    pub(in crate::weights) fn form(&self, spec: &Spec) -> Result<Form> {
        if let Some(layout) = self.stored_layout(spec)? {
            return Ok(Form::Stored(layout));
        }
        let floats = |packing| Form::Floats(packed::layout(spec, packing));
        if self.writer != Writer::Gguf {
            return Ok(floats(Packing::F32));
        }
        let place = self.place(&spec.name)?;
        let dtype = self.tensors.get(&place.tensor).and_then(|found| found.tensor.dtype.as_ref().ok());
        Ok(match (self.blocks(&place), dtype) {
            _ if packed::layout(spec, Packing::F32) == Layout::Rows => Form::Floats(Layout::Rows),
            (Some(blocks), _) => Form::Quants(blocks.packing()),
            (None, Some(Dtype::Bf16)) => Form::Floats(Layout::Panels(Packing::Bf16)),
            _ => Form::Floats(Layout::Panels(Packing::F32)),
        })
    }

    /// The packings in which matrices are [opened](crate::weights::Frozen::open).
    ///
    /// # Errors
    /// If its files say nothing of a parameter.
    pub fn opened_as(&self, plan: &Plan) -> Result<Packings> {
        let layout = |spec: &Spec| {
            Ok(match self.form(spec)? {
                Form::Stored(layout) | Form::Floats(layout) => layout,
                Form::Quants(packing) => Layout::Panels(packing),
            })
        };
        let layouts = plan.specs.iter().map(layout).collect::<Result<Vec<_>>>()?;
        Ok(Packings::of(plan, &layouts))
    }

    /// Whether the weights are run in fewer bits than a float has.
    pub fn is_packed(&self, plan: &Plan) -> Result<bool> {
        Ok(self.opened_as(plan)? != Packings::One(Packing::F32))
    }

    /// Reads the rows of a parameter that is quantised in blocks.
    pub(in crate::weights) fn quants(&self, spec: &Spec) -> Result<impl Fn(usize, &mut [Quants]) + Sync> {
        let place = self.place(&spec.name)?;
        let found = self.shaped(&place)?;
        let blocks = self.blocks(&place);
        let blocks =
            blocks.ok_or_else(|| Error::invalid_argument(&spec.name, "is not quantised in blocks"))?;
        let row = place.inputs / blocks.len() * blocks.bytes();
        Ok(move |r: usize, into: &mut [Quants]| {
            blocks.quants(into, &found.bytes[place.row(r) * row..][..row]);
        })
    }

    pub(in crate::weights) fn place(&self, parameter: &str) -> Result<Place> {
        let config = &self.config;
        let missing =
            || Error::invalid_argument(parameter, format!("is not a parameter of a {}", self.family()));
        if let (Writer::Gguf, Some(architecture)) = (self.writer, gguf::of_family(config.family)) {
            return architecture.place(config, parameter).ok_or_else(missing);
        }
        let place = config.family.form().place(config, parameter).ok_or_else(missing)?;
        Ok(match place.kind {
            TensorKind::Conv1d if self.writer.as_ours() && !self.is_turned(&place) => {
                Place { kind: TensorKind::Table, ..place }
            }
            _ => place,
        })
    }

    /// Whether a PyTorch matrix is `[inputs, outputs]`, as in a state dictionary of `transformers` saved in a `.pt`
    /// file.
    fn is_turned(&self, place: &Place) -> bool {
        let shape = self.tensors.get("h.0.attn.c_attn.weight").map(|found| &found.tensor.shape[..]);
        self.writer == Writer::NanoGpt
            && place.kind == TensorKind::Conv1d
            && matches!(shape, Some([rows, cols]) if rows < cols)
    }

    /// What gives the sizes, for error messages.
    pub(in crate::weights) fn shape_name(&self) -> String {
        match self.writer {
            Writer::Folder | Writer::Packed => self.source.name("config.json"),
            _ => format!("{}: {}", self.tensors.file(), self.writer.shape()),
        }
    }

    /// A tensor at a place, checked for its shape.
    pub(in crate::weights) fn shaped(&self, place: &Place) -> Result<Found<'_>> {
        let Some(found) = self.tensors.get(&place.tensor) else {
            let why = match place.tensor.as_str() {
                "lm_head.weight" => {
                    "is missing, though tie_word_embeddings is false in config.json".to_string()
                }
                _ => format!("is missing, although {} requires it", self.writer.shape()),
            };
            return Err(Error::invalid(self.tensors.file(), format!("tensor {:?} {why}", place.tensor)));
        };
        if found.tensor.shape != place.shape() {
            let (shape, expected) = (short(&format!("{:?}", found.tensor.shape)), place.shape());
            let said = self.writer.shape();
            let why = format!("tensor {:?} has shape {shape}; {said} requires {expected:?}", place.tensor);
            return Err(Error::invalid(found.file, why));
        }
        Ok(found)
    }

    /// Refuses a place whose tensor is missing, has another shape, or cannot be read.
    pub(in crate::weights) fn expect(&self, place: &Place) -> Result<()> {
        match self.blocks(place) {
            Some(_) => self.shaped(place).map(|_| ()),
            None => self.find(place).map(|_| ()),
        }
    }

    /// A place's tensor, checked for its shape and for a dtype that can be converted to f32.
    pub(in crate::weights) fn find(&self, place: &Place) -> Result<(Found<'_>, Dtype)> {
        let found = self.shaped(place)?;
        match &found.tensor.dtype {
            Ok(dtype) => Ok((found, *dtype)),
            Err(name) => {
                let why =
                    format!("tensor {:?} has dtype {name}; F64, F32, F16 or BF16 was expected", place.tensor);
                Err(Error::invalid(found.file, why))
            }
        }
    }
}

/// Refuses to read rows that a place does not hold, or into memory of another size.
fn within(spec: &Spec, place: &Place, into: &[f32]) -> Result<()> {
    let (numbers, asked) = (place.outputs * place.inputs, spec.rows * spec.cols);
    match into.len() == asked && spec.first * spec.cols + asked <= numbers {
        true => Ok(()),
        false => {
            let why = format!("{} × {} numbers were asked for, not {}", spec.rows, spec.cols, into.len());
            Err(Error::invalid_argument(&spec.name, why))
        }
    }
}
