//! The same change tried at every place: which place restores another text's prediction, or loses the text's own.

use std::io::Write as _;

use glass::backend::Cpu;
use glass::inspect::Inspector;
use glass::inspect::sweep::{hide_positions, patch_heads, patch_residual};
use glass::next_token::{most_probable, score};
use glass::probe::{Part, Site};
use serde_json::json;

use super::page::{self, Page, tokens};
use super::pictures::Picture;
use super::{charts, ids_of, lines, names, seen};
use crate::args::{LookArgs, SweepKind};
use crate::draw::columns::{bar_room, bars, fit, signed};
use crate::draw::svg::label;
use crate::fail::Fail;
use crate::model_arg::NamedModel;
use crate::out::{Out, number};

/// Positions per pass, which limits how many places are tried together.
const ROWS: usize = 2048;

/// Tries every place, and shows the effect of each.
pub fn run(args: &LookArgs, model: &NamedModel, ids: &[u32], kind: SweepKind) -> Result<(), Fail> {
    if args.has_picture() {
        page::few(ids.len())?;
    }
    let sequences = (ROWS / ids.len()).max(1);
    let mut inspector = Inspector::new(model, sequences * ids.len(), sequences)?;
    let clean = match (&args.from, kind) {
        (_, SweepKind::Words) => None,
        (Some(from), _) => Some(ids_of(args, model, from.as_ref())?),
        (None, _) => {
            return Err(Fail::asked(
                "--sweep: heads and residual are patched from another text; give --from TEXT with the same number of tokens",
            ));
        }
    };
    let (token, against) = asked(args, model, &mut inspector, clean.as_deref().unwrap_or(ids))?;
    let metric = |logits: &[f32]| match against {
        Some(against) => f64::from(logits[token as usize]) - f64::from(logits[against as usize]),
        None => score(logits, token).map_or(f64::NAN, |scored| scored.logprob),
    };
    let (before, clean, after) = match (kind, &clean) {
        (SweepKind::Heads, Some(clean)) => {
            let sweep = patch_heads(&mut inspector, clean, ids, &metric)?;
            (sweep.before, Some(sweep.clean), sweep.after)
        }
        (SweepKind::Residual, Some(clean)) => {
            let sweep = patch_residual(&mut inspector, clean, ids, &metric)?;
            (sweep.before, Some(sweep.clean), sweep.after)
        }
        _ => {
            let (before, after) = hide_positions(&mut inspector, ids, &metric)?;
            (before, None, vec![after])
        }
    };
    let name = |token: u32| model.piece(token);
    let what = match against {
        Some(against) => format!("the logit of {} above that of {}", name(token), name(against)),
        None => format!("the logarithm of the probability of {}", name(token)),
    };
    if args.has_picture() {
        drawn(args, model, ids, kind, (&what, before), &after)?;
    }
    let mut out = Out::new();
    if args.json {
        out.json(&json!({"before": before, "clean": clean, "after": after}))?;
    }
    if args.json || args.has_picture() {
        return out.done();
    }
    let from = clean.map_or(String::new(), |clean| format!("; of --from, {clean:.3}"));
    lines::heading(&mut out, &format!("{before:.3}"), &format!("{what}, with nothing changed{from}"))?;
    let mut places: Vec<(usize, usize, f64)> = Vec::new();
    for (layer, row) in after.iter().enumerate() {
        places.extend(row.iter().enumerate().map(|(place, value)| (layer, place, value - before)));
    }
    places.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()));
    let (all, shown) = (places.len(), usize::from(args.top));
    places.truncate(shown);
    let bar_of = bars(places.iter().map(|place| place.2), bar_room(out.columns(), 42, 24));
    for (layer, place, change) in places.iter().copied() {
        let word = || format!("{place} {}", name(ids[place]));
        let place = match kind {
            SweepKind::Heads => names::head(args.names.into(), layer, place),
            SweepKind::Residual => {
                let site = Site::Block(layer, Part::Residual).name(args.names.into(), after.len());
                format!("{site}@{}", word())
            }
            SweepKind::Words => format!("without {}", word()),
        };
        let line = format!("{}{:>8}  {}", fit(&place, 32), signed(change, 3), bar_of(change));
        writeln!(out, "{}", line.trim_end())?;
    }
    if all > shown {
        lines::note(&mut out, &format!("{} more with a smaller change", number((all - shown) as u64)))?;
    }
    out.done()
}

/// Draws every place as a disc, or every token as a bar.
fn drawn(
    args: &LookArgs,
    model: &NamedModel,
    ids: &[u32],
    kind: SweepKind,
    (what, before): (&str, f64),
    after: &[Vec<f64>],
) -> Result<(), Fail> {
    let words: Vec<String> = ids.iter().map(|&id| label(&model.piece(id))).collect();
    let changes: Vec<Vec<f64>> =
        after.iter().map(|row| row.iter().map(|value| value - before).collect()).collect();
    let blocks: Vec<String> = (0..changes.len()).map(|layer| format!("block {layer}")).collect();
    let all = changes.iter().flatten().copied().filter(|change| change.is_finite());
    let largest = all.fold(0.0, |most: f64, change| if change.abs() > most.abs() { change } else { most });
    let shape = if kind == SweepKind::Words { "A bar's length" } else { "A disc's area" };
    let explained = format!(
        "The change of {what}, which is {before:.3} without a change. {shape} is the size of the change (the largest: {}); violet: it \
         falls.",
        signed(largest, 3)
    );
    let picture = match kind {
        SweepKind::Words => {
            let rows: Vec<(String, f64)> = words.into_iter().zip(changes[0].iter().copied()).collect();
            Picture::new("Each token hidden from later ones", explained, charts::bars(&rows))
        }
        SweepKind::Heads => {
            let heads: Vec<String> = (0..changes[0].len()).map(|head| format!("head {head}")).collect();
            let svg = charts::grid(&blocks, &heads, &changes);
            Picture::new("Each head patched from the other text", explained, svg)
        }
        SweepKind::Residual => {
            let svg = charts::grid(&blocks, &words, &changes);
            Picture::new("The residual stream before each block, patched at each position", explained, svg)
        }
    };
    let title = "The same change at every place".into();
    Page { title, before: tokens(model, ids), pictures: vec![picture], after: String::new() }.write(args)
}

/// The requested token, by default the most probable next one, and the one it is compared with.
fn asked(
    args: &LookArgs,
    model: &NamedModel,
    inspector: &mut Inspector<'_, Cpu>,
    ids: &[u32],
) -> Result<(u32, Option<u32>), Fail> {
    let named = seen::asked(args, model)?;
    match named {
        (Some(token), against) => Ok((token, against)),
        (None, against) => {
            inspector.run(&[ids], ())?;
            Ok((most_probable(&inspector.next_logits()), against))
        }
    }
}
