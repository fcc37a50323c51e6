//! What a word takes in from earlier words, and what it would be without them.

use std::io::Write as _;
use std::ops::Range;

use glass::backend::Cpu;
use glass::inspect::drift::{Carried, Word, carried, cosine};
use glass::inspect::{Edit, Edits, Inspector};
use glass::probe::Site;
use serde_json::json;

use super::{BAR, NAME, occurrences, placed};
use crate::args::LookArgs;
use crate::draw::columns::{bar, bar_room, bars, fit, percent};
use crate::fail::Fail;
use crate::look::page::{Page, tokens};
use crate::look::pictures::Picture;
use crate::look::{charts, lines, names};
use crate::model_arg::NamedModel;
use crate::out::Out;

/// A word of --of and its positions.
struct Of<'a> {
    word: &'a str,
    places: Range<usize>,
}

/// What heads move from the words of --of into the word of --word, and how it changes without them.
pub fn run(args: &LookArgs, model: &NamedModel, ids: &[u32]) -> Result<(), Fail> {
    let (to, ofs) = found(args, model, ids)?;
    let from: Vec<usize> = ofs.iter().flat_map(|of| of.places.clone()).collect();
    let mut inspector = Inspector::new(model, ids.len(), 1)?;
    let found = carried(&mut inspector, ids, &from, to.clone())?;
    let whole = vector(&mut inspector, ids, &to, Edits::default())?;
    let layers = model.config().layers;
    let mut without = |hidden: Range<usize>| -> Result<f64, Fail> {
        let cuts = (0..layers).flat_map(|layer| {
            let to = to.clone();
            hidden.clone().map(move |key| Edit::cut(layer, to.clone(), key))
        });
        Ok(cosine(&whole, &vector(&mut inspector, ids, &to, Edits::new(cuts))?))
    };
    let words = ofs.iter().map(|of| without(of.places.clone())).collect::<Result<Vec<_>, _>>()?;
    // Every earlier token in turn, so that the named words can be compared with the others.
    let tokens = (0..to.start).map(|at| without(at..at + 1)).collect::<Result<Vec<_>, _>>()?;
    let seen = TakenIn { args, model, ids, to, ofs, found, words, tokens };
    if args.has_picture() {
        seen.drawn()?;
    }
    match (args.json, args.has_picture()) {
        (true, _) => seen.json(),
        (false, true) => Ok(()),
        (false, false) => seen.show(),
    }
}

/// The occurrences that make the request possible: for --word, the last one that follows all words of --of; for
/// each of those, the last one before it.
fn found<'a>(
    args: &'a LookArgs,
    model: &NamedModel,
    ids: &[u32],
) -> Result<(Range<usize>, Vec<Of<'a>>), Fail> {
    let word = args.word.as_deref().unwrap_or_default();
    let places: Vec<_> =
        args.of.iter().map(|of| occurrences(model, ids, of, "--of")).collect::<Result<_, _>>()?;
    let mut missing = "";
    for to in occurrences(model, ids, word, "--word")? {
        let mut ofs = Vec::with_capacity(args.of.len());
        for (word, places) in args.of.iter().zip(&places) {
            match places.iter().find(|places| places.end <= to.start) {
                Some(places) => ofs.push(Of { word, places: places.clone() }),
                None => missing = word,
            }
        }
        if ofs.len() == args.of.len() {
            return Ok((to, ofs));
        }
    }
    Err(Fail::asked(format!(
        "--of: {missing:?} does not occur before {word:?}; a word takes in only what is before it"
    )))
}

/// The results for a word.
struct TakenIn<'a> {
    args: &'a LookArgs,
    model: &'a NamedModel,
    ids: &'a [u32],
    to: Range<usize>,
    ofs: Vec<Of<'a>>,
    found: Vec<Carried>,
    /// The cosine of its last vector with and without each word of --of, and with and without each earlier token.
    words: Vec<f64>,
    tokens: Vec<f64>,
}

impl TakenIn<'_> {
    fn piece(&self, position: usize) -> String {
        self.model.piece(self.ids[position])
    }

    fn json(&self) -> Result<(), Fail> {
        let mut out = Out::new();
        let carried = self.found.iter().map(|c| {
            json!({"layer": c.layer, "head": c.head, "from": c.from, "to": c.to, "share": c.share, "length": c.length,
                   "part": c.part})
        });
        let without = self.ofs.iter().zip(&self.words).map(|(of, cosine)| {
            json!({"word": of.word, "positions": of.places.clone().collect::<Vec<_>>(), "cosine": cosine})
        });
        out.json(&json!({
            "position": self.to.end - 1, "positions": self.to.clone().collect::<Vec<_>>(),
            "carried": carried.collect::<Vec<_>>(), "without": without.collect::<Vec<_>>(),
            "cosine_without": self.tokens,
        }))?;
        out.done()
    }

    fn show(&self) -> Result<(), Fail> {
        let mut out = Out::new();
        let word = self.args.word.as_deref().unwrap_or_default();
        let ofs: Vec<String> = self.ofs.iter().map(|of| placed(of.word, &of.places)).collect();
        let several = match self.to.len() {
            1 => "",
            _ => "; the vector of a word of several tokens is their mean",
        };
        let places = format!("--word: {}; --of: {}{several}", placed(word, &self.to), ofs.join(" and "));
        lines::note(&mut out, &places)?;
        let explained = format!(
            "what heads carry into {word:?}: the share of the head's attention, the length of what it adds, and that as a share of the \
             vector"
        );
        writeln!(out)?;
        lines::heading(&mut out, "taken in", &explained)?;
        let wide = out.columns() >= 76;
        let (name, source) = if wide { (18, 26) } else { (16, 20) };
        let room = bar_room(out.columns(), name + source + 26, BAR);
        let titles =
            format!("{:name$}{:source$}{:>9}{:>7}{:>8}", "head", "from", "attention", "adds", "share");
        writeln!(out, "{}", out.dim(&titles))?;
        let most = self.found.first().map_or(1.0, |carried| carried.length);
        for carried in self.found.iter().take(self.args.top.into()) {
            let head = names::head(self.args.names.into(), carried.layer, carried.head);
            let into = if self.to.len() > 1 { format!(" to {}", carried.to) } else { String::new() };
            let from = format!("{} {}{into}", carried.from, self.piece(carried.from));
            let (share, length, part) = (percent(carried.share), carried.length, 100.0 * carried.part);
            let line = format!("{share:>9}{length:7.2}{part:6.1} %  {}", bar(length / most, room));
            writeln!(out, "{}{}{}", fit(&head, name), fit(&from, source), line.trim_end())?;
        }
        let explained =
            format!("the cosine of the last vector of {word:?} with itself, where it does not see a word");
        writeln!(out)?;
        lines::heading(&mut out, "without", &explained)?;
        let room = bar_room(out.columns(), NAME + 10, BAR);
        let bar_of = bars(self.tokens.iter().chain(&self.words).copied().chain([1.0]), room);
        let mut line = |name: &str, cosine: f64, mark: &str| {
            let line = format!("{}{cosine:6.3}  {}{mark}", fit(name, NAME), bar_of(cosine));
            writeln!(out, "{}", line.trim_end())
        };
        for (of, cosine) in self.ofs.iter().zip(&self.words).filter(|(of, _)| of.places.len() > 1) {
            line(&format!("{:?}, {} tokens", of.word, of.places.len()), *cosine, " ←")?;
        }
        for (position, cosine) in self.tokens.iter().enumerate() {
            let named = self.ofs.iter().any(|of| of.places.contains(&position));
            line(&format!("{position} {}", self.piece(position)), *cosine, if named { " ←" } else { "" })?;
        }
        out.done()
    }

    fn drawn(&self) -> Result<(), Fail> {
        let word = self.args.word.as_deref().unwrap_or_default();
        let piece = |position: usize| self.piece(position);
        let top: usize = self.args.top.into();
        let carried = self.found.iter().take(top).map(|carried| {
            let Carried { layer, head, from, share, length, .. } = carried;
            let from = format!("{from} {}, {}", piece(*from), percent(*share).trim_start());
            (format!("{} from {from}", names::head(self.args.names.into(), *layer, *head)), *length)
        });
        let words = self.ofs.iter().zip(&self.words).filter(|(of, _)| of.places.len() > 1);
        let words =
            words.map(|(of, cosine)| (format!("{:?}, {} tokens", of.word, of.places.len()), 1.0 - cosine));
        let without = self.tokens.iter().enumerate();
        let without = without.map(|(at, cosine)| (format!("{at} {}", piece(at)), 1.0 - cosine));
        let left_out = charts::left_out(self.found.len(), top, "link");
        let page = Page {
            title: "What a word takes in".into(),
            before: tokens(self.model, self.ids),
            pictures: vec![
                Picture::new(
                    format!("What heads move into {word:?}"),
                    format!(
                        "The length of what each adds to its vector, and its share of the head's attention.{left_out}"
                    ),
                    charts::bars(&carried.collect::<Vec<_>>()),
                ),
                Picture::new(
                    format!("{word:?} without a word"),
                    "How much its last vector changes if it does not see a word: 1 minus the cosine.",
                    charts::bars(&words.chain(without).collect::<Vec<_>>()),
                ),
            ],
            after: String::new(),
        };
        page.write(self.args)
    }
}

/// The output of the last block: the mean over some positions.
fn vector(
    inspector: &mut Inspector<'_, Cpu>,
    ids: &[u32],
    positions: &Range<usize>,
    edits: Edits,
) -> Result<Vec<f32>, Fail> {
    let mut record = inspector.record([Site::Residual]);
    inspector.run(&[ids], (edits, &mut record))?;
    Ok(Word { ids, positions: positions.clone() }.vector(record.get(Site::Residual)?))
}
