//! `glass look`: shows what happens inside a model, from a text to the next token.

mod changes;
mod charts;
mod fitted;
pub mod grown;
mod json;
mod lines;
mod names;
mod options;
mod page;
mod parts;
mod pictures;
mod recorded;
mod seen;
mod sweep;
mod tour;
mod word;

use std::ffi::OsStr;

use glass::inspect::Inspector;

use crate::args::LookArgs;
use crate::fail::Fail;
use crate::input;
use crate::model_arg::NamedModel;
use crate::out::Out;
use seen::Seen;

/// Runs `glass look`.
pub fn run(args: &LookArgs) -> Result<(), Fail> {
    options::check(args)?;
    page::check_endings(args)?;
    if let Some(dir) = &args.train {
        return grown::run(args, dir);
    }
    let model = NamedModel::merged(args.model.as_deref(), &args.machine, &args.running)?;
    let model = model.starting(&args.start)?;
    if let Some(head) = &args.circuits {
        return parts::circuits(args, &model, head);
    }
    if let (Some(neuron), Some(data)) = (&args.neuron, &args.data) {
        return parts::neuron(args, &model, neuron, data);
    }
    if let (true, Some(data)) = (args.fit_lens, &args.data) {
        return fitted::fit(args, &model, data);
    }
    let (sites, text) = recorded::sites_and_text(args, model.config())?;
    let ids = ids(args, &model, text)?;
    if args.heads {
        return parts::heads(args, &model, &ids);
    }
    if let Some(kind) = args.sweep {
        return sweep::run(args, &model, &ids, kind);
    }
    if let Some(other) = &args.beside {
        return word::drift::run(args, &model, &ids, other);
    }
    if !args.of.is_empty() {
        return word::taken_in::run(args, &model, &ids);
    }
    if args.word.is_some() {
        return Err(Fail::asked("--word: give --beside TEXT or --of WORD too"));
    }
    page::check_head(args, model.config())?;
    let mut inspector = Inspector::new(&model, ids.len(), 1)?;
    let changes = changes::parse(args, &model, &mut inspector, &ids)?;
    let lens = fitted::asked(args, &model, &inspector)?;
    let recorded = match &args.out {
        Some(file) => Some(recorded::record(args, &mut inspector, &ids, &changes, &sites, file)?),
        None => None,
    };
    if recorded.is_some() && !args.json && !args.has_picture() {
        return Ok(());
    }
    let mut seen = Seen::look(args, &model, &mut inspector, &ids, changes)?;
    if let Some(lens) = &lens {
        seen.read_through(lens, &mut inspector)?;
    }
    if args.has_picture() {
        page::write(args, &seen)?;
    }
    let mut out = Out::new();
    if args.json {
        let mut document = json::document(&seen);
        if let Some(recorded) = recorded {
            document["recorded"] = recorded;
        }
        out.json(&document)?;
    } else if !args.has_picture() {
        tour::show(&mut out, &seen)?;
    }
    out.done()
}

fn ids(args: &LookArgs, model: &NamedModel, text: Option<&OsStr>) -> Result<Vec<u32>, Fail> {
    match &args.ids {
        Some(ids) => ids_of(args, model, OsStr::new(ids)),
        None => {
            let text = input::text_or_file(text, args.file.as_deref())?;
            encoded(args, model, &text.unwrap_or_default())
        }
    }
}

/// The ids of a text; if --ids is given, the text is ids too.
fn ids_of(args: &LookArgs, model: &NamedModel, text: &OsStr) -> Result<Vec<u32>, Fail> {
    match args.ids {
        Some(_) => fitting(model, input::ids("--ids", &text.to_string_lossy())?),
        None => encoded(args, model, &input::text(text)?),
    }
}

fn encoded(args: &LookArgs, model: &NamedModel, text: &[u8]) -> Result<Vec<u32>, Fail> {
    let ids = if text.is_empty() { Vec::new() } else { model.ids(text, args.special)? };
    fitting(model, ids)
}

/// Refuses a text that is empty or longer than the context.
fn fitting(model: &NamedModel, ids: Vec<u32>) -> Result<Vec<u32>, Fail> {
    let context = model.config().context;
    match ids.len() {
        0 => Err(Fail::asked("TEXT: it is empty; give at least one token")),
        len if len > context => Err(Fail::asked(format!(
            "TEXT: it has {len} tokens; the model's context holds {context}, so look at a part of it"
        ))),
        _ => Ok(ids),
    }
}
