//! `glass quantise` stores a model's weights in fewer bits; `glass convert` writes the same weights in another
//! layout.

use std::io::Write as _;
use std::path::Path;

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
    if folder.is_quantised() {
        return Err(Fail::asked(format!(
            "{name}: its weights are already quantised; give the model it was made from"
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
        packed::save(&args.out, &source.what(&folder), packing, &cpu, &weights)?;
        let lanes = |spec: &Spec| packed::layout(spec, packing).len(spec.rows, spec.cols);
        4 * source.plan.specs.iter().map(lanes).sum::<usize>() as u64
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
