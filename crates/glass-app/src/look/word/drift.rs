//! The same word in two texts: how its vectors drift apart, and which parts move them.

use std::io::Write as _;

use glass::config::Positions;
use glass::inspect::Inspector;
use glass::inspect::attribute::{Attribution, Component};
use glass::inspect::drift::{Drift, Word, drift};
use serde_json::json;

use super::{BAR, NAME, occurrences, placed};
use crate::args::LookArgs;
use crate::draw::columns::{bar_room, bars, fit, signed};
use crate::fail::Fail;
use crate::look::names::{self, Names};
use crate::look::page::{Page, tokens};
use crate::look::pictures::Picture;
use crate::look::{changes, charts, ids_of, lines};
use crate::model_arg::NamedModel;
use crate::out::Out;

/// The word of --word in two texts.
pub fn run(args: &LookArgs, model: &NamedModel, ids: &[u32], other: &str) -> Result<(), Fail> {
    let word = args.word.as_deref().unwrap_or_default();
    let others = ids_of(args, model, other.as_ref())?;
    let last = |ids: &[u32]| Ok::<_, Fail>(occurrences(model, ids, word, "--word")?.swap_remove(0));
    let (first, second) = (last(ids)?, last(&others)?);
    let mut inspector = Inspector::new(model, ids.len().max(others.len()), 1)?;
    let words = [Word { ids, positions: first }, Word { ids: &others, positions: second }];
    let shorter = if others.len() < ids.len() { &others } else { ids };
    let changes = changes::parse(args, model, &mut inspector, shorter)?;
    let [first, second] = words.clone();
    let found = drift(&mut inspector, first, second, &changes)?;
    if args.has_picture() {
        drawn_drift(args, model, word, &found, &words)?;
        if !args.json {
            return Ok(());
        }
    }
    let mut out = Out::new();
    if args.json {
        let parts = |found: &Attribution| {
            let part = |(component, value): &(Component, f64)| json!({"name": names::component(args.names.into(), *component), "value": value});
            json!({"parts": found.parts.iter().map(part).collect::<Vec<_>>(), "rest": found.rest(),
                   "positions": found.by_position()})
        };
        out.json(&json!({
            "positions": words.each_ref().map(|word| word.positions.end - 1),
            "tokens": words.each_ref().map(|word| word.positions.clone().collect::<Vec<_>>()), "cosine": found.cosine, "distance": found.distance,
            "first": parts(&found.first), "second": parts(&found.second),
        }))?;
        return out.done();
    }
    show_drift(&mut out, args, model, word, &found, &words)?;
    out.done()
}

fn show_drift(
    out: &mut Out,
    args: &LookArgs,
    model: &NamedModel,
    word: &str,
    found: &Drift,
    words: &[Word<'_>; 2],
) -> Result<(), Fail> {
    let [first, second] = words.each_ref().map(|of| placed(word, &of.positions));
    lines::note(out, &format!("TEXT: {first}; --beside: {second}{}", of_several(words)))?;
    let explained = "the cosine between the word's two vectors, layer by layer";
    writeln!(out)?;
    lines::heading(out, "drift", explained)?;
    let by_layer = by_layer(args.names.into(), found);
    let bar_of =
        bars(by_layer.iter().map(|(_, cosine)| *cosine).chain([1.0]), bar_room(out.columns(), NAME + 8, BAR));
    for (name, cosine) in &by_layer {
        writeln!(out, "{}{cosine:6.3}  {}", fit(name, NAME), bar_of(*cosine).trim_end())?;
    }
    let explained = format!(
        "what separates the two in the end, by {:.2}: each part's share, the sum of its shares in the first text and in the second",
        found.distance
    );
    writeln!(out)?;
    lines::heading(out, "what moved them", &explained)?;
    let parts = moved(found);
    let shown = &parts[..parts.len().min(args.top.into())];
    let bar_of =
        bars(shown.iter().map(|(_, first, second)| first + second), bar_room(out.columns(), NAME + 25, BAR));
    for (component, first, second) in shown {
        let both = first + second;
        let [all, one, other] = [both, *first, *second].map(|value| signed(value, 2));
        let line = format!("{all:>7} = {one:>6} {other:>6}  {}", bar_of(both));
        writeln!(out, "{}{}", fit(&names::component(args.names.into(), *component), NAME), line.trim_end())?;
    }
    let explained = "what heads add directly from each token of either text";
    writeln!(out)?;
    lines::heading(out, "by word", explained)?;
    let sources = by_word(model, found, words);
    let shown = &sources[..sources.len().min(args.top.into())];
    let bar_of = bars(shown.iter().map(|source| source.1), bar_room(out.columns(), NAME + 9, BAR));
    for (name, value) in shown {
        let line = format!("{}{:>7}  {}", fit(name, NAME), signed(*value, 2), bar_of(*value));
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// How the vector of a word of several tokens is computed, if there is one.
fn of_several(words: &[Word<'_>; 2]) -> &'static str {
    match words.iter().any(|word| word.positions.len() > 1) {
        true => "; the vector of a word of several tokens is their mean",
        false => "",
    }
}

fn by_layer(names: Names, found: &Drift) -> Vec<(String, f64)> {
    let layers = found.cosine.len() - 1;
    found.cosine.iter().enumerate().map(|(at, cosine)| (names::stream(names, at, layers), *cosine)).collect()
}

/// Every part's share in the first text and in the second, the largest sum first.
fn moved(found: &Drift) -> Vec<(Component, f64, f64)> {
    let both = found.first.parts.iter().zip(&found.second.parts);
    let mut parts: Vec<_> =
        both.map(|((component, first), (_, second))| (*component, *first, -second)).collect();
    parts.sort_by(|a, b| (b.1 + b.2).abs().total_cmp(&(a.1 + a.2).abs()));
    parts
}

/// What heads add directly from each token of either text, largest first.
fn by_word(model: &NamedModel, found: &Drift, words: &[Word<'_>; 2]) -> Vec<(String, f64)> {
    let mut sources = Vec::new();
    for ((word, found), sign) in words.iter().zip([&found.first, &found.second]).zip([1.0, -1.0]) {
        let text = if sign > 0.0 { "TEXT" } else { "--beside" };
        for (position, value) in found.by_position().into_iter().enumerate() {
            sources.push((format!("{text}: {position} {}", model.piece(word.ids[position])), sign * value));
        }
    }
    sources.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    sources
}

fn drawn_drift(
    args: &LookArgs,
    model: &NamedModel,
    word: &str,
    found: &Drift,
    words: &[Word<'_>; 2],
) -> Result<(), Fail> {
    let parts = moved(found);
    let (all, top) = (parts.len(), usize::from(args.top));
    let left_out = |all: usize, what: &str| charts::left_out(all, top, what);
    let parts = parts
        .into_iter()
        .map(|(part, first, second)| (names::component(args.names.into(), part), first + second));
    let sources = by_word(model, found, words);
    let changed = match &changes::in_words(args)[..] {
        [] => String::new(),
        changes => format!(" Both texts are of a changed run: {}.", changes.join("; ")),
    };
    let texts = words.each_ref().map(|word| tokens(model, word.ids));
    let positions = match model.config().positions {
        Positions::Learned => ", but for their positions",
        Positions::Rotary => "",
    };
    let page = Page {
        title: "How a word drifts".into(),
        before: format!("<p>TEXT, then --beside{}.</p>\n{}{}", of_several(words), texts[0], texts[1]),
        pictures: vec![
            Picture::new(
                format!("{word}: the cosine between its two vectors"),
                format!(
                    "One where they point the same way, layer by layer: both begin as the same embedding{positions}.{changed}"
                ),
                charts::layers(&by_layer(args.names.into(), found)),
            ),
            Picture::new(
                format!("What moved them {:.2} apart", found.distance),
                format!(
                    "Every part's share of the distance after the last block, of both texts together; violet is below zero and brings them \
                     closer.{}",
                    left_out(all, "part")
                ),
                charts::bars(&parts.take(top).collect::<Vec<_>>()),
            ),
            Picture::new(
                "From which word",
                format!(
                    "What heads add directly from each token of either text; violet is below zero.{}",
                    left_out(sources.len(), "token")
                ),
                charts::bars(&sources[..sources.len().min(top)]),
            ),
        ],
        after: String::new(),
    };
    page.write(args)
}
