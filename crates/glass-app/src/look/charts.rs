//! Charts of lists: bars, a line over the layers, a grid of places.

use crate::draw::columns::{signed, width};
use crate::draw::scale::Scale;
use crate::draw::svg::{Anchor, LETTER, SLANT, Svg, every, label, label_in, reach};
use crate::out::number;

const WIDTH: f64 = 1000.0;
/// The width for names and numbers on the left.
const LEFT: f64 = 360.0;
const ROW: f64 = 17.0;

/// What a list leaves out, as a sentence; empty if it leaves out nothing.
pub fn left_out(all: usize, shown: usize, what: &str) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        left => format!(" {} left out.", is_or_are(left, what)),
    }
}

fn is_or_are(left: usize, what: &str) -> String {
    let (rest, verb) = if left == 1 { ("", "is") } else { ("s", "are") };
    format!("{} weaker {what}{rest} {verb}", number(left as u64))
}

/// Named values as bars: to the right above zero, to the left below.
pub fn bars(rows: &[(String, f64)]) -> Svg {
    let most = most(rows.iter().map(|(_, value)| *value));
    let both = rows.iter().any(|(_, value)| *value < 0.0);
    // The width of the longest name.
    let longest = rows.iter().map(|(name, _)| width(name)).max().unwrap_or(0) as f64;
    let left = (LETTER * longest + 80.0).clamp(160.0, LEFT);
    let (room, height) = (WIDTH - left - 20.0, ROW * (rows.len() as f64 + 0.5));
    let (zero, long) = if both { (left + 0.5 * room, 0.5 * room) } else { (left, room) };
    let mut svg = Svg::new(WIDTH, height);
    for (at, (name, value)) in rows.iter().enumerate() {
        let y = ROW * (at as f64 + 0.9);
        svg.text(8.0, y, "", Anchor::Start, &label_in(name, left - 78.0));
        let value_text = if both { signed(*value, 2) } else { format!("{:.2}", value + 0.0) };
        svg.text(left - 10.0, y, "faint", Anchor::End, &value_text);
        svg.bar_from(zero, y - 9.5, long * value / most);
    }
    svg.path("axis", &format!("M{zero:.1} 0V{height:.1}"));
    svg
}

/// Positions where a neuron is active: its value, and the text up to there.
pub fn contexts(rows: &[(f64, String, String)]) -> Svg {
    const TEXT: f64 = 210.0;
    let most = most(rows.iter().map(|(value, ..)| *value));
    let mut svg = Svg::new(WIDTH, ROW * (rows.len() as f64 + 0.5));
    let both = rows.iter().any(|(value, ..)| *value < 0.0);
    let (zero, long) = if both { (125.0, 55.0) } else { (70.0, 110.0) };
    for (at, (value, before, token)) in rows.iter().enumerate() {
        let y = ROW * (at as f64 + 0.9);
        svg.text(60.0, y, "faint", Anchor::End, &format!("{:.2}", value + 0.0));
        svg.bar_from(zero, y - 9.5, long * value / most);
        // The end of the preceding text matters most; the token itself comes last.
        let room = ((WIDTH - TEXT) / LETTER) as usize - token.chars().count().min(40) - 6;
        let skipped = before.chars().count().saturating_sub(room);
        let shown: String = before.chars().skip(skipped).collect();
        let dots = if skipped > 0 { "…" } else { "" };
        svg.text(TEXT, y, "", Anchor::Start, &format!("{dots}{shown}[{}]", label_in(token, 40.0 * LETTER)));
    }
    svg.path("axis", &format!("M{zero:.1} 0V{:.1}", svg.size.1));
    svg
}

/// One value per head, one panel for each measure: blocks from bottom to top, heads from left to right.
pub fn panels(panels: &[(&str, Vec<Vec<f64>>)]) -> Svg {
    const NAMES: f64 = 64.0;
    const ABOVE: f64 = 40.0;
    let (blocks, heads) = panels.first().map_or((0, 0), |(_, of)| (of.len(), of.first().map_or(0, Vec::len)));
    // As many panels side by side as leave room for their heads and names.
    let fits = |across: usize| (WIDTH - NAMES) / across as f64 - 14.0;
    let across =
        (1..=panels.len()).rev().find(|&across| fits(across) / heads.max(1) as f64 >= 12.0).unwrap_or(1);
    let cell = (fits(across) / heads.max(1) as f64).clamp(4.0, 26.0);
    let each = ((WIDTH - NAMES) / across as f64, cell * blocks as f64 + ABOVE + 22.0);
    let mut svg = Svg::new(WIDTH, each.1 * panels.len().div_ceil(across) as f64);
    let every = every(cell);
    for (at, (name, shares)) in panels.iter().enumerate() {
        let (x, y) = (NAMES + each.0 * (at % across) as f64, each.1 * (at / across) as f64 + ABOVE);
        svg.text(x, y - 22.0, "head", Anchor::Start, name);
        svg.frame([x, y, cell * heads as f64, cell * blocks as f64], "axis", true);
        for head in (0..heads).step_by(every) {
            svg.text(x + (head as f64 + 0.5) * cell, y - 6.0, "faint", Anchor::Middle, &head.to_string());
        }
        for (row, shares) in shares.iter().rev().enumerate() {
            let (block, middle) = (blocks - 1 - row, y + (row as f64 + 0.5) * cell);
            if at % across == 0 && block % every == 0 {
                svg.text(NAMES - 6.0, middle + 4.0, "", Anchor::End, &format!("block {block}"));
            }
            for (head, share) in shares.iter().enumerate() {
                svg.data(x + (head as f64 + 0.5) * cell, middle, 0.48 * cell, *share);
            }
        }
    }
    svg
}

/// One value per layer, at most 1.
pub fn layers(values: &[(String, f64)]) -> Svg {
    const BOTTOM: f64 = 160.0;
    let mut svg = Svg::new(WIDTH, BOTTOM + 24.0);
    let low = values.iter().fold(0.0, |low: f64, (_, value)| low.min(*value));
    let up = Scale { low, high: 1.0, from: BOTTOM, to: 22.0 };
    let last = values.len().saturating_sub(1).max(1) as f64;
    let across = Scale { low: 0.0, high: last, from: 90.0, to: WIDTH - 50.0 };
    for (value, text) in up.ticks(4) {
        svg.path("grid", &format!("M40 {:.1}H{WIDTH:.1}", up.at(value)));
        svg.text(34.0, up.at(value) + 4.0, "", Anchor::End, &text);
    }
    let wide = values.iter().map(|(name, _)| width(name)).max().unwrap_or(0) as f64 * LETTER + 8.0;
    let step = (wide * last / (WIDTH - 140.0)).ceil().max(1.0) as usize;
    let mut line = String::new();
    for (at, (name, value)) in values.iter().enumerate() {
        let (x, y) = (across.at(at as f64), up.at(*value));
        line.push_str(&format!("{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' }));
        svg.data(x, y, 4.0, 1.0);
        if at % step == 0 {
            svg.text(x, y - 9.0, "", Anchor::Middle, &format!("{:.2}", value + 0.0));
            svg.text(x, BOTTOM + 18.0, "faint", Anchor::Middle, name);
        }
    }
    svg.path("data-line", &line);
    svg
}

/// Values of places, `[rows][columns]`, the last row on top; the area of a disc is proportional to its value.
pub fn grid(rows: &[String], columns: &[String], values: &[Vec<f64>]) -> Svg {
    const NAMES: f64 = 92.0;
    let above = reach(columns.iter().map(String::as_str));
    let cell = ((WIDTH - NAMES - SLANT) / columns.len().max(1) as f64).clamp(6.0, 44.0);
    let size = (cell * columns.len() as f64, cell * rows.len() as f64);
    let most = most(values.iter().flatten().copied());
    let mut svg = Svg::new(NAMES + size.0 + SLANT, above + size.1 + 6.0);
    svg.frame([NAMES, above, size.0, size.1], "axis", true);
    let every = every(cell);
    for (at, name) in columns.iter().enumerate().step_by(every) {
        svg.upwards(NAMES + (at as f64 + 0.6) * cell, above - 5.0, name);
    }
    for (at, (name, values)) in rows.iter().zip(values).rev().enumerate() {
        let y = above + (at as f64 + 0.5) * cell;
        if at % every == 0 {
            svg.text(NAMES - 6.0, y + 4.0, "", Anchor::End, &label(name));
        }
        for (column, value) in values.iter().enumerate() {
            svg.data(NAMES + (column as f64 + 0.5) * cell, y, 0.48 * cell, value / most);
        }
    }
    svg
}

fn most(values: impl Iterator<Item = f64>) -> f64 {
    values.filter(|value| value.is_finite()).fold(f64::MIN_POSITIVE, |most, value| most.max(value.abs()))
}
