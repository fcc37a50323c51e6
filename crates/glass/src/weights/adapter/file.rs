//! The files of an adapter, as `peft` writes and reads them: `adapter_config.json` and `adapter_model.safetensors`
//! (<https://huggingface.co/docs/peft>, `LoraConfig`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{AdapterPlan, Pair};
use crate::atomic_write::AtomicWrite;
use crate::plan::{Plan, Spec};
use crate::weights::Read;
use crate::weights::dtype::Dtype;
use crate::weights::names::{Place, TensorKind, places, plain};
use crate::weights::safetensors::{self, Tensor, header};
use crate::weights::save::{Save, write_vocabulary};
use crate::weights::source::map;
use crate::{Config, Error, Result};

/// What an adapter is, beside its numbers.
pub const CONFIG: &str = "adapter_config.json";

/// Its numbers.
pub const FILE: &str = "adapter_model.safetensors";

/// What `peft` puts before the names of a model's tensors.
const PREFIX: &str = "base_model.model.";

/// How an adapter was made.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// The model that it changes: a name or a path.
    pub base: String,
    /// The rank of every change.
    pub rank: usize,
    /// The changes are multiplied by alpha / rank.
    pub alpha: f64,
    /// The share of inputs dropped while training.
    pub dropout: f32,
}

impl LoraConfig {
    /// What the product of the two matrices is multiplied by.
    pub fn scale(&self) -> f32 {
        (self.alpha / self.rank as f64) as f32
    }
}

/// An adapter that was read: its plan, and the numbers in the plan's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The model that it changes: a name or a path.
    pub base: String,
    /// Its plan.
    pub plan: AdapterPlan,
    /// Its numbers.
    pub values: Vec<f32>,
    /// The indices of the model's parameters, by name.
    indices: BTreeMap<String, usize>,
}

impl Stored {
    /// Whether it changes a parameter of the model.
    pub fn changes(&self, spec: &Spec) -> bool {
        self.pair(spec).is_some()
    }

    fn pair(&self, spec: &Spec) -> Option<Pair> {
        self.plan.pair(*self.indices.get(&spec.name)?)
    }

    /// Adds to a parameter of the model, or to some of its rows, what the adapter changes.
    pub fn add_to(&self, spec: &Spec, into: &mut [f32]) {
        let Some(Pair { a, b, scale }) = self.pair(spec) else { return };
        let [a, b] = [a, b].map(|param| self.plan.plan.spec(param));
        for (row, into) in into.chunks_exact_mut(spec.cols).enumerate() {
            for k in 0..a.rows {
                let by = scale * self.values[b.span.start + k * b.cols + spec.first + row];
                let a = &self.values[a.span.start + k * a.cols..][..a.cols];
                into.iter_mut().zip(a).for_each(|(w, a)| *w += by * a);
            }
        }
    }
}

/// The changes of one tensor of the model's file: of several parameters if it joins them.
struct Module<'a> {
    whole: Place,
    parts: Vec<(Place, &'a Spec, Pair)>,
}

impl Module<'_> {
    /// Whether one parameter is the whole tensor.
    fn is_single(&self) -> bool {
        self.parts.len() == 1 && self.parts[0].0.outputs == self.whole.of
    }

    /// The rank of the change of the whole tensor: those of its parts are independent, so they add up.
    fn rank(&self, plan: &Plan) -> usize {
        self.parts.iter().map(|(_, _, pair)| plan.spec(pair.a).rows).sum()
    }
}

/// The tensors that an adapter changes, by their names without `.weight`.
fn modules<'a>(
    config: &Config,
    model: &'a Plan,
    adapter: &AdapterPlan,
) -> Result<BTreeMap<String, Module<'a>>> {
    let place = places(config);
    let mut all: BTreeMap<String, Module<'a>> = BTreeMap::new();
    for index in adapter.changed() {
        let spec = &model.specs[index];
        let found = place(&spec.name).zip(adapter.pair(index));
        let (place, pair) = found.ok_or_else(|| {
            Error::invalid_argument(&spec.name, "has no tensor in such a model's files; it cannot be saved")
        })?;
        let name = place.written.strip_suffix(".weight").unwrap_or(&place.written).to_string();
        let module = all.entry(name).or_insert_with(|| Module { whole: place.clone(), parts: Vec::new() });
        module.parts.push((place, spec, pair));
    }
    Ok(all)
}

/// Writes an adapter of a model, as `read` gives its numbers, with the vocabulary and the chat template of `what`. Where a family
/// joins matrices in one tensor, their changes are written as one of a larger rank (`rank_pattern`).
///
/// # Errors
/// If a file cannot be written, or the family's files have no place for a matrix.
pub fn save(
    dir: &Path,
    what: &Save<'_>,
    adapter: &AdapterPlan,
    about: &LoraConfig,
    read: &Read<'_>,
) -> Result<()> {
    let modules = modules(what.config, what.plan, adapter)?;
    let mut files = AtomicWrite::new(dir)?;
    files.write(FILE, |put| {
        let mut shapes = Vec::new();
        for (name, module) in &modules {
            let rank = module.rank(&adapter.plan);
            shapes.push((format!("{PREFIX}{name}.lora_A.weight"), vec![rank, module.whole.inputs]));
            shapes.push((format!("{PREFIX}{name}.lora_B.weight"), vec![module.whole.of, rank]));
        }
        put(&safetensors::write_header(&shapes, Dtype::F32)?)?;
        let mut bytes = Vec::new();
        for module in modules.values() {
            let (a, b) = joined(module, adapter, read)?;
            for values in [a, b] {
                bytes.clear();
                Dtype::F32.narrow(&mut bytes, &values);
                put(&bytes)?;
            }
        }
        Ok(())
    })?;
    let config = format!("{:#}\n", Value::Object(to_object(&modules, adapter, about)));
    files.write(CONFIG, |put| put(config.as_bytes()))?;
    write_vocabulary(&mut files, what)?;
    files.commit()
}

/// A `[rank, inputs]` and B `[outputs, rank]` of a whole tensor.
fn joined(module: &Module<'_>, adapter: &AdapterPlan, read: &Read<'_>) -> Result<(Vec<f32>, Vec<f32>)> {
    let (plan, whole) = (&adapter.plan, &module.whole);
    let rank = module.rank(plan);
    let (mut a, mut b) = (Vec::with_capacity(rank * whole.inputs), vec![0.0; whole.of * rank]);
    let mut first = 0;
    for (place, spec, pair) in &module.parts {
        let [of_a, of_b] = [pair.a, pair.b].map(|param| plan.spec(param));
        let mut part = vec![0.0; of_a.span.len()];
        read(of_a, &mut part)?;
        a.extend_from_slice(&part);
        part.resize(of_b.span.len(), 0.0);
        read(of_b, &mut part)?;
        for (k, part) in part.chunks_exact(spec.rows).enumerate() {
            for (row, value) in part.iter().enumerate() {
                b[place.row(row) * rank + first + k] = *value;
            }
        }
        first += of_a.rows;
    }
    Ok((a, b))
}

fn to_object(
    modules: &BTreeMap<String, Module<'_>>,
    adapter: &AdapterPlan,
    about: &LoraConfig,
) -> Map<String, Value> {
    // The ends of names by which peft finds the modules; two parts, since `c_proj` is in attention and in the MLP.
    let end = |name: &str| {
        let parts: Vec<&str> = name.rsplit('.').take(2).collect();
        parts.into_iter().rev().collect::<Vec<_>>().join(".")
    };
    let ends: BTreeSet<String> = modules.keys().map(|name| end(name)).collect();
    let (mut ranks, mut alphas) = (Map::new(), Map::new());
    for (name, module) in modules.iter().filter(|(_, module)| !module.is_single()) {
        let rank = module.rank(&adapter.plan);
        ranks.insert(end(name), json!(rank));
        alphas.insert(end(name), json!(about.alpha / about.rank as f64 * rank as f64));
    }
    let is_turned = modules.values().any(|module| module.whole.kind == TensorKind::Conv1d);
    let object = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": about.base,
        "r": about.rank,
        "lora_alpha": about.alpha,
        "lora_dropout": about.dropout,
        "target_modules": ends,
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
        "fan_in_fan_out": is_turned,
        "bias": "none",
        "inference_mode": true,
        "init_lora_weights": true,
        "use_rslora": false,
        "use_dora": false,
        "modules_to_save": null,
    });
    match object {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// Whether a folder holds an adapter.
pub fn is_in(dir: &Path) -> bool {
    dir.join(CONFIG).exists()
}

/// What the adapter in a folder changes: the name or path of its model.
///
/// # Errors
/// If there is no such file, or it says nothing of a model.
pub fn base(dir: &Path) -> Result<String> {
    let path = dir.join(CONFIG);
    let config = config(&path)?;
    match config.get("base_model_name_or_path").and_then(Value::as_str) {
        Some(base) if !base.is_empty() => Ok(base.into()),
        _ => Err(Error::invalid(
            path.display(),
            "base_model_name_or_path does not name the model that it changes",
        )),
    }
}

fn config(path: &Path) -> Result<Map<String, Value>> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io("cannot read", path, error))?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(config)) => Ok(config),
        Ok(_) => Err(Error::invalid(path.display(), "is not a JSON object")),
        Err(error) => Err(Error::invalid(path.display(), format!("is not JSON: {error}"))),
    }
}

/// Choices of `LoraConfig` that change what is computed, with the values that are read here.
fn refuse(path: &Path, config: &Map<String, Value>) -> Result<()> {
    let kind = config.get("peft_type").and_then(Value::as_str).unwrap_or("LORA");
    if kind != "LORA" {
        return Err(Error::invalid(path.display(), format!("peft_type is {kind}; only LORA is read")));
    }
    for name in ["use_dora", "use_qalora", "lora_bias"] {
        if config.get(name) == Some(&Value::Bool(true)) {
            let why = format!("{name} is true, which is not read here; merge the adapter with peft first");
            return Err(Error::invalid(path.display(), why));
        }
    }
    Ok(())
}

/// Opens the adapter in a folder, for a model of this configuration and plan.
///
/// # Errors
/// If it is not an adapter of such a model, or changes something that is not a matrix of a block.
pub fn open(dir: &Path, model: &Config, plan: &Plan) -> Result<Stored> {
    let (path, numbers) = (dir.join(CONFIG), dir.join(FILE));
    let (config, base) = (config(&path)?, base(dir)?);
    refuse(&path, &config)?;
    let scales = Scales::read(&path, &config)?;
    let what = numbers.display().to_string();
    let bytes = map(&numbers)?;
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    for (name, tensor) in header(&what, &bytes)? {
        let own = name.strip_prefix(PREFIX).unwrap_or(&name).replace(".default.weight", ".weight");
        tensors.insert(own, tensor);
    }
    let mut changes = Changes { what: &what, bytes: &bytes, tensors: &tensors, used: BTreeSet::new() };
    let place = places(model);
    let mut found = Vec::with_capacity(plan.specs.len());
    for spec in &plan.specs {
        found.push(match place(&spec.name).filter(|_| spec.is_hidden_matrix) {
            Some(place) => changes.of(spec, &place)?,
            None => None,
        });
    }
    if let Some(other) = tensors.keys().find(|name| !changes.used.contains(*name)) {
        let why = format!("{other} changes no matrix of a block of this model, and is not read here");
        return Err(Error::invalid(&what, why));
    }
    let mut number = found.iter();
    let adapter = AdapterPlan::new(plan, 0.0, |spec| {
        let change = number.next()?.as_ref()?;
        debug_assert_eq!(change.b.len(), change.rank * spec.rows);
        Some((change.rank, scales.of(&change.module, change.whole_rank)))
    });
    let mut values = Vec::with_capacity(adapter.plan.len());
    for change in found.into_iter().flatten() {
        values.extend(change.a);
        values.extend(change.b);
    }
    let indices = adapter.changed().map(|index| (plan.specs[index].name.clone(), index)).collect();
    Ok(Stored { base, plan: adapter, values, indices })
}

/// The change of one parameter, as its files have it.
struct Change {
    module: String,
    /// The rank of the tensor that it is a part of.
    whole_rank: usize,
    rank: usize,
    /// `[rank, inputs]`.
    a: Vec<f32>,
    /// `[rank, outputs]`.
    b: Vec<f32>,
}

/// The tensors of an adapter's file.
struct Changes<'a> {
    what: &'a str,
    bytes: &'a [u8],
    tensors: &'a BTreeMap<String, Tensor>,
    used: BTreeSet<String>,
}

impl Changes<'_> {
    fn of(&mut self, spec: &Spec, place: &Place) -> Result<Option<Change>> {
        let module = place.tensor.strip_suffix(".weight").unwrap_or(&place.tensor).to_string();
        let name = |which: &str| {
            let end = format!(".{which}.weight");
            let is_it = |name: &&String| name.strip_suffix(&end).is_some_and(|name| plain(name) == module);
            self.tensors.keys().find(is_it).cloned()
        };
        let (a, b) = match (name("lora_A"), name("lora_B")) {
            (None, None) => return Ok(None),
            (Some(a), Some(b)) => (a, b),
            (a, b) => {
                let found = a.or(b).unwrap_or_default();
                return Err(Error::invalid(
                    self.what,
                    format!("{found} has no partner: one of lora_A and lora_B is missing"),
                ));
            }
        };
        let rank = self.tensors[&a].shape.first().copied().unwrap_or(0);
        let whole_a = self.numbers(&a, [rank, place.inputs])?;
        let whole_b = self.numbers(&b, [place.of, rank])?;
        self.used.extend([a, b]);
        // Of a joined tensor, this parameter needs only what its own outputs read.
        let is_read = |k: &usize| (0..spec.rows).any(|row| whole_b[place.row(row) * rank + k] != 0.0);
        let mut read: Vec<usize> = match place.outputs == place.of {
            true => (0..rank).collect(),
            false => (0..rank).filter(is_read).collect(),
        };
        if read.is_empty() {
            read.push(0);
        }
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for &k in &read {
            a.extend_from_slice(&whole_a[k * place.inputs..][..place.inputs]);
            b.extend((0..spec.rows).map(|row| whole_b[place.row(row) * rank + k]));
        }
        Ok(Some(Change { module, whole_rank: rank, rank: read.len(), a, b }))
    }

    fn numbers(&self, name: &str, shape: [usize; 2]) -> Result<Vec<f32>> {
        let tensor = &self.tensors[name];
        let dtype = tensor.dtype.as_ref().map_err(|other| {
            Error::invalid(self.what, format!("{name} has the type {other}; F32, F16 and BF16 are read"))
        })?;
        if tensor.shape != shape || shape[0] == 0 {
            let why = format!("{name} is {:?}, but {shape:?} fits this model", tensor.shape);
            return Err(Error::invalid(self.what, why));
        }
        let mut values = vec![0.0; shape[0] * shape[1]];
        dtype.widen(&mut values, &self.bytes[tensor.bytes.clone()]);
        Ok(values)
    }
}

/// What the changes are multiplied by.
struct Scales {
    alpha: f64,
    /// By the end of a module's name.
    alphas: Vec<(String, f64)>,
    by_root: bool,
}

impl Scales {
    fn read(path: &Path, config: &Map<String, Value>) -> Result<Scales> {
        let wrong = |what: &str| Error::invalid(path.display(), format!("{what} is not a number"));
        let number = |name: &str, default: f64| match config.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value.as_f64().ok_or_else(|| wrong(name)),
        };
        let mut alphas = Vec::new();
        if let Some(Value::Object(pattern)) = config.get("alpha_pattern") {
            for (end, value) in pattern {
                alphas.push((end.clone(), value.as_f64().ok_or_else(|| wrong("alpha_pattern"))?));
            }
        }
        // peft's own default.
        let alpha = number("lora_alpha", 8.0)?;
        let by_root = config.get("use_rslora") == Some(&Value::Bool(true));
        Ok(Scales { alpha, alphas, by_root })
    }

    fn of(&self, module: &str, rank: usize) -> f32 {
        let fits = |(end, _): &&(String, f64)| {
            let rest = module.strip_suffix(end.trim_start_matches('^'));
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let alpha = self.alphas.iter().find(fits).map_or(self.alpha, |(_, alpha)| *alpha);
        let rank = if self.by_root { (rank as f64).sqrt() } else { rank as f64 };
        (alpha / rank) as f32
    }
}
