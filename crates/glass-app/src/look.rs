//! `glass look`: what happened inside, from the words to the next word.

mod changes;
mod charts;
pub mod grown;
mod json;
mod page;
mod parts;
mod pictures;
mod seen;
mod sweep;
mod tour;
mod word;

use std::ffi::OsStr;
use std::path::Path;

use glass::backend::Cpu;
use glass::inspect::{Inspector, Record};
use glass::probe::Site;
use glass::tokens::Special;

use crate::args::{CacheArgs, LookArgs};
use crate::fail::{Fail, say};
use crate::input;
use crate::model_arg::Model;
use crate::out::Out;
use seen::Seen;

/// Looks, and shows what was asked for.
pub fn run(args: &LookArgs) -> Result<(), Fail> {
    if let Some(dir) = &args.train {
        return grown::run(args, dir);
    }
    let model = Model::open(args.model.as_deref(), &args.machine, &CacheArgs { cache: None })?;
    let lists = [
        ("--heads", args.heads),
        ("--circuits", args.circuits.is_some()),
        ("--neuron", args.neuron.is_some()),
    ];
    if let Some((option, _)) = lists.iter().find(|(_, asked)| *asked && page::is_wanted(args)) {
        let why = "it is a list, without a picture; leave --svg, --png and --html out";
        return Err(Fail::asked(format!("{option}: {why}")));
    }
    if let Some(head) = &args.circuits {
        return parts::circuits(args, &model, head);
    }
    if let (Some(neuron), Some(data)) = (&args.neuron, &args.data) {
        return parts::neuron(args, &model, neuron, data);
    }
    let ids = ids(args, &model)?;
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
        return Err(Fail::asked("--word: say what to look at, with --beside TEXT or --of WORD"));
    }
    let mut inspector = Inspector::new(&model, ids.len(), 1)?;
    let changes = changes::parse(args, &model, &mut inspector, &ids)?;
    if let Some(file) = &args.out {
        return record(args, &mut inspector, &ids, changes, file);
    }
    let seen = Seen::look(args, &model, &mut inspector, &ids, changes)?;
    if page::is_wanted(args) {
        return page::write(args, &seen);
    }
    let mut out = Out::new();
    match args.json {
        true => out.json(&json::document(&seen))?,
        false => tour::show(&mut out, &seen)?,
    }
    out.done()
}

fn ids(args: &LookArgs, model: &Model) -> Result<Vec<u32>, Fail> {
    let text = args.ids.as_deref().map(OsStr::new).or(args.text.as_deref());
    ids_of(args, model, text.unwrap_or_default())
}

/// The ids of a text; where --ids is given, a text is ids too.
fn ids_of(args: &LookArgs, model: &Model, text: &OsStr) -> Result<Vec<u32>, Fail> {
    let ids = match args.ids {
        Some(_) => input::ids("--ids", &text.to_string_lossy())?,
        None => {
            let text = input::text(text)?;
            let special = if args.special { Special::Allowed } else { Special::Plain };
            model.tokenizer()?.encode_parallel(&text, special)
        }
    };
    let context = model.config().context;
    match ids.len() {
        0 => Err(Fail::asked("TEXT: it is empty; there is nothing to look at")),
        len if len > context => Err(Fail::asked(format!(
            "TEXT: it has {len} tokens; the model's context holds {context}, so look at a part of it"
        ))),
        _ => Ok(ids),
    }
}

/// Sites into a file.
fn record(
    args: &LookArgs,
    inspector: &mut Inspector<'_, Cpu>,
    ids: &[u32],
    changes: glass::inspect::Edits,
    file: &Path,
) -> Result<(), Fail> {
    let config = inspector.model().config();
    let (all, heads) = (Site::all(config.layers), config.heads.query);
    let mut wanted = Vec::new();
    for pattern in &args.record {
        let fitting: Vec<Site> = all
            .iter()
            .copied()
            .filter(|site| fits(pattern.as_bytes(), site.to_string().as_bytes()))
            .collect();
        if fitting.is_empty() {
            let named = pattern.parse::<Site>().map(|site| {
                Fail::asked(format!("--record: {site} is not there; the model has {} blocks", config.layers))
            });
            return Err(named.unwrap_or_else(Fail::from));
        }
        wanted.extend(fitting);
    }
    let mut record = Record::of(wanted);
    inspector.run(&[ids], (changes, &mut record))?;
    record.save(file, heads)?;
    let numbers: usize = record.sites().map(|(_, matrix)| matrix.values.len()).sum();
    say(&format!(
        "{}: {} sites, {} numbers",
        file.display(),
        record.sites().count(),
        crate::out::number(numbers as u64)
    ));
    Ok(())
}

/// Whether a name is of a pattern, in which `*` stands for anything.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [b'*', rest @ ..] => (0..=name.len()).any(|skipped| fits(rest, &name[skipped..])),
        [first, rest @ ..] => name.first() == Some(first) && fits(rest, &name[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_anything() {
        let fit = |pattern: &str, name: &str| fits(pattern.as_bytes(), name.as_bytes());
        assert!(fit("block.*.mlp.*", "block.11.mlp.out") && fit("*", "") && fit("a*c*", "abc"));
        assert!(!fit("block.1.*", "block.11.mlp.out") && !fit("norm", "block.1.mlp.norm") && !fit("a", ""));
    }
}
