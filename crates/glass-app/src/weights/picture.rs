//! Pictures of where the weights are, and of how a pattern grows with its context.

use glass::Config;
use glass::model::footprint::Footprint;
use glass::model::parameter_count::ParameterCount;

use crate::draw::scale::Scale;
use crate::draw::svg::{Anchor, Svg};
use crate::out::{number, percent};

const WIDTH: f64 = 820.0;
const ROW: f64 = 34.0;
const LEFT: f64 = 100.0;
/// The width of the square for all weights.
const WHOLE: f64 = 56.0;
const RIGHT: f64 = 700.0;
const HEIGHT: f64 = 220.0;

/// Both pictures, one below the other.
pub fn svg(name: &str, config: &Config, parameter_count: &ParameterCount, tokens: usize) -> String {
    let mut whole = Svg::default();
    whole.below(&groups(name, parameter_count), 0.0);
    whole.below(&square(config, tokens), 26.0);
    whole.finish(&format!("The weights of {name}"))
}

/// Every group as a square, whose area is its share of all weights.
fn groups(name: &str, parameter_count: &ParameterCount) -> Svg {
    let count = parameter_count.groups.len() as f64;
    let mut svg = Svg::new(WIDTH, 40.0 + ROW * count + 50.0);
    let heading = format!(
        "{name}: {} weights in {} matrices",
        number(parameter_count.weights),
        number(parameter_count.matrices)
    );
    svg.text(8.0, 16.0, "head", Anchor::Start, &heading);
    let areas =
        "the area of a square is the group's share of all weights; the large square represents all of them";
    svg.text(8.0, 32.0, "faint", Anchor::Start, areas);
    svg.frame([RIGHT - 20.0, 46.0, WHOLE, WHOLE], "square", false);
    for (row, group) in parameter_count.groups.iter().enumerate() {
        let (y, share) = (44.0 + ROW * (row as f64 + 0.5), parameter_count.share(group.weights));
        svg.text(LEFT - 8.0, y + 4.0, "", Anchor::End, group.name);
        svg.weight(LEFT + 36.0, y, 0.5 * WHOLE, share);
        let [rows, cols, matrices, weights] =
            [group.rows, group.cols, group.matrices, group.weights].map(number);
        svg.text(LEFT + 250.0, y + 4.0, "", Anchor::End, &format!("{matrices} × ({rows} × {cols})"));
        svg.text(LEFT + 390.0, y + 4.0, "", Anchor::End, &weights);
        svg.text(LEFT + 450.0, y + 4.0, "", Anchor::End, &percent(share, 1));
    }
    let y = 44.0 + ROW * count + 16.0;
    let stored = format!(
        "stored: {} (a tied unembedding once, and positions, biases and norms)",
        number(parameter_count.stored)
    );
    svg.text(LEFT, y, "faint", Anchor::Start, &stored);
    svg
}

/// The number of entries in one head's pattern, plotted over the length of the context.
fn square(config: &Config, tokens: usize) -> Svg {
    let mut svg = Svg::new(WIDTH, HEIGHT + 70.0);
    let pattern = |tokens: usize| Footprint::of(config, tokens.max(1)).pattern as f64;
    let across = Scale { low: 0.0, high: tokens as f64, from: LEFT, to: RIGHT };
    let up = Scale { low: 0.0, high: pattern(tokens), from: HEIGHT + 30.0, to: 36.0 };
    let heads = number(config.heads.query as u64 * config.layers as u64);
    let heading =
        format!("T²: numbers of one pattern, for a context of T tokens; this model has {heads} of them");
    svg.text(8.0, 16.0, "head", Anchor::Start, &heading);
    for (value, text) in up.ticks(5) {
        let y = up.at(value);
        svg.path("grid", &format!("M{LEFT:.1} {y:.1}H{RIGHT:.1}"));
        svg.text(LEFT - 8.0, y + 4.0, "", Anchor::End, &text);
    }
    for (value, text) in across.ticks(8) {
        svg.text(across.at(value) + 8.0, HEIGHT + 48.0, "", Anchor::End, &text);
    }
    svg.text(RIGHT + 12.0, HEIGHT + 48.0, "faint", Anchor::Start, "tokens");
    let points = (0..=100).map(|part| tokens * part / 100);
    let line: Vec<String> = points
        .map(|tokens| format!("{:.1} {:.1}", across.at(tokens as f64), up.at((tokens * tokens) as f64)))
        .collect();
    svg.path("data-line", &format!("M{}", line.join("L")));
    let end = format!("{}² = {}", number(tokens as u64), number(pattern(tokens) as u64));
    svg.text(RIGHT - 14.0, 34.0, "", Anchor::End, &end);
    svg
}
