//! Writes the results to files: a picture, or a page with everything.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use glass::{Config, Error};

use super::pictures::{Picture, Pictures};
use super::seen::Seen;
use super::{names, options};
use crate::args::LookArgs;
use crate::draw::columns::signed;
use crate::draw::file;
use crate::draw::svg::{Anchor, LETTER, Svg, escaped};
use crate::fail::{Fail, say};
use crate::layout::wrap;
use crate::model_arg::NamedModel;
use crate::printable::VISIBLE;

/// The largest number of positions in a picture; with more, they would be too small to see.
const MOST: usize = 64;

/// Characters per line of an explanation.
const LINE: usize = 140;

const STYLE: &str = "\
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:1040px;margin:2em auto;padding:0 1em;\
background:light-dark(#fff,#15181d);color:light-dark(#3b4048,#c3c9d2)}h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}\
svg{max-width:100%;height:auto}.token{display:inline-block;border:1px solid #d8631f;border-radius:5px;padding:0 .35em;margin:.15em}\
.token small{opacity:.6}table{border-collapse:collapse}td{padding:.1em 1em .1em 0;font-variant-numeric:tabular-nums}\
.note{opacity:.7}";

/// Refuses a file whose name says that it is something else. (Of pictures, the name says the kind.)
pub fn check_endings(args: &LookArgs) -> Result<(), Fail> {
    for (option, file) in [("--svg", &args.svg), ("--png", &args.png)] {
        let Some(file) = file else { continue };
        if is_page(file) {
            let advice = "give it to --html, or name a file that ends in .svg or .png";
            return Err(file::wrong_ending(option, file, advice));
        }
        file::kind(option, file)?;
    }
    match &args.html {
        Some(path) if !is_page(path) => {
            Err(file::wrong_ending("--html", path, "name a file that ends in .html or .htm"))
        }
        _ => Ok(()),
    }
}

fn is_page(file: &Path) -> bool {
    matches!(file::ending(file).as_str(), "html" | "htm")
}

/// Refuses a head that does not exist, and one that no picture shows.
pub fn check_head(args: &LookArgs, config: &Config) -> Result<(), Fail> {
    let Some(asked) = &args.head else { return Ok(()) };
    named_head(asked, config)?;
    if args.has_picture() { Ok(()) } else { Err(options::pictures_only("--head")) }
}

fn named_head(asked: &str, config: &Config) -> Result<(usize, usize), Fail> {
    options::two_numbers("--head", asked, "BLOCK.HEAD", [config.layers, config.heads.query])
}

/// Draws the results.
pub fn write(args: &LookArgs, seen: &Seen<'_>) -> Result<(), Fail> {
    few(seen.ids.len())?;
    let (layer, head) = head(args, seen)?;
    let pictures = Pictures { seen, layer, head, transposed: args.transpose }.all()?;
    let title = match seen.changes.is_empty() {
        true => "What happened inside".into(),
        false => "What happened inside, with a change".into(),
    };
    let page = Page { title, before: introduction(seen), pictures, after: decided(seen) };
    page.write(args)
}

/// Refuses a text whose picture would be too small to see.
pub fn few(tokens: usize) -> Result<(), Fail> {
    match tokens {
        0..=MOST => Ok(()),
        _ => Err(Fail::asked(format!(
            "TEXT: it has {tokens} tokens; a picture shows {MOST} at most, so look at a part of it"
        ))),
    }
}

/// Pictures, and the text of a page around them, in HTML.
pub struct Page {
    /// The title.
    pub title: String,
    /// The text above the pictures.
    pub before: String,
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// The text below.
    pub after: String,
}

impl Page {
    /// Writes the requested files.
    pub fn write(&self, args: &LookArgs) -> Result<(), Fail> {
        if args.svg.is_some() || args.png.is_some() {
            let svg = self.svg();
            if let Some(path) = &args.svg {
                say_size(path, file::write("--svg", path, &svg)?);
            }
            if let Some(path) = &args.png {
                say_size(path, file::write("--png", path, &svg)?);
            }
        }
        match &args.html {
            Some(path) => put(path, self.html().as_bytes()),
            None => Ok(()),
        }
    }

    /// The pictures, one below another.
    pub fn svg(&self) -> String {
        let mut whole = Svg::default();
        for Picture { heading, explained, svg } in &self.pictures {
            let lines = wrap(explained, LINE, 0);
            let lines = lines.lines().filter(|line| !line.is_empty());
            let longest = lines.clone().map(|line| line.chars().count()).max().unwrap_or(0);
            let wide = LETTER * longest.max(heading.chars().count()) as f64 + 16.0;
            let mut titled = Svg::new(svg.size.0.max(wide), 19.0 + 15.0 * lines.clone().count() as f64);
            titled.text(8.0, 14.0, "head", Anchor::Start, heading);
            for (at, line) in lines.enumerate() {
                titled.text(8.0, 29.0 + 15.0 * at as f64, "faint", Anchor::Start, line);
            }
            whole.below(&titled, 26.0);
            whole.below(svg, 8.0);
        }
        if self.has_signs() {
            let mut note = Svg::new(0.0, 16.0);
            note.text(8.0, 12.0, "faint", Anchor::Start, VISIBLE);
            whole.below(&note, 12.0);
        }
        whole.finish(&self.title)
    }

    /// Whether signs stand for spaces, new lines or tabs in a picture.
    fn has_signs(&self) -> bool {
        let signs = ['·', '↵', '⇥'];
        self.pictures.iter().any(|picture| picture.svg.has(&signs) || picture.heading.contains(signs))
    }

    fn html(&self) -> String {
        let title = escaped(&self.title);
        let mut body = format!("<h1>{title}</h1>\n{}", self.before);
        for Picture { heading, explained, svg } in &self.pictures {
            let svg = svg.finish(heading);
            let (heading, explained) = (escaped(heading), escaped(explained));
            let _ = writeln!(body, "<h2>{heading}</h2>\n<p class=\"note\">{explained}</p>\n{svg}");
        }
        if self.has_signs() {
            let _ = writeln!(body, "<p class=\"note\">{}</p>", escaped(VISIBLE));
        }
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width\"><title>{title}</title>\n<style>{STYLE}</style></head>\n<body>\n{body}{}</body>\n\
             </html>\n",
            self.after
        )
    }
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Fail> {
    fs::write(path, bytes).map_err(|error| Error::io("cannot write", path, error))?;
    say_size(path, bytes.len());
    Ok(())
}

fn say_size(path: &Path, bytes: usize) {
    say(&format!("{}: {} kB", path.display(), bytes.div_ceil(1000)));
}

/// The block and the head to draw.
fn head(args: &LookArgs, seen: &Seen<'_>) -> Result<(usize, usize), Fail> {
    let config = seen.model.config();
    let Some(asked) = &args.head else {
        let last = seen.ids.len() - 1;
        // Heads that find nothing attend to the first position.
        let elsewhere = |position: usize| (1..last).contains(&position);
        let strongest = seen.links.iter().find(|link| elsewhere(link.position));
        return Ok(strongest.or(seen.links.first()).map_or((0, 0), |link| (link.layer, link.head)));
    };
    named_head(asked, config)
}

fn introduction(seen: &Seen<'_>) -> String {
    let config = seen.model.config();
    format!(
        "<p>{}: {} blocks of {} heads, width {}, {} tokens known. Every number here was computed by the model on this text. Discs \
         are data, which flows and differs from text to text; squares are weights, which were learned and stay.</p>\n{}",
        escaped(&seen.model.name),
        config.layers,
        config.heads.query,
        config.width,
        config.vocabulary,
        tokens(seen.model, seen.ids)
    )
}

/// The tokens of a text, each in a frame.
pub fn tokens(model: &NamedModel, ids: &[u32]) -> String {
    let mut line = String::from("<p>");
    for (position, &id) in ids.iter().enumerate() {
        let token = escaped(&model.piece(id));
        let _ = write!(line, "<span class=\"token\"><small>{position}</small> {token}</span>");
    }
    line + "</p>\n"
}

fn decided(seen: &Seen<'_>) -> String {
    let found = &seen.attribution;
    let mut table = format!(
        "<h2>What decided, part by part</h2>\n<p class=\"note\">The logit {:.2} of {} is the sum of these numbers.</p>\n<table>",
        found.whole,
        escaped(&seen.model.piece(seen.traced.0))
    );
    let mut parts = found.parts.clone();
    parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    for (component, value) in parts {
        let (name, value) = (escaped(&names::component(seen.names, component)), signed(value, 2));
        let _ = writeln!(table, "<tr><td>{name}</td><td>{value}</td></tr>");
    }
    if let Some((why, rest)) = seen.rest() {
        let _ = writeln!(table, "<tr><td>{why}</td><td>{}</td></tr>", signed(rest, 2));
    }
    table + "</table>\n"
}
