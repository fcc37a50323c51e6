//! Parses the changes to make during the pass.

use std::ops::Range;

use glass::backend::Cpu;
use glass::inspect::edit::Change;
use glass::inspect::{Edit, Edits, Inspector, Record};
use glass::probe::{Part, Site};
use glass::tokens::Special;

use super::ids_of;
use crate::args::LookArgs;
use crate::fail::Fail;
use crate::model_arg::NamedModel;
use crate::out::count;

/// Every change that the arguments ask for.
pub fn parse(
    args: &LookArgs,
    model: &NamedModel,
    inspector: &mut Inspector<'_, Cpu>,
    ids: &[u32],
) -> Result<Edits, Fail> {
    let mut edits = Vec::new();
    for part in &args.ablate {
        edits.push(silence(part, model, ids.len())?);
    }
    for edge in &args.cut {
        edits.extend(cut(edge, model.config().layers, ids.len())?);
    }
    for asked in &args.steer {
        edits.push(steer(asked, model)?);
    }
    if let Some(from) = &args.from {
        let other = ids_of(args, model, from.as_ref())?;
        if other.len() != ids.len() {
            return Err(Fail::asked(format!(
                "--from: it has {}, TEXT has {}; a patch is at the same position in both",
                count(other.len(), "token"),
                ids.len()
            )));
        }
        for site in &args.patch {
            edits.push(patch(site, inspector, &other)?);
        }
    }
    Ok(Edits::new(edits))
}

/// What the arguments change, a phrase for each.
pub fn in_words(args: &LookArgs) -> Vec<String> {
    let mut said: Vec<String> = args.ablate.iter().map(|part| format!("{part} is ablated")).collect();
    said.extend(args.cut.iter().map(|edge| {
        let (layers, edge) = match edge.split_once('@') {
            Some((block, edge)) => (format!("in {}", block.replace('.', " ")), edge),
            None => ("in all blocks".into(), &edge[..]),
        };
        match edge.split_once(':') {
            Some((key, query)) => format!("position {key} is hidden from position {query} {layers}"),
            None => format!("position {edge} is hidden from later positions {layers}"),
        }
    }));
    said.extend(args.steer.iter().map(|asked| {
        let mut parts = asked.splitn(3, ':');
        let mut next = || parts.next().unwrap_or_default();
        let (layer, strength, text) = (next(), next(), next());
        format!("{strength} times the direction of {text:?} is added to what enters block {layer}")
    }));
    let from = args.from.as_deref().unwrap_or_default();
    said.extend(args.patch.iter().map(|site| format!("{site} is taken from {from:?}")));
    said
}

/// `block.3.attention.head.5@4-7`
fn silence(asked: &str, model: &NamedModel, len: usize) -> Result<Edit, Fail> {
    let wrong = || {
        Fail::asked(format!(
            "--ablate: {asked:?} is not a part; give block.3.attention, block.3.attention.head.5, block.3.mlp or \
             block.3.mlp.neuron.17 (or L3H5, blocks.3.hook_attn_out, blocks.3.hook_mlp_out), with @4 or @4-7 after it for some positions"
        ))
    };
    let config = model.config();
    let (part, positions) = positions("--ablate", asked, len)?;
    let part = ours(part);
    let words: Vec<&str> = part.split('.').collect();
    let number = |word: &str, what: &str, most: usize| match word.parse::<usize>() {
        Ok(number) if number < most => Ok(number),
        Ok(number) => {
            let whole = if what == "block" { "the model" } else { "a block" };
            let has = count(most, what);
            Err(Fail::asked(format!(
                "--ablate: {asked:?} names {what} {number}; {whole} has {has}, counted from 0"
            )))
        }
        Err(_) => Err(wrong()),
    };
    let ["block", layer, rest @ ..] = &words[..] else { return Err(wrong()) };
    let layer = number(layer, "block", config.layers)?;
    let edit = match rest {
        ["attention"] => Edit::silence_attention(layer),
        ["attention", "head", head] => {
            Edit::silence_head(config, layer, number(head, "head", config.heads.query)?)
        }
        ["mlp"] => Edit::silence_mlp(layer),
        ["mlp", "neuron", neuron] => Edit::silence_neuron(layer, number(neuron, "neuron", config.mlp_width)?),
        _ => return Err(wrong()),
    };
    Ok(match positions {
        Some(positions) => edit.at(positions),
        None => edit,
    })
}

/// Glass's name of a part that is given by TransformerLens's name.
fn ours(part: &str) -> String {
    let head = part.strip_prefix('L').and_then(|rest| rest.split_once('H'));
    if let Some((layer, head)) = head {
        return format!("block.{layer}.attention.head.{head}");
    }
    let inside = part.strip_prefix("blocks.").and_then(|rest| rest.split_once('.'));
    match inside {
        Some((layer, "hook_attn_out" | "attn.hook_out")) => format!("block.{layer}.attention"),
        Some((layer, "hook_mlp_out" | "mlp.hook_out")) => format!("block.{layer}.mlp"),
        _ => part.into(),
    }
}

/// `4:7`, `4`, `block.3@4:7`
fn cut(asked: &str, layers: usize, len: usize) -> Result<Vec<Edit>, Fail> {
    let wrong = || {
        Fail::asked(format!(
            "--cut: {asked:?} is not an edge; give KEY:QUERY, as in 2:7 (position 7 does not see 2), 2 (no later position sees 2), or \
             block.3@2:7; {}",
            positions_of(len)
        ))
    };
    let (layers, edge) = match asked.split_once('@') {
        None => (0..layers, asked),
        Some((block, edge)) => {
            let layer =
                block.strip_prefix("block.").and_then(|layer| layer.parse().ok()).ok_or_else(wrong)?;
            if layer >= layers {
                return Err(Fail::asked(format!(
                    "--cut: {asked:?} names block {layer}; the model has {}, counted from 0",
                    count(layers, "block")
                )));
            }
            (layer..layer + 1, edge)
        }
    };
    let (key, query) = edge.split_once(':').map_or((edge, None), |(key, query)| (key, Some(query)));
    let key: usize = key.parse().map_err(|_| wrong())?;
    let queries = match query {
        None => key + 1..len,
        Some(query) => {
            let query: usize = query.parse().map_err(|_| wrong())?;
            query..query.saturating_add(1)
        }
    };
    let last = query.and(queries.end.checked_sub(1)).unwrap_or(key);
    if let Some(missing) = [key, last].into_iter().find(|&position| position >= len) {
        return Err(Fail::asked(format!(
            "--cut: {asked:?}: position {missing} does not exist; {}",
            positions_of(len)
        )));
    }
    // A position always sees itself: with nothing to look at there would be no pattern.
    if queries.start <= key {
        return Err(Fail::asked(format!(
            "--cut: {asked:?}: the query {last} does not come after the key {key}; give KEY:QUERY with a later QUERY"
        )));
    }
    if queries.is_empty() {
        return Err(Fail::asked(format!(
            "--cut: {asked:?}: no position comes after {key}, which is the last one"
        )));
    }
    Ok(layers.map(|layer| Edit::cut(layer, queries.clone(), key)).collect())
}

/// `3:4.5: happy`
fn steer(asked: &str, model: &NamedModel) -> Result<Edit, Fail> {
    let wrong = || Fail::asked(format!("--steer: {asked:?} is not BLOCK:STRENGTH:TEXT, as in 3:4.5:happy"));
    let mut parts = asked.splitn(3, ':');
    let (Some(layer), Some(strength), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(wrong());
    };
    let layer: usize = layer.parse().map_err(|_| wrong())?;
    let strength: f32 = strength.parse().map_err(|_| wrong())?;
    let ids = model.tokenizer()?.encode(text, Special::Plain);
    let layers = model.config().layers;
    if layer >= layers || ids.is_empty() || !strength.is_finite() {
        return Err(Fail::asked(format!(
            "--steer: {asked:?} needs a block from 0 to {}, a finite strength, and a text",
            layers - 1
        )));
    }
    let site = Site::residual(layer, layers);
    let mut record = Record::of([site]);
    Inspector::new(model, ids.len(), 1)?.run(&[&ids], &mut record)?;
    let vector = record.get(site)?.row(ids.len() - 1);
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    Ok(Edit::steer(layer, vector.iter().map(|x| x * strength / length).collect()))
}

/// `block.3.attention.z@4-7`
fn patch(asked: &str, inspector: &mut Inspector<'_, Cpu>, other: &[u32]) -> Result<Edit, Fail> {
    let (name, positions) = positions("--patch", asked, other.len())?;
    let site = Site::named(name, inspector.model().config().layers)?;
    let beside = matches!(site, Site::Block(_, Part::Contribution));
    if site.is_square() && positions.is_some() || beside {
        return Err(Fail::asked(format!(
            "--patch: {asked:?} cannot be patched; scores and patterns are patched at all positions (leave out @), contributions of heads by \
             attention.z"
        )));
    }
    let mut record = inspector.record([site]);
    inspector.run(&[other], &mut record)?;
    let matrix = record.get(site)?;
    Ok(match positions {
        None => Edit::of(site, Change::ReplaceAll(matrix.values.to_vec())),
        Some(positions) => {
            let rows = positions.start * matrix.cols..positions.end * matrix.cols;
            Edit::replace(site, matrix.values[rows].to_vec()).at(positions)
        }
    })
}

/// The part before `@`, and the positions after it.
fn positions<'a>(option: &str, asked: &'a str, len: usize) -> Result<(&'a str, Option<Range<usize>>), Fail> {
    let Some((part, positions)) = asked.split_once('@') else { return Ok((asked, None)) };
    let (first, last) = positions.split_once('-').unwrap_or((positions, positions));
    match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last && last < len => Ok((part, Some(first..last + 1))),
        _ => Err(Fail::asked(format!(
            "{option}: {asked:?} names positions that do not exist; {}",
            positions_of(len)
        ))),
    }
}

/// The positions of a text, for a sentence.
fn positions_of(len: usize) -> String {
    match len {
        1 => "TEXT has only position 0".into(),
        _ => format!("TEXT has positions 0 to {}", len - 1),
    }
}
