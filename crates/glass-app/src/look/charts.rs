//! Charts of what is a list elsewhere: bars, a line over the layers, a grid of places.

use crate::draw::scale::Scale;
use crate::draw::svg::{Anchor, SLANT, Svg, label};

const WIDTH: f64 = 1000.0;
/// Room for names and numbers on the left.
const LEFT: f64 = 360.0;
const ROW: f64 = 17.0;

/// Named values as bars from a line: to the right above zero, to the left below.
pub fn bars(rows: &[(String, f64)]) -> Svg {
    let most = most(rows.iter().map(|(_, value)| *value));
    let (room, height) = (WIDTH - LEFT - 20.0, ROW * (rows.len() as f64 + 0.5));
    let both = rows.iter().any(|(_, value)| *value < 0.0);
    let (zero, long) = if both { (LEFT + 0.5 * room, 0.5 * room) } else { (LEFT, room) };
    let mut svg = Svg::new(WIDTH, height);
    for (at, (name, value)) in rows.iter().enumerate() {
        let y = ROW * (at as f64 + 0.9);
        svg.text(8.0, y, "", Anchor::Start, name);
        svg.text(LEFT - 10.0, y, "faint", Anchor::End, &format!("{value:+.2}"));
        let wide = long * value.abs() / most;
        let (left, class) = if *value < 0.0 { (zero - wide, "minus") } else { (zero, "data") };
        svg.frame([left, y - 9.5, wide, 11.0], class, true);
    }
    svg.path("axis", &format!("M{zero:.1} 0V{height:.1}"));
    svg
}

/// A value for every layer, one at most.
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
    let mut line = String::new();
    for (at, (name, value)) in values.iter().enumerate() {
        let (x, y) = (across.at(at as f64), up.at(*value));
        line.push_str(&format!("{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' }));
        svg.data(x, y, 4.0, 1.0);
        svg.text(x - 12.0, y - 9.0, "", Anchor::Start, &format!("{value:.2}"));
        svg.text(x + 26.0, BOTTOM + 18.0, "faint", Anchor::End, name);
    }
    svg.path("data-line", &line);
    svg
}

/// Values of places, `[rows][columns]`, the last row on top; the area of a disc is a value's share of the greatest.
pub fn grid(rows: &[String], columns: &[String], values: &[Vec<f64>]) -> Svg {
    const NAMES: f64 = 92.0;
    const ABOVE: f64 = 84.0;
    let cell = ((WIDTH - NAMES - SLANT) / columns.len().max(1) as f64).clamp(6.0, 44.0);
    let size = (cell * columns.len() as f64, cell * rows.len() as f64);
    let most = most(values.iter().flatten().copied());
    let mut svg = Svg::new(NAMES + size.0 + SLANT, ABOVE + size.1 + 6.0);
    svg.frame([NAMES, ABOVE, size.0, size.1], "axis", true);
    for (at, name) in columns.iter().enumerate() {
        svg.upwards(NAMES + (at as f64 + 0.6) * cell, ABOVE - 5.0, name);
    }
    for (at, (name, values)) in rows.iter().zip(values).rev().enumerate() {
        let y = ABOVE + (at as f64 + 0.5) * cell;
        svg.text(NAMES - 6.0, y + 4.0, "", Anchor::End, &label(name));
        for (column, value) in values.iter().enumerate() {
            svg.data(NAMES + (column as f64 + 0.5) * cell, y, 0.48 * cell, value / most);
        }
    }
    svg
}

fn most(values: impl Iterator<Item = f64>) -> f64 {
    values.filter(|value| value.is_finite()).fold(f64::MIN_POSITIVE, |most, value| most.max(value.abs()))
}
