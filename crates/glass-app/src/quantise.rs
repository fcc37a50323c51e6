//! `glass quantise`: a model's weights in fewer bits.

use std::io::Write as _;

use glass::model::Gpt;
use glass::weights::save::Save;
use glass::weights::{Frozen, packed};
use serde_json::json;

use crate::args::QuantiseArgs;
use crate::fail::Fail;
use crate::model_arg;
use crate::out::{Out, bytes, number};

/// Packs, and says what it came to.
pub fn run(args: &QuantiseArgs) -> Result<(), Fail> {
    let (packing, name) = (args.to.packing(), model_arg::name(args.model.as_deref()));
    let folder = model_arg::folder(args.model.as_deref())?;
    if let Some(packed) = folder.packing() {
        return Err(Fail::asked(format!(
            "{name}: its weights are packed already ({}); give the model it was made from",
            packed.name()
        )));
    }
    let out_dir = args.out.display();
    if args.out.join("config.json").exists() {
        return Err(Fail::asked(format!("--out: {out_dir} holds a model already; name a new folder")));
    }
    let (gpt, plan) = Gpt::plan(folder.config());
    gpt.can_run()?;
    folder.check(&plan)?;
    let cpu = model_arg::cpu(&args.machine);
    let weights = Frozen::load(&cpu, &plan, packing, &|spec, into| folder.read(spec, into))?;
    let tokenizer = folder.tokenizer()?;
    let template = folder.template()?;
    let what = Save {
        config: folder.config(),
        plan: &plan,
        dtype: folder.dtype(),
        tokenizer: tokenizer.as_ref(),
        template: template.as_ref().map(|template| template.source()),
        end_of_text: tokenizer.as_ref().and_then(|tokenizer| tokenizer.end_of_text()),
        generation: Some(folder.generation()),
    };
    packed::save(&args.out, &what, packing, &cpu, &weights)?;
    let sizes = plan.specs.iter().map(|spec| packed::layout(spec, packing).len(spec.rows, spec.cols));
    let (size, from) = (4 * sizes.sum::<usize>() as u64, (plan.len() * folder.dtype().bytes()) as u64);
    let bits = 8.0 * size as f64 / plan.len() as f64;
    let mut out = Out::new();
    if args.json {
        out.json(&json!({"out": args.out, "packing": packing.name(), "weights": plan.len(), "bytes": size,
                         "bits_per_weight": bits, "from_bytes": from}))?;
    } else {
        let (weights, before, after) = (number(plan.len() as u64), bytes(from), bytes(size));
        writeln!(
            out,
            "{out_dir}: {weights} weights as {}, {after} for {before}: {bits:.2} bits a weight",
            packing.name()
        )?;
    }
    out.done()
}
