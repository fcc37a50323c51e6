//! The same word in two texts: how far its vectors drift apart, and what moved them.

use std::io::Write as _;

use glass::inspect::Inspector;
use glass::inspect::attribute::{Attribution, Component};
use glass::inspect::drift::{Drift, Word, drift};
use serde_json::json;

use super::{BAR, NAME, place};
use crate::args::LookArgs;
use crate::draw::columns::{bar, fit};
use crate::fail::Fail;
use crate::look::page::{self, Page, tokens};
use crate::look::pictures::Picture;
use crate::look::{changes, charts, ids_of};
use crate::model_arg::Model;
use crate::out::Out;

/// The word of --word in two texts.
pub fn run(args: &LookArgs, model: &Model, ids: &[u32], other: &str) -> Result<(), Fail> {
    let word = args.word.as_deref().unwrap_or_default();
    let others = ids_of(args, model, other.as_ref())?;
    let (first, second) = (place(model, ids, word, "--word")?, place(model, &others, word, "--word")?);
    let mut inspector = Inspector::new(model, ids.len().max(others.len()), 1)?;
    let (first, second) = (Word { ids, position: first }, Word { ids: &others, position: second });
    let shorter = if others.len() < ids.len() { &others } else { ids };
    let changes = changes::parse(args, model, &mut inspector, shorter)?;
    let found = drift(&mut inspector, first, second, &changes)?;
    if page::is_wanted(args) {
        return drawn_drift(args, model, word, &found, [first, second]);
    }
    let mut out = Out::new();
    if args.json {
        let parts = |found: &Attribution| {
            let part = |(component, value): &(Component, f64)| json!({"name": component.to_string(), "value": value});
            json!({"parts": found.parts.iter().map(part).collect::<Vec<_>>(), "positions": found.by_position()})
        };
        out.json(&json!({
            "positions": [first.position, second.position], "cosine": found.cosine, "distance": found.distance,
            "first": parts(&found.first), "second": parts(&found.second),
        }))?;
        return out.done();
    }
    show_drift(&mut out, args, model, word, &found, [first, second])?;
    out.done()
}

fn show_drift(
    out: &mut Out,
    args: &LookArgs,
    model: &Model,
    word: &str,
    found: &Drift,
    words: [Word<'_>; 2],
) -> Result<(), Fail> {
    let explained = format!("the cosine between the two vectors of {word:?}, layer by layer");
    writeln!(out, "{}  {}", out.bold("drift"), out.dim(&explained))?;
    for (name, cosine) in by_layer(found) {
        writeln!(out, "{}{cosine:6.3}  {}", fit(&name, NAME), bar(cosine, BAR).trim_end())?;
    }
    let explained = format!(
        "what parts the two in the end, {:.2} apart: every part's share, in the first text and in the second",
        found.distance
    );
    writeln!(out, "\n{}  {}", out.bold("what moved them"), out.dim(&explained))?;
    let parts = moved(found);
    let most = parts.first().map_or(1.0, |(_, first, second)| (first + second).abs());
    for (component, first, second) in parts.iter().take(args.top.into()) {
        let both = first + second;
        let line = format!("{both:+7.2} = {first:+6.2} {second:+6.2}  {}", bar(both.abs() / most, BAR));
        writeln!(out, "{}{}", fit(&component.to_string(), NAME), line.trim_end())?;
    }
    let explained = "what heads brought straight from each word of either text";
    writeln!(out, "\n{}  {}", out.bold("by word"), out.dim(explained))?;
    let sources = by_word(model, found, words);
    let most = sources.first().map_or(1.0, |source| source.1.abs());
    for (name, value) in sources.iter().take(args.top.into()) {
        let line = format!("{}{value:+7.2}  {}", fit(name, NAME), bar(value.abs() / most, BAR));
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn by_layer(found: &Drift) -> Vec<(String, f64)> {
    let name =
        |layer: usize| if layer == 0 { "embedding".into() } else { format!("after block {}", layer - 1) };
    found.cosine.iter().enumerate().map(|(layer, cosine)| (name(layer), *cosine)).collect()
}

/// Every part's share in the first text and in the second, the greatest together first.
fn moved(found: &Drift) -> Vec<(Component, f64, f64)> {
    let both = found.first.parts.iter().zip(&found.second.parts);
    let mut parts: Vec<_> =
        both.map(|((component, first), (_, second))| (*component, *first, -second)).collect();
    parts.sort_by(|a, b| (b.1 + b.2).abs().total_cmp(&(a.1 + a.2).abs()));
    parts
}

/// What came straight from each word of either text, the most first.
fn by_word(model: &Model, found: &Drift, words: [Word<'_>; 2]) -> Vec<(String, f64)> {
    let mut sources = Vec::new();
    for ((word, found), sign) in words.into_iter().zip([&found.first, &found.second]).zip([1.0, -1.0]) {
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
    model: &Model,
    word: &str,
    found: &Drift,
    words: [Word<'_>; 2],
) -> Result<(), Fail> {
    let spaced = |name: String| name.replace('␣', "·");
    let parts =
        moved(found).into_iter().map(|(component, first, second)| (component.to_string(), first + second));
    let sources = by_word(model, found, words).into_iter().map(|(name, value)| (spaced(name), value));
    let top = args.top.into();
    let texts = words.map(|word| tokens(model, word.ids));
    let page = Page {
        title: "How a word drifts".into(),
        before: format!("<p>TEXT, then --beside.</p>\n{}{}", texts[0], texts[1]),
        pictures: vec![
            Picture::new(
                format!("{word}: the cosine between its two vectors"),
                "One where they point the same way, layer by layer: both begin as the same embedding, but for their positions.",
                charts::layers(&by_layer(found)),
            ),
            Picture::new(
                format!("What moved them {:.2} apart", found.distance),
                "Every part's share of the distance behind the last block, in both texts together; violet holds them together.",
                charts::bars(&parts.take(top).collect::<Vec<_>>()),
            ),
            Picture::new(
                "From which word",
                "What heads brought straight from each word of either text.",
                charts::bars(&sources.take(top).collect::<Vec<_>>()),
            ),
        ],
        after: String::new(),
    };
    page.write(args)
}
