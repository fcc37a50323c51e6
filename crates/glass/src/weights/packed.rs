//! A packed model's directory: the same files, except that `model.safetensors` holds every matrix in the panels
//! used for computing, under its own name (`block.3.attention.query.weight`), as `U32` of shape `[panels, lines,
//! lanes]` (see [`glass_kernels::packing`]). It is mapped and used in place: nothing is read at the start.
//!
//! Vectors and positions, of which a pass reads a few rows, stay `F32`. `config.json` says how matrices are packed:
//! `"quantization_config": {"packed_by": "glass", "packing": "q8"}`, or instead of the one packing an object with that
//! of every matrix by its name. Since it has no `quant_method`, `transformers` refuses the folder; with an unknown
//! method it would open the model with random weights (5.24).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use glass_kernels::packing;
use serde_json::{Map, Value, json};

use super::folder::Folder;
use super::save::{self, Save};
use super::{Frozen, safetensors, tensors};
use crate::atomic_write::AtomicWrite;
use crate::backend::{Backend, Layout, Packing};
use crate::config::object::short;
use crate::config::{Packings, Positions};
use crate::plan::{Plan, Spec, Start};
use crate::stored::Stored;
use crate::{Config, Error, Result};

/// The layout of a parameter in a model of this packing. With fewer than 8 bits, the token embedding has 8: it is both read
/// row by row and multiplied, and its errors affect every token.
pub fn layout(spec: &Spec, packing: Packing) -> Layout {
    if spec.is_vector() || spec.name == "embedding.position.weight" {
        return Layout::Rows;
    }
    match (packing, spec.is_hidden_matrix) {
        (packing, false) if packing.is_quantised() => Layout::Panels(Packing::Q8),
        _ => Layout::Panels(packing),
    }
}

impl Packings {
    /// The layout of a parameter; `None` if it is a matrix whose packing is not said.
    pub fn layout(&self, spec: &Spec) -> Option<Layout> {
        match (self, layout(spec, Packing::F32)) {
            (Packings::One(packing), _) => Some(layout(spec, *packing)),
            (Packings::Each(_), Layout::Rows) => Some(Layout::Rows),
            (Packings::Each(each), _) => each.get(&spec.name).map(|packing| Layout::Panels(*packing)),
        }
    }

    /// Of parameters in these layouts; one packing if it would give all of them their layout.
    pub(super) fn of(plan: &Plan, layouts: &[Layout]) -> Packings {
        let all = || plan.specs.iter().zip(layouts);
        let is_one = |packing: &Packing| all().all(|(spec, found)| layout(spec, *packing) == *found);
        if let Some(packing) = Packing::ALL.into_iter().find(is_one) {
            return Packings::One(packing);
        }
        let of_panels = |(spec, layout): (&Spec, &Layout)| match layout {
            Layout::Panels(packing) => Some((spec.name.clone(), *packing)),
            Layout::Rows => None,
        };
        Packings::Each(all().filter_map(of_panels).collect())
    }

    /// For `config.json`, in the order of the plan.
    fn to_json(&self, plan: &Plan) -> Value {
        let each = |each: &BTreeMap<String, Packing>| {
            let name = |spec: &Spec| Some((spec.name.clone(), json!(each.get(&spec.name)?.name())));
            plan.specs.iter().filter_map(name).collect::<Map<_, _>>()
        };
        match self {
            Packings::One(packing) => json!(packing.name()),
            Packings::Each(all) => each(all).into(),
        }
    }
}

/// Writes a packed model's directory, as [`save::save`] does for a dense one; `packings` are those of the weights.
///
/// # Errors
/// If the packing of a matrix is not said, or a file cannot be written.
pub fn save<B: Backend>(
    dir: &Path,
    what: &Save<'_>,
    packings: &Packings,
    backend: &B,
    weights: &Frozen<B>,
) -> Result<()> {
    let layout = |spec: &Spec| {
        packings.layout(spec).ok_or_else(|| Error::invalid_argument(&spec.name, "has no packing"))
    };
    let layouts = what.plan.specs.iter().map(layout).collect::<Result<Vec<_>>>()?;
    let mut files = AtomicWrite::new(dir)?;
    files.write(tensors::FILE, |put| {
        // Panels first: they start and end on cache line boundaries.
        let mut order: Vec<usize> = (0..what.plan.specs.len()).collect();
        order.sort_by_key(|&i| layouts[i] == Layout::Rows);
        let infos = order.iter().map(|&i| {
            let (spec, layout) = (&what.plan.specs[i], layouts[i]);
            (spec.name.clone(), shape(spec.is_vector(), [spec.rows, spec.cols], layout), dtype(layout))
        });
        put(&safetensors::header_of(&infos.collect::<Vec<_>>(), ("format", "glass"), 64)?)?;
        order.iter().try_for_each(|&i| put(backend.bytes(weights.get(i))))
    })?;
    let quantised = json!({"packed_by": "glass", "packing": packings.to_json(what.plan)});
    save::write_texts(&mut files, what, Some(quantised))?;
    files.commit()
}

/// The shape in the file of a parameter of these sizes.
fn shape(is_vector: bool, [rows, cols]: [usize; 2], layout: Layout) -> Vec<usize> {
    match layout {
        Layout::Rows if is_vector => vec![cols],
        Layout::Rows => vec![rows, cols],
        Layout::Panels(packing) => packing.shape(rows, cols).to_vec(),
    }
}

/// The dtype of a parameter's numbers in the file.
fn dtype(layout: Layout) -> ::safetensors::Dtype {
    match layout {
        Layout::Rows => ::safetensors::Dtype::F32,
        Layout::Panels(_) => ::safetensors::Dtype::U32,
    }
}

/// Where `config.json` has the packing of every matrix.
const PACKINGS: &str = "quantization_config: packing";

impl Folder {
    /// The sizes in config.json match the weights, so a plan of this configuration is no larger than the file.
    pub(super) fn check_packed_sizes(&self) -> Result<()> {
        let layer = |name: &str| name.strip_prefix("block.")?.split('.').next()?.parse::<usize>().ok();
        let last = self.tensors.names().filter_map(layer).max();
        let found = last.map_or(0, |last| last.saturating_add(1));
        let Config { layers, vocabulary, context, width, mlp_width, .. } = self.config;
        if layers != found {
            let blocks = if found == 1 { "block" } else { "blocks" };
            let why = format!("{} is {layers}, but the weights have {found} {blocks}", self.layers_field());
            return Err(Error::invalid(self.shape_name(), why));
        }
        let mut sizes = Plan::default();
        sizes.table("embedding.token.weight", vocabulary, width, Start::Normal);
        if self.config.positions == Positions::Learned {
            sizes.table("embedding.position.weight", context, width, Start::Normal);
        }
        sizes.matrix("block.0.mlp.up.weight", mlp_width, width, Start::Normal);
        sizes.specs.iter().try_for_each(|spec| self.stored(spec).map(|_| ()))
    }

    /// Refuses a file that does not hold exactly the parameters of `plan`, packed.
    pub(super) fn check_packed(&self, plan: &Plan, packings: &Packings) -> Result<()> {
        plan.specs.iter().try_for_each(|spec| self.stored(spec).map(|_| ()))?;
        if let Packings::Each(each) = packings {
            let in_panels = |spec: &&Spec| layout(spec, Packing::F32) != Layout::Rows;
            let known: BTreeSet<_> = plan.specs.iter().filter(in_panels).map(|spec| &spec.name).collect();
            if let Some(name) = each.keys().find(|name| !known.contains(name)) {
                let why = format!("{PACKINGS}: {} is not a matrix of this model", short(name));
                return Err(Error::invalid(self.shape_name(), why));
            }
        }
        let known = |name: &&str| plan.specs.iter().any(|spec| spec.name == **name);
        match self.tensors.names().find(|name| !known(name)) {
            Some(name) => {
                let why = format!("tensor {} is not known in a model of this shape", short(name));
                Err(Error::invalid(self.tensors.file(), why + "; are files mixed up?"))
            }
            None => Ok(()),
        }
    }

    /// The layout in which a packed model stores a parameter; `None` if the model is not packed.
    pub(super) fn stored_layout(&self, spec: &Spec) -> Result<Option<Layout>> {
        let Some(packings) = self.packings() else { return Ok(None) };
        packings.layout(spec).map(Some).ok_or_else(|| {
            let names = Packing::ALL.map(Packing::name);
            let why = format!("{PACKINGS}: {} is missing; one of {names:?} was expected", spec.name);
            Error::invalid(self.shape_name(), why)
        })
    }

    /// The tensor that holds a packed parameter, checked for shape and dtype.
    pub(super) fn stored(&self, spec: &Spec) -> Result<Stored> {
        let wrong = |why: String| Err(Error::invalid(self.tensors.file(), why));
        let (Some(layout), Some(place)) = (self.stored_layout(spec)?, self.place(&spec.name).ok()) else {
            return Err(Error::invalid_argument(&spec.name, "is not a parameter of this packed model"));
        };
        // `spec` may be only some of its rows.
        let sizes = match spec.is_vector() {
            true => [1, place.outputs],
            false => [place.outputs, place.inputs],
        };
        let expected = shape(spec.is_vector(), sizes, layout);
        let (Some(found), Some(stored)) = (self.tensors.get(&spec.name), self.tensors.stored(&spec.name))
        else {
            return wrong(format!("tensor {:?} is missing, although config.json requires it", spec.name));
        };
        if found.tensor.shape != expected {
            let shape = short(&format!("{:?}", found.tensor.shape));
            let why = format!("tensor {:?} has shape {shape}; config.json requires {expected:?}", spec.name);
            return wrong(why);
        }
        let (has, dtype) = (found.tensor.dtype_name(), dtype(layout).to_string());
        if has != dtype {
            return wrong(format!("tensor {:?} has dtype {has}; {dtype} was expected", spec.name));
        }
        Ok(stored)
    }

    /// A packed model's parameter, or some of its rows, as floats.
    pub(super) fn read_packed(&self, spec: &Spec, layout: Layout, into: &mut [f32]) -> Result<()> {
        let (stored, mut copy) = (self.stored(spec)?, Vec::new());
        let lanes = packing::lanes(&stored).unwrap_or_else(|| {
            copy.resize(stored.len() / 4, 0.0);
            packing::copy_lanes(&mut copy, &stored);
            &copy
        });
        match layout {
            Layout::Rows => into.copy_from_slice(&lanes[spec.first * spec.cols..][..into.len()]),
            Layout::Panels(packing) => packing::unpack(into, lanes, packing, spec.cols, spec.first),
        }
        Ok(())
    }
}
