//! What was seen as files: a picture, and a page with all of it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use glass::Error;

use super::parts::two_numbers;
use super::pictures::Pictures;
use super::seen::Seen;
use super::tour::piece;
use crate::args::LookArgs;
use crate::draw::png::png;
use crate::draw::svg::{Svg, escaped};
use crate::fail::{Fail, say};

/// Most positions of a picture: more would be too small to see.
const MOST: usize = 64;

const STYLE: &str = "\
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:1040px;margin:2em auto;padding:0 1em;\
background:light-dark(#fff,#15181d);color:light-dark(#3b4048,#c3c9d2)}h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}\
svg{max-width:100%;height:auto}.token{display:inline-block;border:1px solid #d8631f;border-radius:5px;padding:0 .35em;margin:.15em}\
.token small{opacity:.6}table{border-collapse:collapse}td{padding:.1em 1em .1em 0;font-variant-numeric:tabular-nums}\
.note{opacity:.7}";

/// Writes what was asked for.
pub fn write(args: &LookArgs, seen: &Seen<'_>) -> Result<(), Fail> {
    if seen.ids.len() > MOST {
        return Err(Fail::asked(format!(
            "TEXT: it has {} tokens; a picture shows {MOST} at most, so look at a part of it",
            seen.ids.len()
        )));
    }
    let (layer, head) = head(args, seen)?;
    let pictures = Pictures { seen, layer, head, transposed: args.transpose }.all()?;
    if args.svg.is_some() || args.png.is_some() {
        let mut whole = Svg::default();
        for (heading, explained, picture) in &pictures {
            let mut titled = Svg::new(picture.size.0, 34.0);
            titled.text(8.0, 14.0, "head", crate::draw::svg::Anchor::Start, heading);
            titled.text(8.0, 29.0, "faint", crate::draw::svg::Anchor::Start, explained);
            whole.below(&titled, 26.0);
            whole.below(picture, 8.0);
        }
        let svg = whole.finish("What happened inside");
        if let Some(path) = &args.svg {
            put(path, svg.as_bytes())?;
        }
        if let Some(path) = &args.png {
            put(path, &png(&svg)?)?;
        }
    }
    if let Some(path) = &args.html {
        put(path, page(seen, &pictures).as_bytes())?;
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Fail> {
    fs::write(path, bytes).map_err(|error| Error::io("cannot write", path, error))?;
    say(&format!("{}: {} kB", path.display(), bytes.len().div_ceil(1000)));
    Ok(())
}

/// The block and the head that are drawn.
fn head(args: &LookArgs, seen: &Seen<'_>) -> Result<(usize, usize), Fail> {
    let config = seen.model.config();
    let Some(asked) = &args.head else {
        let last = seen.ids.len() - 1;
        // The first position is where heads look that have nothing to look for.
        let elsewhere = |position: usize| (1..last).contains(&position);
        let strongest = seen.links.iter().find(|link| elsewhere(link.position));
        return Ok(strongest.or(seen.links.first()).map_or((0, 0), |link| (link.layer, link.head)));
    };
    two_numbers("--head", asked, "BLOCK.HEAD", [config.layers, config.heads.query])
}

fn page(seen: &Seen<'_>, pictures: &[(String, &'static str, Svg)]) -> String {
    let mut body = String::new();
    let name = escaped(&seen.model.name);
    let config = seen.model.config();
    let _ = writeln!(
        body,
        "<h1>What happened inside</h1>\n<p>{name}: {} blocks of {} heads, width {}, {} tokens known. Every number here was computed \
         by the model on this text. Discs are data, which flows and differs from text to text; squares are weights, which were \
         learned and stay.</p>\n<p>",
        config.layers, config.heads.query, config.width, config.vocabulary
    );
    for (position, &id) in seen.ids.iter().enumerate() {
        let token = escaped(&piece(seen, id).replace('␣', "·"));
        let _ = write!(body, "<span class=\"token\"><small>{position}</small> {token}</span>");
    }
    body.push_str("</p>\n");
    for (heading, explained, picture) in pictures {
        let (heading, svg) = (escaped(heading), picture.finish(heading));
        let _ = writeln!(body, "<h2>{heading}</h2>\n<p class=\"note\">{explained}</p>\n{svg}");
    }
    let found = &seen.attribution;
    let _ = writeln!(
        body,
        "<h2>What decided</h2>\n<p class=\"note\">The logit {:.2} of {} is the sum of what every part of the model adds.</p>\n<table>",
        found.whole,
        escaped(&piece(seen, seen.traced.0))
    );
    let mut parts = found.parts.clone();
    parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    for (component, value) in parts {
        let _ = writeln!(body, "<tr><td>{component}</td><td>{value:+.2}</td></tr>");
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>What happened inside</title>\n<style>{STYLE}</style></head>\n<body>\n{body}</table>\n\
         </body>\n</html>\n"
    )
}
