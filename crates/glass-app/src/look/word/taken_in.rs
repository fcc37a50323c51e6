//! What a word takes in from the words before it, and what it is without them.

use std::io::Write as _;

use glass::backend::Cpu;
use glass::inspect::drift::{Carried, carried, cosine};
use glass::inspect::{Edit, Edits, Inspector, Record};
use glass::probe::Site;
use serde_json::json;

use super::{BAR, NAME, place, places};
use crate::args::LookArgs;
use crate::draw::columns::{bar, fit};
use crate::fail::Fail;
use crate::look::charts;
use crate::look::page::{self, Page, tokens};
use crate::look::pictures::{Picture, token};
use crate::model_arg::Model;
use crate::out::Out;

/// What heads carry from the words of --of into the word of --word, and what becomes of it without them.
pub fn run(args: &LookArgs, model: &Model, ids: &[u32]) -> Result<(), Fail> {
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
    let piece = |position: usize| model.piece(ids[position]);
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
