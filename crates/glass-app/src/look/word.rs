//! One word's vector: how it takes in its context.

use std::io::Write as _;
use std::ops::Range;

use glass::backend::Cpu;
use glass::inspect::attribute::{Attribution, Component};
use glass::inspect::drift::{Carried, Drift, Word, carried, cosine, drift};
use glass::inspect::{Edit, Edits, Inspector, Record};
use glass::probe::Site;
use serde_json::json;

use super::page::{self, Page, tokens};
use super::pictures::{Picture, token};
use super::tour::piece;
use super::{changes, charts, ids_of};
use crate::args::LookArgs;
use crate::draw::columns::{bar, fit};
use crate::fail::Fail;
use crate::model_arg::Model;
use crate::out::Out;

/// Columns of a name, and of a bar.
const NAME: usize = 30;
const BAR: usize = 24;

/// The word of --word in two texts.
pub fn beside(args: &LookArgs, model: &Model, ids: &[u32], other: &str) -> Result<(), Fail> {
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
            sources.push((format!("{text}: {position} {}", piece(model, word.ids[position])), sign * value));
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

/// What heads carry from the words of --of into the word of --word, and what becomes of it without them.
pub fn taken_in(args: &LookArgs, model: &Model, ids: &[u32]) -> Result<(), Fail> {
    let word = args.word.as_deref().unwrap_or_default();
    let to = place(model, ids, word, "--word")?;
    let mut from = Vec::new();
    for of in &args.of {
        let tokens = places(model, ids, of, "--of")?;
        if tokens.end > to {
            return Err(Fail::asked(format!(
                "--of: {of:?} does not stand before {word:?}; a word takes in what stands before it"
            )));
        }
        from.extend(tokens);
    }
    let mut inspector = Inspector::new(model, ids.len(), 1)?;
    let found = carried(&mut inspector, ids, &from, to)?;
    let whole = vector(&mut inspector, ids, to, Edits::default())?;
    let layers = model.config().layers;
    // Every word before it in turn, so that what is named can be told from what is not.
    let mut without = Vec::new();
    for position in 0..to {
        let cuts = (0..layers).map(|layer| Edit::cut(layer, to..to + 1, position));
        without.push(cosine(&whole, &vector(&mut inspector, ids, to, Edits::new(cuts))?));
    }
    if page::is_wanted(args) {
        return drawn_taken_in(args, model, ids, to, &found, &without);
    }
    let mut out = Out::new();
    if args.json {
        let carried = found.iter().map(|c| {
            json!({"layer": c.layer, "head": c.head, "from": c.from, "share": c.share, "length": c.length, "part": c.part})
        });
        out.json(
            &json!({"position": to, "carried": carried.collect::<Vec<_>>(), "cosine_without": without}),
        )?;
        return out.done();
    }
    let piece = |position: usize| piece(model, ids[position]);
    let explained = format!("what heads carry into {}, by the length of what they add", piece(to));
    writeln!(out, "{}  {}", out.bold("taken in"), out.dim(&explained))?;
    let most = found.first().map_or(1.0, |carried| carried.length);
    for carried in found.iter().take(args.top.into()) {
        let head = format!("block.{}.attention.head.{}", carried.layer, carried.head);
        let from = fit(&format!("from {} {}", carried.from, piece(carried.from)), 22);
        let (share, length, part) = (100.0 * carried.share, carried.length, 100.0 * carried.part);
        let line = format!("{share:5.1} % of its attention, adds {length:6.2} ({part:4.1} % of the vector)");
        writeln!(out, "{}{from}{line}  {}", fit(&head, NAME), bar(length / most, BAR / 2).trim_end())?;
    }
    let explained =
        format!("the cosine of the last vector of {} with itself, where it does not see a word", piece(to));
    writeln!(out, "\n{}  {}", out.bold("without"), out.dim(&explained))?;
    for (position, cosine) in without.iter().enumerate() {
        let named = if from.contains(&position) { " ←" } else { "" };
        let name = fit(&format!("{position} {}", piece(position)), NAME);
        let line = format!("{name}{cosine:6.3}  {}{named}", bar(*cosine, BAR));
        writeln!(out, "{}", line.trim_end())?;
    }
    out.done()
}

fn drawn_taken_in(
    args: &LookArgs,
    model: &Model,
    ids: &[u32],
    to: usize,
    found: &[Carried],
    without: &[f64],
) -> Result<(), Fail> {
    let piece = |position: usize| token(model, ids[position]);
    let carried = found.iter().take(args.top.into()).map(|carried| {
        let Carried { layer, head, from, share, length, .. } = carried;
        let from = format!("{from} {}, {:.1} %", piece(*from), 100.0 * share);
        (format!("block.{layer}.attention.head.{head} from {from}"), *length)
    });
    let without = without.iter().enumerate();
    let without = without.map(|(position, cosine)| (format!("{position} {}", piece(position)), 1.0 - cosine));
    let page = Page {
        title: "What a word takes in".into(),
        before: tokens(model, ids),
        pictures: vec![
            Picture::new(
                format!("What heads carry into {}", piece(to)),
                "The length of what each adds to its vector, and the share of the head's attention that it takes.",
                charts::bars(&carried.collect::<Vec<_>>()),
            ),
            Picture::new(
                format!("{} without a word", piece(to)),
                "How far its last vector turns where it does not see a word: one less the cosine with itself.",
                charts::bars(&without.collect::<Vec<_>>()),
            ),
        ],
        after: String::new(),
    };
    page.write(args)
}

/// The vector that leaves the last block at a position.
fn vector(
    inspector: &mut Inspector<'_, Cpu>,
    ids: &[u32],
    position: usize,
    edits: Edits,
) -> Result<Vec<f32>, Fail> {
    let mut record = Record::of([Site::Residual]);
    inspector.run(&[ids], (edits, &mut record))?;
    Ok(record[Site::Residual].row(position).to_vec())
}

/// The position of a word's last token.
fn place(model: &Model, ids: &[u32], word: &str, option: &str) -> Result<usize, Fail> {
    Ok(places(model, ids, word, option)?.end - 1)
}

/// The positions of a word's tokens: of its last occurrence.
fn places(model: &Model, ids: &[u32], word: &str, option: &str) -> Result<Range<usize>, Fail> {
    let mut text = Vec::new();
    let ends: Vec<usize> = ids
        .iter()
        .map(|&id| {
            text.extend_from_slice(model.bytes(id));
            text.len()
        })
        .collect();
    let mut starts = (0..text.len()).rev().filter(|_| !word.is_empty());
    match starts.find(|&start| text[start..].starts_with(word.as_bytes())) {
        Some(start) => {
            let (end, token_of) = (start + word.len(), |byte| ends.partition_point(|&end| end <= byte));
            Ok(token_of(start)..token_of(end - 1) + 1)
        }
        None => Err(Fail::asked(format!("{option}: {word:?} does not stand in the text"))),
    }
}
