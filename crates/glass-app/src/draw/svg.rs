//! A picture in SVG: shapes and texts, in colours for light and dark backgrounds.

use std::fmt::Write as _;

use super::columns::{fit, width};

/// Weights are blue squares, data orange discs; negative values are grey-violet.
const STYLE: &str = "\
.paper{fill:#fff}text{fill:#3b4048}.faint{fill:#8a919c}.grid{stroke:#e3e6ea;fill:none}.axis{stroke:#c3c8d0;fill:none}\
.data{fill:#d8631f}.minus{fill:#7a6fae}.weight{fill:#2f6db3}.frame{fill:none;stroke:#d8631f}.square{fill:none;stroke:#2f6db3}\
.head{font-weight:600}.data-line{stroke:#d8631f;fill:none;stroke-width:1.8}.weight-line{stroke:#2f6db3;fill:none;stroke-width:1.8}\
.minus-line{stroke:#7a6fae;fill:none;stroke-width:1.8}.faint-line{stroke:#b4bac4;fill:none;stroke-width:1.2}\
@media(prefers-color-scheme:dark){.paper{fill:#15181d}text{fill:#c3c9d2}.grid{stroke:#2b3038}.axis{stroke:#454c57}\
.data{fill:#f0824f}.minus{fill:#a79ce0}.weight{fill:#6aa5e8}.frame{stroke:#f0824f}.square{stroke:#6aa5e8}}";

/// Columns of a label at most.
const LABEL: usize = 11;

/// The width of a character in the monospaced font used for PNG.
pub const LETTER: f64 = 6.63;

/// The minimum distance of labels: of lines from top to bottom, and of slanted labels from left to right.
const APART: f64 = 12.8;

/// How far a slanted label extends to the right.
pub const SLANT: f64 = 44.0;

/// How steeply labels run upwards, in degrees.
const STEEP: f64 = 60.0;

/// Where a text begins.
#[derive(Clone, Copy)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// It ends there.
    End,
    /// Its middle is there.
    Middle,
}

/// A picture being drawn.
#[derive(Default)]
pub struct Svg {
    /// Its width and height.
    pub size: (f64, f64),
    body: String,
}

impl Svg {
    /// An empty picture.
    pub fn new(width: f64, height: f64) -> Svg {
        Svg { size: (width, height), body: String::new() }
    }

    /// Adds a text with a CSS class.
    pub fn text(&mut self, x: f64, y: f64, class: &str, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::End => "end",
            Anchor::Middle => "middle",
        };
        let text = escaped(text);
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    /// Adds a slanted label at a point.
    pub fn upwards(&mut self, x: f64, y: f64, text: &str) {
        let text = escaped(&label(text));
        let _ = writeln!(
            self.body,
            "<text transform=\"translate({x:.1} {y:.1}) rotate({:.0})\">{text}</text>",
            -STEEP
        );
    }

    /// A small ring of the class of a line.
    pub fn ring(&mut self, x: f64, y: f64, class: &str) {
        let _ = writeln!(self.body, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" class=\"{class}\"/>");
    }

    /// Draws a data value: a disc whose area is `share` of a disc of radius `most`.
    pub fn data(&mut self, x: f64, y: f64, most: f64, share: f64) {
        let radius = most * share.abs().min(1.0).sqrt();
        if radius >= 0.05 {
            let class = if share < 0.0 { "minus" } else { "data" };
            let _ = writeln!(
                self.body,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.2}\" class=\"{class}\"/>"
            );
        }
    }

    /// Draws a weight: a square whose area is `share` of a square of half width `most`.
    pub fn weight(&mut self, x: f64, y: f64, most: f64, share: f64) {
        let half = most * share.abs().min(1.0).sqrt();
        if half >= 0.05 {
            let class = if share < 0.0 { "minus" } else { "weight" };
            let (x, y, side) = (x - half, y - half, 2.0 * half);
            let _ = writeln!(
                self.body,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{side:.2}\" height=\"{side:.2}\" class=\"{class}\"/>"
            );
        }
    }

    /// Draws a vector from left to right: discs for data or squares for weights; if they would be too small, bars
    /// up and down from the middle. `most` is the largest possible magnitude.
    pub fn vector(&mut self, [x, y, width]: [f64; 3], values: &[f32], most: f32, learned: bool) {
        let step = width / values.len().max(1) as f64;
        for (at, value) in values.iter().enumerate() {
            let (share, left) = (f64::from(value / most), x + at as f64 * step);
            let middle = left + 0.5 * step;
            match (step < 6.0, learned) {
                (true, _) => self.bar(left, y, 0.85 * step, 8.0 * share, learned),
                (false, true) => self.weight(middle, y, (0.5 * step).min(7.0), share),
                (false, false) => self.data(middle, y, (0.5 * step).min(7.0), share),
            }
        }
    }

    fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, learned: bool) {
        let class = if height < 0.0 {
            "minus"
        } else if learned {
            "weight"
        } else {
            "data"
        };
        let (top, height, radius) =
            (y - height.max(0.0), height.abs(), if learned { 0.0 } else { 0.5 * width });
        if height >= 0.05 {
            let _ = writeln!(
                self.body,
                "<rect x=\"{x:.2}\" y=\"{top:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" rx=\"{radius:.2}\" class=\"{class}\"/>"
            );
        }
    }

    /// Draws a box of a class; `round` as for data, or square as for weights.
    pub fn frame(&mut self, [x, y, width, height]: [f64; 4], class: &str, round: bool) {
        let radius = if round { 4 } else { 0 };
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius}\" class=\"{class}\"/>"
        );
    }

    /// Draws a path of a class.
    pub fn path(&mut self, class: &str, path: &str) {
        let _ = writeln!(self.body, "<path class=\"{class}\" d=\"{path}\"/>");
    }

    /// Adds another picture below the existing ones.
    pub fn below(&mut self, other: &Svg, gap: f64) {
        let y = if self.size.1 > 0.0 { self.size.1 + gap } else { 0.0 };
        let _ = writeln!(self.body, "<g transform=\"translate(0 {y:.1})\">\n{}</g>", other.body);
        self.size = (self.size.0.max(other.size.0), y + other.size.1);
    }

    /// Draws a bar from a line at `zero`: `long` to the right if positive, to the left if negative.
    pub fn bar_from(&mut self, zero: f64, y: f64, long: f64) {
        let (left, class) = if long < 0.0 { (zero + long, "minus") } else { (zero, "data") };
        if long.abs() >= 0.05 {
            let wide = long.abs();
            let _ = writeln!(
                self.body,
                "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{wide:.2}\" height=\"11\" rx=\"{:.2}\" class=\"{class}\"/>",
                (0.5 * wide).min(3.0)
            );
        }
    }

    /// Whether a text of it has one of these letters.
    pub fn has(&self, letters: &[char]) -> bool {
        self.body.contains(letters)
    }

    /// The file.
    pub fn finish(&self, title: &str) -> String {
        let (width, height) = self.size;
        let title = escaped(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"11\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{width:.0}\" height=\"{height:.0}\"/>\n{}</svg>\n",
            self.body
        )
    }
}

/// A text shortened to the length of a label.
pub fn label(text: &str) -> String {
    if width(text) <= LABEL { text.into() } else { fit(text, LABEL).trim_end().into() }
}

/// How far up the longest of some labels reaches that run upwards.
pub fn reach<'a>(labels: impl Iterator<Item = &'a str>) -> f64 {
    let longest = labels.map(|text| width(text).min(LABEL)).max().unwrap_or(0);
    (LETTER * longest as f64 * STEEP.to_radians().sin()).ceil() + 6.0
}

/// A text shortened to a width.
pub fn label_in(text: &str, width: f64) -> String {
    let columns = (width / LETTER).floor().max(1.0) as usize;
    fit(text, columns).trim_end().into()
}

/// Labels at this distance: every how many are drawn so that none overlaps another.
pub fn every(cell: f64) -> usize {
    (APART / cell.max(0.1)).ceil().max(1.0) as usize
}

/// A note about labels that are left out.
pub fn named(every: usize, what: &str) -> String {
    match every {
        1 => String::new(),
        2 => format!("; every second {what} is labelled"),
        _ => format!("; one {what} in {every} is labelled"),
    }
}

/// Escapes a text for XML. Characters that XML cannot hold become U+FFFD.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{LETTER, SLANT, label, reach};

    #[test]
    fn labels_stay_in_their_room() {
        for (text, short) in
            [("·ball", "·ball"), ("<|endoftext|>", "<|endoftex…"), ("日本語日本語", "日本語日本…")]
        {
            assert_eq!(label(text), short);
        }
        let long = reach(["<|endoftext|>"].into_iter());
        assert!(long > 60.0 && long == reach(["<|endoftext|><|endoftext|>"].into_iter()));
        assert!(reach(["a", "ab"].into_iter()) < long && 0.5 * 11.0 * LETTER < SLANT);
    }
}
