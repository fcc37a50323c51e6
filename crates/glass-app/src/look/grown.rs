//! How the model of a run developed, checkpoint by checkpoint.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use glass::Config;
use glass::backend::Cpu;
use glass::inspect::Inspector;
use glass::inspect::growth::{Growth, measure, twice};
use glass::inspect::heads::Head;
use glass::tokens::Special;
use glass::train::{checkpoint, folder};
use glass::weights::folder::Folder;
use serde::{Deserialize, Serialize};

use super::lines;
use super::names::{self, Names};
use super::page::Page;
use super::pictures::Picture;
use crate::args::LookArgs;
use crate::draw::columns::{fit, percent};
use crate::draw::scale::Scale;
use crate::draw::svg::{Anchor, Svg};
use crate::fail::Fail;
use crate::out::Out;
use crate::{input, model_arg};

/// The file in which a run with --look writes its measurements, one line per checkpoint.
pub const LINES: &str = "look.jsonl";

/// A step, and the measurements of its checkpoint.
#[derive(Clone, Serialize, Deserialize)]
pub struct Grown {
    /// After this step.
    pub step: u64,
    /// The measurements.
    #[serde(flatten)]
    pub found: Growth,
}

impl Grown {
    /// Measures a checkpoint, on a text too if there is one.
    ///
    /// # Errors
    /// If it is not a checkpoint of this model, or the model cannot read the text.
    pub fn measure(
        cpu: Cpu,
        config: &Config,
        (step, folder): (u64, &Path),
        text: Option<&[u32]>,
    ) -> glass::Result<Grown> {
        let rows = twice(config.vocabulary, config.context).len().max(text.map_or(0, <[u32]>::len));
        let loaded = checkpoint::open(cpu, config, folder)?;
        Ok(Grown { step, found: measure(&mut Inspector::new(&loaded, rows, 1)?, text)? })
    }
}

/// The lines that a run of this model wrote, up to a step.
pub fn written(file: &Path, config: &Config, up_to: u64) -> Vec<Grown> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Grown>(line).ok());
    let fits = |Growth { lens, norms, heads, .. }: &Growth| {
        let streams = config.layers + 1;
        (heads.len(), norms.len()) == (config.layers, streams)
            && (lens.is_empty() || lens.len() == streams)
            && heads.iter().all(|heads| heads.len() == config.heads.query)
    };
    lines.filter(|grown| grown.step <= up_to && fits(&grown.found)).collect()
}

/// Shows what a run wrote about its checkpoints, and measures the others; with a text, measures all existing ones.
pub fn run(args: &LookArgs, dir: &Path) -> Result<(), Fail> {
    let checkpoints: BTreeMap<u64, PathBuf> = folder::checkpoints(dir)?.into_iter().collect();
    if checkpoints.is_empty() {
        return Err(Fail::failed(format!("{}: this run has no checkpoint yet", dir.display())));
    }
    let model = Folder::open(dir)?;
    let config = model.config().clone();
    let text = input::text_or_file(args.text.as_deref(), args.file.as_deref())?;
    let text = match (&args.ids, text) {
        (Some(ids), _) => Some(input::ids("--ids", ids)?),
        (None, Some(text)) => {
            let tokenizer = model.tokenizer()?.ok_or_else(|| {
                Fail::asked(format!(
                    "{}: there is no vocabulary, so give --ids instead of a text",
                    dir.display()
                ))
            })?;
            let special = if args.special { Special::Allowed } else { Special::Plain };
            let tokenizer = if args.start.no_start { tokenizer.with_start(&[])? } else { tokenizer };
            Some(tokenizer.encode_prompt(&text, special))
        }
        (None, None) => None,
    };
    if let Some(len) = text.as_ref().map(Vec::len).filter(|len| !(2..=config.context).contains(len)) {
        return Err(Fail::asked(format!("TEXT: it has {len} tokens; give 2 to {}", config.context)));
    }
    let known = match text {
        Some(_) => Vec::new(),
        None => written(&dir.join("train").join(LINES), &config, u64::MAX),
    };
    let mut steps: BTreeMap<u64, Option<Grown>> = checkpoints.keys().map(|&step| (step, None)).collect();
    steps.extend(known.into_iter().map(|grown| (grown.step, Some(grown))));
    let mut out = Out::new();
    let mut grown: Vec<Grown> = Vec::new();
    if !args.json {
        let heading = format!("{:>7}{:>9}{:>9}  {:<16}previous token", "step", "first", "again", "induction");
        writeln!(out, "{}", out.bold(&heading))?;
    }
    for (step, known) in steps {
        let found = match known {
            Some(known) => known,
            None => {
                let cpu = model_arg::cpu(&args.machine);
                Grown::measure(cpu, &config, (step, &checkpoints[&step]), text.as_deref())?
            }
        };
        match args.json {
            true => out.json(&found)?,
            false => line(&mut out, args.names.into(), &found)?,
        }
        out.show()?;
        grown.push(found);
    }
    if !args.json {
        let explained = "first, again: the loss in nats on random tokens and on their repetition; induction, previous token: the head \
                         that does it most, as BLOCK.HEAD, and its share of attention";
        lines::note(&mut out, explained)?;
    }
    if args.has_picture() {
        let title = format!("How {} grew", model_arg::name(dir.to_str()));
        drawn_as(&grown, &config, title, args.names.into()).write(args)?;
    }
    out.done()
}

fn line(out: &mut Out, names: Names, Grown { step, found }: &Grown) -> Result<(), Fail> {
    let most = |of: &dyn Fn(&Head) -> f64| {
        let (layer, head, share) = strongest(found, of);
        fit(&format!("{} {}", fit(&names::short(names, layer, head), 6), percent(share)), 16)
    };
    let (induction, previous) = (most(&|head| head.induction), most(&|head| head.previous));
    let line = format!("{step:>7}{:>9.3}{:>9.3}  {induction}{previous}", found.first, found.again);
    Ok(writeln!(out, "{}", line.trim_end())?)
}

/// The head with the largest value of a measure: its block, its number, the value.
fn strongest(found: &Growth, of: &dyn Fn(&Head) -> f64) -> (usize, usize, f64) {
    let all = found.heads.iter().enumerate().flat_map(|(layer, heads)| {
        heads.iter().enumerate().map(move |(head, scores)| (layer, head, of(scores)))
    });
    all.max_by(|a, b| a.2.total_cmp(&b.2)).unwrap_or_default()
}

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = WIDTH - 150.0;
/// How far names below each other are apart.
const LINE: f64 = 11.0;
/// Checkpoints that are marked; with more, the marks would hide the lines.
const MARKED: usize = 40;

/// A name, its values at every checkpoint, and the class it is drawn with.
type Series<'a> = (String, Vec<f64>, &'static str);

/// All of it drawn over the steps, by our names.
pub fn drawn(grown: &[Grown], config: &Config, title: String) -> Page {
    drawn_as(grown, config, title, Names::Glass)
}

fn drawn_as(grown: &[Grown], config: &Config, title: String, names: Names) -> Page {
    let of =
        |value: &dyn Fn(&Growth) -> f64| grown.iter().map(|grown| value(&grown.found)).collect::<Vec<f64>>();
    let last = &grown[grown.len() - 1].found;
    let streams: Vec<String> =
        (0..=config.layers).map(|layer| names::stream(names, layer, config.layers)).collect();
    let (layer, head, _) = strongest(last, &|head| head.induction);
    let (layer_p, head_p, _) = strongest(last, &|head| head.previous);
    let mut panels: Vec<(&str, Vec<Series<'_>>)> = vec![
        (
            "loss on random tokens and on their repetition, nats",
            vec![
                ("random tokens".into(), of(&|found| found.first), "minus-line"),
                ("their repetition".into(), of(&|found| found.again), "data-line"),
            ],
        ),
        (
            "share of attention, of the heads that do it most: induction, previous token",
            vec![
                (
                    format!("induction, {}", names::short(names, layer, head)),
                    of(&|found| found.heads[layer][head].induction),
                    "data-line",
                ),
                (
                    format!("previous, {}", names::short(names, layer_p, head_p)),
                    of(&|found| found.heads[layer_p][head_p].previous),
                    "weight-line",
                ),
            ],
        ),
        (
            "entropy of the patterns of each block, mean of its heads, nats",
            by_layer(
                &(0..config.layers).map(|layer| format!("block {layer}")).collect::<Vec<_>>(),
                &|layer| {
                    let mean = |found: &Growth| {
                        found.heads[layer].iter().map(|head| head.entropy).sum::<f64>()
                            / found.heads[layer].len() as f64
                    };
                    of(&mean)
                },
            ),
        ),
        ("length of the residual stream", by_layer(&streams, &|layer| of(&|found| found.norms[layer]))),
    ];
    if grown.iter().all(|grown| !grown.found.lens.is_empty()) {
        panels.push((
            "loss of each layer's lens, nats",
            by_layer(&streams, &|layer| of(&|found| found.lens[layer])),
        ));
    }
    let picture = |(name, series): (&str, Vec<Series<'_>>)| Picture::new(name, "", panel(grown, &series));
    let pictures = panels.into_iter().map(picture).collect();
    Page { title, before: String::new(), pictures, after: String::new() }
}

fn by_layer<'a>(names: &[String], of: &dyn Fn(usize) -> Vec<f64>) -> Vec<Series<'a>> {
    let class = |layer: usize| if layer + 1 == names.len() { "data-line" } else { "faint-line" };
    names.iter().enumerate().map(|(layer, name)| (name.clone(), of(layer), class(layer))).collect()
}

fn panel(grown: &[Grown], series: &[Series<'_>]) -> Svg {
    let mut svg = Svg::new(WIDTH, HEIGHT + 28.0);
    let high = series
        .iter()
        .flat_map(|(_, values, _)| values)
        .fold(f64::MIN_POSITIVE, |high, value| high.max(*value));
    let steps = grown.last().map_or(1, |grown| grown.step.max(1)) as f64;
    let across = Scale { low: 0.0, high: steps, from: LEFT, to: RIGHT };
    let up = Scale { low: 0.0, high, from: HEIGHT + 2.0, to: 6.0 };
    for (value, text) in up.ticks(4) {
        let y = up.at(value);
        svg.path("grid", &format!("M{LEFT:.1} {y:.1}H{RIGHT:.1}"));
        svg.text(LEFT - 6.0, y + 4.0, "", Anchor::End, &text);
    }
    for (value, text) in across.ticks(6) {
        svg.text(across.at(value), HEIGHT + 18.0, "", Anchor::End, &text);
    }
    svg.text(RIGHT + 8.0, HEIGHT + 18.0, "faint", Anchor::Start, "steps");
    // Every checkpoint has a mark, so that one alone is seen too.
    let marked = grown.len() <= MARKED;
    for (_, values, class) in series {
        let mut line = String::new();
        for (Grown { step, .. }, value) in grown.iter().zip(values) {
            let letter = if line.is_empty() { 'M' } else { 'L' };
            let (x, y) = (across.at(*step as f64), up.at(*value));
            line.push_str(&format!("{letter}{x:.1} {y:.1}"));
            if marked {
                svg.ring(x, y, class);
            }
        }
        svg.path(class, &line);
    }
    let ends: Vec<f64> =
        series.iter().map(|(_, values, _)| values.last().map_or(0.0, |value| up.at(*value)) + 4.0).collect();
    for ((name, ..), y) in series.iter().zip(apart(&ends, HEIGHT + 4.0)) {
        if let Some(y) = y {
            svg.text(RIGHT + 8.0, y, "", Anchor::Start, name);
        }
    }
    svg
}

/// Places of names beside the ends of lines, from the top down to `bottom`, far enough apart to be read; none for names that have no
/// room among the others.
fn apart(ends: &[f64], bottom: f64) -> Vec<Option<f64>> {
    let room = ((bottom - LINE) / LINE) as usize + 1;
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by(|&a, &b| ends[a].total_cmp(&ends[b]));
    // The last line is the one that is drawn in colour.
    let every = ends.len().div_ceil(room).max(1);
    order.retain(|&at| (ends.len() - 1 - at).is_multiple_of(every));
    let mut places = vec![None; ends.len()];
    let mut least = LINE;
    for &at in &order {
        let y = ends[at].max(least);
        places[at] = Some(y);
        least = y + LINE;
    }
    let mut most = bottom;
    for &at in order.iter().rev() {
        let y = places[at].map(|y| y.min(most));
        most = y.unwrap_or(most) - LINE;
        places[at] = y;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::{LINE, apart};

    #[test]
    fn names_beside_lines_do_not_touch() {
        for ends in [vec![50.0], vec![150.0; 5], vec![3.0; 9], (0..49).map(f64::from).collect()] {
            let mut places: Vec<f64> = apart(&ends, 154.0).into_iter().flatten().collect();
            assert!(apart(&ends, 154.0)[ends.len() - 1].is_some());
            places.sort_by(f64::total_cmp);
            assert!(places.windows(2).all(|pair| pair[1] - pair[0] > LINE - 1e-9), "{places:?}");
            assert!(places[0] > LINE - 1e-9 && places[places.len() - 1] < 154.1, "{places:?}");
        }
    }
}
