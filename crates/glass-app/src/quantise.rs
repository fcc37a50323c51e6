//! `glass quantise` stores a model's weights in fewer bits; `glass convert` writes the same weights in another
//! layout.

use std::io::Write as _;
use std::path::Path;

use glass::backend::{Cpu, Layout, Packing};
use glass::config::Packings;
use glass::model::Gpt;
use glass::plan::{Plan, Spec};
use glass::tokens::Tokenizer;
use glass::tokens::chat::Template;
use glass::weights::folder::Folder;
use glass::weights::gguf::{self, Numbers};
use glass::weights::save::{Save, save};
use glass::weights::{Frozen, packed};
use serde_json::json;

use crate::args::{ConvertArgs, QuantiseArgs};
use crate::fail::Fail;
use crate::model_arg;
use crate::out::{Out, bytes, number};

/// Packs the weights, and reports the size.
pub fn run(args: &QuantiseArgs) -> Result<(), Fail> {
    let (packing, name) = (args.to.packing(), model_arg::name(args.model.as_deref()));
    let folder = model_arg::folder(args.model.as_deref())?;
    // With an adapter, the sum of both is packed anew.
    if folder.is_quantised() && folder.adapter().is_none() {
        let as_they_are = match folder.packings() {
            Some(_) => String::new(),
            None => format!(", or pack them as they are with `glass convert {name} OUT --packed`"),
        };
        return Err(Fail::asked(format!(
            "{name}: its weights are already quantised; give the model it was made from{as_they_are}"
        )));
    }
    let source = Source::of(&folder)?;
    free("--out", &args.out)?;
    let size = if is_gguf(&args.out) {
        gguf::save(&args.out, &source.what(&folder), Numbers::of(packing), &|spec, into| {
            folder.read(spec, into)
        })?;
        std::fs::metadata(&args.out).map_or(0, |file| file.len())
    } else {
        let cpu = model_arg::cpu(&args.machine);
        let weights = Frozen::load(&cpu, &source.plan, packing, &|spec, into| folder.read(spec, into))?;
        let packings = Packings::One(packing);
        packed::save(&args.out, &source.what(&folder), &packings, &cpu, &weights)?;
        source.packed_bytes(&packings)
    };
    let from = (source.plan.len() * folder.dtype().bytes()) as u64;
    let bits = 8.0 * size as f64 / source.plan.len() as f64;
    let mut out = Out::new();
    if args.json {
        out.json(
            &json!({"out": args.out, "packing": packing.name(), "weights": source.plan.len(), "bytes": size,
                         "bits_per_weight": bits, "from_bytes": from}),
        )?;
    } else {
        let (weights, before, after) = (number(source.plan.len() as u64), bytes(from), bytes(size));
        let (to, packing) = (args.out.display(), packing.name());
        out.prose(&format!(
            "{to}: {weights} weights as {packing}, {after} instead of {before}, {bits:.2} bits per weight"
        ))?;
    }
    out.done()
}

/// Writes the same weights in the other layout.
pub fn convert(args: &ConvertArgs) -> Result<(), Fail> {
    let folder = model_arg::folder(Some(&args.model))?;
    if args.packed {
        return pack(args, &folder);
    }
    let source = Source::of(&folder)?;
    free("OUT", &args.out)?;
    let what = source.what(&folder);
    let read = |spec: &Spec, into: &mut [f32]| folder.read(spec, into);
    match is_gguf(&args.out) {
        true => gguf::save(&args.out, &what, Numbers::Dense(folder.dtype()), &read)?,
        false => save(&args.out, &what, &read)?,
    }
    let mut out = Out::new();
    let (to, weights, dtype) = (args.out.display(), source.plan.len(), folder.dtype().torch_name());
    if args.json {
        out.json(&json!({"out": args.out, "weights": weights, "dtype": dtype}))?;
    } else {
        writeln!(out, "{to}: {} weights as {dtype}", number(weights as u64))?;
    }
    out.done()
}

/// Writes quantised weights in panels, number for number.
fn pack(args: &ConvertArgs, folder: &Folder) -> Result<(), Fail> {
    let (name, to) = (&args.model, args.out.display());
    if is_gguf(&args.out) {
        return Err(Fail::asked(format!(
            "OUT: {to} is a file for llama.cpp, but --packed writes a folder; name one without .gguf"
        )));
    }
    if !folder.is_quantised() {
        return Err(Fail::asked(format!(
            "--packed: the weights of {name} are not quantised; `glass quantise {name} --to q8 --out {to}` does both"
        )));
    }
    if folder.adapter().is_some() {
        return Err(Fail::asked(format!(
            "--packed: {name} is an adapter, and with it the weights are others; `glass quantise {name} --to q8 --out {to}` packs the sum"
        )));
    }
    let source = Source::of(folder)?;
    free("OUT", &args.out)?;
    let (cpu, packings) = (Cpu::new(Cpu::available_threads()), folder.opened_as(&source.plan)?);
    let weights = Frozen::open(&cpu, &source.plan, folder)?;
    packed::save(&args.out, &source.what(folder), &packings, &cpu, &weights)?;
    let layouts: Vec<_> = source.plan.specs.iter().filter_map(|spec| packings.layout(spec)).collect();
    let used = Packing::ALL.into_iter().filter(|packing| layouts.contains(&Layout::Panels(*packing)));
    let used: Vec<&str> = used.map(Packing::name).collect();
    let (size, weights) = (source.packed_bytes(&packings), source.plan.len());
    let bits = 8.0 * size as f64 / weights as f64;
    let mut out = Out::new();
    if args.json {
        out.json(&json!({"out": args.out, "packings": used, "weights": weights, "bytes": size,
                         "bits_per_weight": bits}))?;
    } else {
        let (weights, size, used) = (number(weights as u64), bytes(size), used.join(", "));
        out.prose(&format!("{to}: {weights} weights as {used}, {size}, {bits:.2} bits per weight"))?;
    }
    out.done()
}

/// A model to be written in another format.
struct Source {
    plan: Plan,
    tokenizer: Option<Tokenizer>,
    template: Option<Template>,
}

impl Source {
    fn of(folder: &Folder) -> Result<Source, Fail> {
        let (_, plan) = Gpt::plan(folder.config());
        folder.check(&plan)?;
        Ok(Source { plan, tokenizer: folder.tokenizer()?, template: folder.template()? })
    }

    /// The size of its weights in a packed folder.
    fn packed_bytes(&self, packings: &Packings) -> u64 {
        let lanes = |spec: &Spec| packings.layout(spec).map_or(0, |layout| layout.len(spec.rows, spec.cols));
        4 * self.plan.specs.iter().map(lanes).sum::<usize>() as u64
    }

    fn what<'a>(&'a self, folder: &'a Folder) -> Save<'a> {
        Save {
            config: folder.config(),
            plan: &self.plan,
            dtype: folder.dtype(),
            tokenizer: self.tokenizer.as_ref(),
            template: self.template.as_ref().map(Template::source),
            end_of_text: self.tokenizer.as_ref().and_then(Tokenizer::end_of_text),
            generation: Some(folder.generation()),
        }
    }
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gguf")
}

/// Refuses to overwrite anything.
fn free(option: &str, out: &Path) -> Result<(), Fail> {
    let out_dir = out.display();
    if out.is_file() {
        return Err(Fail::asked(format!("{option}: {out_dir} already exists; name a new file or folder")));
    }
    match out.join("config.json").exists() {
        true => Err(Fail::asked(format!("{option}: {out_dir} already holds a model; name a new folder"))),
        false => Ok(()),
    }
}
