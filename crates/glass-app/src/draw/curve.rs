//! `curve.svg`: the learning curve of a run. Losses over the tokens seen; if the bytes of the text are known, also
//! in bits per byte on the right; in the background, the learning rate.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use glass::atomic_write::replace;

use super::history::{Evaluation, History};
use super::scale::Scale;
use crate::out::number;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = WIDTH - 60.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = HEIGHT - 50.0;
/// The maximum number of points in a line: a step of about a pixel.
const MOST: usize = 700;

const STYLE: &str = "\
.paper{fill:#fff}text{fill:#4a4f57}.grid{stroke:#e6e8eb}.rate{fill:#f3f4f7}.ink{fill:#4a4f57}\
.train{stroke:#2f6db3;fill:none}.raw{stroke:#2f6db3;fill:none;opacity:.25}.val{stroke:#c8501e;fill:none}.dot{fill:#c8501e}\
text.train{fill:#2f6db3;stroke:none}text.val{fill:#c8501e;stroke:none}text.faint{fill:#8a919c}\
@media(prefers-color-scheme:dark){.paper{fill:#15181d}text{fill:#b6bcc6}.grid{stroke:#2b3038}.rate{fill:#20242b}\
.train,.raw{stroke:#6aa5e8}.val{stroke:#f0824f}.dot{fill:#f0824f}text.train{fill:#6aa5e8}text.val{fill:#f0824f}}";

/// Writes the picture of a run to `path` atomically.
pub fn write(path: &Path, history: &History) -> io::Result<()> {
    replace(path, svg(history).as_bytes())
}

/// The picture of a run.
pub fn svg(history: &History) -> String {
    let (low, high) = history.range();
    let tokens = history.points().last().map_or(1, |last| last.tokens.max(1)) as f64;
    let across = Scale { low: 0.0, high: tokens, from: LEFT, to: RIGHT };
    let up = Scale { low, high, from: BOTTOM, to: TOP };
    let mut picture = Picture { text: String::new(), across, up };
    picture.rate(history);
    picture.axes(history);
    picture.text.push_str("<g clip-path=\"url(#plot)\" stroke-linejoin=\"round\">\n");
    picture.training(history);
    picture.validation(history.evaluations());
    picture.text.push_str("</g>\n");
    picture.legend(history);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"system-ui, sans-serif\" \
         font-size=\"12\">\n<title>Learning curve</title>\n<style>{STYLE}</style>\n<clipPath id=\"plot\"><rect x=\"{LEFT}\" \
         y=\"{TOP}\" width=\"{}\" height=\"{}\"/></clipPath>\n<rect class=\"paper\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\"/>\n{}</svg>\n",
        RIGHT - LEFT + 4.0,
        BOTTOM - TOP,
        picture.text
    )
}

struct Picture {
    text: String,
    across: Scale,
    up: Scale,
}

impl Picture {
    /// The learning rate, as a shape of the plot's full height.
    fn rate(&mut self, history: &History) {
        let high = highest_rate(history);
        if high == 0.0 {
            return;
        }
        let up = Scale { low: 0.0, high, from: BOTTOM, to: TOP };
        let values = history.points().iter().map(|point| (point.tokens, point.rate));
        let line = path(values, self.across, up);
        let end = history.points().last().map_or(LEFT, |last| self.across.at(last.tokens as f64));
        self.add(&format!("<path class=\"rate\" d=\"M{LEFT},{BOTTOM}L{line}L{end:.1},{BOTTOM}Z\"/>"));
    }

    fn axes(&mut self, history: &History) {
        for (loss, label) in self.up.ticks(6) {
            let y = self.up.at(loss);
            self.add(&format!("<path class=\"grid\" d=\"M{LEFT},{y:.1}H{RIGHT}\"/>"));
            self.label(LEFT - 8.0, y + 4.0, "end", "", &label);
        }
        if let Some(bits) = history.bits_per_nat() {
            let side = Scale { low: self.up.low * bits, high: self.up.high * bits, ..self.up };
            for (value, label) in side.ticks(6) {
                self.label(RIGHT + 8.0, side.at(value) + 4.0, "start", "val", &label);
            }
            self.label(WIDTH - 8.0, TOP - 12.0, "end", "val", "bits per byte");
        }
        self.label(8.0, TOP - 12.0, "start", "", "nats per token");
        for (tokens, label) in self.across.ticks(8) {
            self.label(self.across.at(tokens), BOTTOM + 18.0, "middle", "", &label);
        }
        let steps = history.points().last().map_or(0, |last| last.step);
        let what = format!("tokens seen, in {} steps", number(steps));
        self.label(f64::midpoint(LEFT, RIGHT), HEIGHT - 12.0, "middle", "", &what);
    }

    fn training(&mut self, history: &History) {
        let points = history.points();
        let raw = path(points.iter().map(|point| (point.tokens, point.loss)), self.across, self.up);
        let smooth = points.iter().zip(history.smooth()).map(|(point, loss)| (point.tokens, loss));
        let smooth = path(smooth, self.across, self.up);
        self.add(&format!("<path class=\"raw\" d=\"M{raw}\"/>"));
        self.add(&format!("<path class=\"train\" stroke-width=\"2\" d=\"M{smooth}\"/>"));
    }

    fn validation(&mut self, evaluations: &[Evaluation]) {
        if evaluations.is_empty() {
            return;
        }
        let values = evaluations.iter().map(|evaluation| (evaluation.tokens, evaluation.loss));
        let line = path(values.clone(), self.across, self.up);
        self.add(&format!("<path class=\"val\" stroke-width=\"1.6\" d=\"M{line}\"/>"));
        let dots = values.filter(|_| evaluations.len() <= 60);
        for (tokens, loss) in dots {
            let (x, y) = (self.across.at(tokens as f64), self.up.at(loss));
            self.add(&format!("<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>"));
        }
        if let Some(best) = best(evaluations) {
            let (x, y) = (self.across.at(best.tokens as f64), self.up.at(best.loss));
            self.add(&format!("<circle class=\"val\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\"/>"));
        }
    }

    /// Labels the lines in their colours, with their last values.
    fn legend(&mut self, history: &History) {
        let last = history.smooth().last().copied().unwrap_or(0.0);
        self.label(LEFT, 20.0, "start", "train", &format!("training loss {last:.3}"));
        if let Some(best) = best(history.evaluations()) {
            let bits =
                best.bits_per_byte.map(|bits| format!(", {bits:.3} bits per byte")).unwrap_or_default();
            let what = format!("validation loss {:.3} at best{bits}", best.loss);
            self.label(LEFT + 150.0, 20.0, "start", "val", &what);
        }
        let rate = format!("learning rate up to {}", highest_rate(history) as f32);
        self.label(RIGHT, 20.0, "end", "faint", &rate);
    }

    fn label(&mut self, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
        self.add(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"
        ));
    }

    fn add(&mut self, element: &str) {
        self.text.push_str(element);
        self.text.push('\n');
    }
}

fn best(evaluations: &[Evaluation]) -> Option<&Evaluation> {
    evaluations.iter().min_by(|one, other| one.loss.total_cmp(&other.loss))
}

fn highest_rate(history: &History) -> f64 {
    history.points().iter().map(|point| point.rate).fold(0.0, f64::max)
}

/// Values over tokens as the coordinates of a path: about [`MOST`] of them, always including the last.
fn path(values: impl ExactSizeIterator<Item = (u64, f64)>, across: Scale, up: Scale) -> String {
    let (count, every) = (values.len(), values.len().div_ceil(MOST).max(1));
    let mut text = String::new();
    for (at, (tokens, value)) in values.enumerate() {
        if at % every == 0 || at + 1 == count {
            let space = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{space}{:.1},{:.1}", across.at(tokens as f64), up.at(value));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use glass::train::log::LoggedStep;
    use glass::train::objective::Details;

    use super::*;

    #[test]
    fn a_picture_holds_numbers_only_even_of_a_run_that_did_nothing() {
        let mut history = History::default();
        for steps in 0..4 {
            let picture = svg(&history);
            assert!(!picture.contains("NaN") && !picture.contains("inf"), "{steps} steps: {picture}");
            assert_eq!(picture.matches('<').count(), picture.matches('>').count());
            history.add(&LoggedStep {
                step: steps + 1,
                loss: 5.0,
                details: Details::default(),
                val_loss: (steps == 2).then_some(5.0),
                val_accuracy: None,
                bits_per_byte: Some(2.0),
                val_losses: Default::default(),
                lr: 0.0,
                grad_norm: 0.0,
                tokens_per_second: None,
                mfu: None,
                tokens: 100 * (steps + 1),
                seconds: None,
            });
        }
    }
}
