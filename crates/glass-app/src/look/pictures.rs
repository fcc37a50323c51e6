//! Draws the results. Rows are queries and columns keys, or the reverse with --transpose; discs are data, squares
//! weights.

use glass::next_token::{Drawn, Sampler, Sampling};
use glass::probe::{Part, Site};

mod patterns;

use super::charts;
use super::names::{self, Names};
use super::seen::Seen;
use crate::draw::columns::percent;
use crate::draw::svg::{Anchor, Svg, label, label_in};
use crate::fail::Fail;
use crate::out::count;

/// Room for labels on the left.
const LEFT: f64 = 92.0;
/// The width of a picture.
const WIDTH: f64 = 1000.0;
/// The number of positions in the picture of the lens.
const LENS: usize = 12;
/// The height of a row of a list.
const ROW: f64 = 17.0;

/// A picture with its explanation.
pub struct Picture {
    /// Its heading.
    pub heading: String,
    /// How to read it.
    pub explained: String,
    /// The drawing.
    pub svg: Svg,
}

impl Picture {
    /// A picture.
    pub fn new(heading: impl Into<String>, explained: impl Into<String>, svg: Svg) -> Picture {
        Picture { heading: heading.into(), explained: explained.into(), svg }
    }
}

/// The pictures of a result.
pub struct Pictures<'a> {
    /// The result.
    pub seen: &'a Seen<'a>,
    /// The block whose heads are drawn.
    pub layer: usize,
    /// The head whose steps are drawn.
    pub head: usize,
    /// Whether rows are keys and columns queries.
    pub transposed: bool,
}

impl Pictures<'_> {
    /// All pictures.
    pub fn all(&self) -> Result<Vec<Picture>, Fail> {
        let layer = self.layer;
        let (seen, named) = (self.seen, names::head(self.seen.names, self.layer, self.head));
        let config = seen.model.config();
        let (tokens, vocabulary) = (seen.ids.len(), config.vocabulary);
        let capped = if config.scores.cap.is_some() { ", capped" } else { "" };
        let unseen = match config.attention_of(self.layer).window {
            Some(_) => "and what comes later or before the window masked",
            None => "and what comes later masked",
        };
        let normed = if config.placement.is_after() { ", brought to one scale by a norm," } else { "" };
        let factors = config.factors;
        let logit = match (factors.logits == 1.0, factors.logit_cap) {
            (true, None) => "its logit".to_string(),
            (_, None) => format!("its logit, after a factor of {}", factors.logits),
            (_, Some(cap)) => format!("its logit, after a cap that holds it between −{cap} and {cap}"),
        };
        let (overview, least) = self.overview()?;
        let faint = match least > 0.0 {
            true => format!(" Shares below {:.0} % are left out: too small to see.", 100.0 * least),
            false => String::new(),
        };
        let last = tokens.saturating_sub(LENS);
        let last = match last {
            0 => String::new(),
            left => format!(" The last {LENS} of {tokens} positions; the first {left} are left out."),
        };
        let shown = tokens.min(seen.top);
        let (rows, sums) = (self.rows_and_columns(), if self.transposed { "Columns" } else { "Rows" });
        let changed = self.changed();
        let pictures = vec![
            Picture::new(
                "Attention of all blocks",
                format!(
                    "Every head's pattern, a row of squares for each block, the last on top. In each square {rows}, from the first token at \
                     the top left to the last. A disc's area is the share of a query's attention that goes to a key.{faint}"
                ),
                overview,
            ),
            Picture::new(
                format!("Block {layer}: where every head looks"),
                format!(
                    "A disc's area is the share of a query's attention that goes to a key. {sums} sum to one."
                ),
                self.heads()?,
            ),
            Picture::new(
                format!("{named}: from products to the pattern"),
                format!(
                    "First, every query times every key. Second, scaled{capped}, {unseen}. Third, after the softmax. A disc's area is a \
                     number's share of the largest in magnitude, which each title gives; violet is below zero."
                ),
                self.steps()?,
            ),
            Picture::new(
                format!("{named}: what the last token takes in"),
                format!(
                    "Each token's value, times the pattern; their sum (z) is multiplied by value_up{normed} and added to the vector.{}",
                    charts::left_out(tokens, shown, "token")
                ),
                self.update()?,
            ),
            Picture::new(
                "The logit lens: what each layer would predict",
                format!(
                    "The residual stream of each layer through the last norm and the unembedding: the most probable token, with a larger disc \
                     for a higher probability.{last}"
                ),
                self.lens(),
            ),
            Picture::new(
                "From the last vector to the next token",
                format!(
                    "The last vector times a token's row of the unembedding is {logit}; the softmax makes probabilities of the logits.{}",
                    charts::left_out(vocabulary, seen.next.len(), "token")
                ),
                self.answer()?,
            ),
            self.decided(),
            self.by_word(),
        ];
        Ok(changed.into_iter().chain(pictures).collect())
    }

    /// What was changed, and the next tokens without it and with it.
    fn changed(&self) -> Option<Picture> {
        let seen = self.seen;
        let before = seen.before.as_deref().filter(|_| !seen.changes.is_empty())?;
        let half = 0.5 * WIDTH;
        let mut svg = Svg::new(WIDTH, ROW * (before.len() as f64 + 1.4));
        let sides = [("without the change", before), ("with it", &seen.next[..])];
        for ((title, list), x) in sides.into_iter().zip([0.0, half]) {
            svg.text(x + LEFT, 12.0, "head", Anchor::Start, title);
            for (at, drawn) in list.iter().enumerate() {
                let (y, share) = (ROW * (at as f64 + 1.9), drawn.logprob.exp());
                let wide = share * (half - LEFT - 70.0);
                svg.text(x + LEFT - 6.0, y, "", Anchor::End, &self.piece(drawn.id));
                svg.bar_from(x + LEFT, y - 9.5, wide);
                svg.text(x + LEFT + wide + 6.0, y, "", Anchor::Start, percent(share).trim_start());
            }
        }
        let explained = format!(
            "All pictures below are of a changed run: {}. These are the most probable next tokens without the change and with it.",
            seen.changes.join("; ")
        );
        Some(Picture::new("What was changed", explained, svg))
    }

    /// The parts whose sum is a logit.
    fn decided(&self) -> Picture {
        let (seen, found) = (self.seen, &self.seen.attribution);
        let mut parts = found.parts.clone();
        parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        let others: f64 = parts.iter().skip(seen.top).map(|(_, value)| value).sum();
        let named =
            parts.iter().take(seen.top).map(|(part, value)| (names::component(seen.names, *part), *value));
        let mut rows: Vec<(String, f64)> = named.collect();
        if parts.len() > seen.top {
            rows.push((count(parts.len() - seen.top, "other"), others));
        }
        rows.extend(seen.rest().map(|(why, rest)| (why.to_string(), rest)));
        let (token, against) = seen.traced;
        let of = match against {
            None => format!("the logit {:.2} of {}", found.whole, self.piece(token)),
            Some(other) => {
                format!(
                    "{:.2}, the logit of {} minus that of {}",
                    found.whole,
                    self.piece(token),
                    self.piece(other)
                )
            }
        };
        let explained = format!("These numbers add up to {of}; violet is below zero.");
        Picture::new("What decided: the parts of the model", explained, charts::bars(&rows))
    }

    fn by_word(&self) -> Picture {
        let mut words: Vec<(usize, f64)> =
            self.seen.attribution.by_position().into_iter().enumerate().collect();
        let all = words.len();
        words.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        words.truncate(self.seen.top);
        let left_out = charts::left_out(all, words.len(), "token");
        let rows: Vec<_> =
            words.into_iter().map(|(at, value)| (format!("{at} {}", self.token(at)), value)).collect();
        let explained = format!(
            "What heads add directly from each position; the last includes its own vectors; violet is below zero.{left_out}"
        );
        Picture::new("What decided: the tokens", explained, charts::bars(&rows))
    }

    fn token(&self, position: usize) -> String {
        self.piece(self.seen.ids[position])
    }

    fn piece(&self, id: u32) -> String {
        label(&self.seen.model.piece(id))
    }

    fn update(&self) -> Result<Svg, Fail> {
        let config = self.seen.model.config();
        let (len, size) = (self.seen.ids.len(), config.heads.size);
        let last = len - 1;
        let pattern =
            self.seen.record.get(Site::Block(self.layer, Part::Pattern))?.row(self.head * len + last);
        let values = self.head / (config.heads.query / config.heads.key) * size;
        let all = self.seen.record.get(Site::value(config, self.layer))?;
        let value = |position: usize| &all.row(position)[values..values + size];
        let z = &self.seen.record.get(Site::Block(self.layer, Part::Z))?.row(last)
            [self.head * size..(self.head + 1) * size];
        let added = &self.seen.record.get(Site::Block(self.layer, Part::Contribution))?.row(last)
            [self.head * config.width..(self.head + 1) * config.width];
        let mut strongest: Vec<usize> = (0..len).collect();
        strongest.sort_by(|&a, &b| pattern[b].total_cmp(&pattern[a]));
        strongest.truncate(self.seen.top);
        strongest.sort_unstable();
        let strip = WIDTH - LEFT - 100.0;
        let most = strongest
            .iter()
            .flat_map(|&position| value(position))
            .fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
        let mut svg = Svg::new(WIDTH, ROW * (strongest.len() as f64 + 5.0) + 16.0);
        for (row, &position) in strongest.iter().enumerate() {
            let y = ROW * (row as f64 + 0.7);
            svg.text(LEFT - 6.0, y + 4.0, "", Anchor::End, &self.token(position));
            svg.data(LEFT + 12.0, y, 8.0, f64::from(pattern[position]));
            let share = format!("{} ×", percent(pattern[position].into()).trim_start());
            svg.text(LEFT + 84.0, y + 4.0, "", Anchor::End, &share);
            svg.vector([LEFT + 90.0, y, strip], value(position), most, false);
        }
        let y = ROW * (strongest.len() as f64 + 0.9);
        svg.path("axis", &format!("M{:.1} {:.1}H{:.1}", LEFT + 90.0, y - 10.0, LEFT + 90.0 + strip));
        svg.text(LEFT + 78.0, y + 4.0, "head", Anchor::End, "z");
        svg.vector([LEFT + 90.0, y, strip], z, most, false);
        let y = y + 1.4 * ROW;
        svg.frame([LEFT + 90.0, y - 9.0, strip, 18.0], "square", false);
        let through = format!(
            "× value_up, {} × {}: weights, the same for every text (block.{}.attention.value_up)",
            config.width, size, self.layer
        );
        svg.text(LEFT + 100.0, y + 4.0, "", Anchor::Start, &through);
        let y = y + 1.4 * ROW;
        let most = added.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
        svg.text(LEFT + 78.0, y + 4.0, "head", Anchor::End, "added");
        svg.vector([LEFT + 90.0, y, strip], added, most, false);
        svg.text(
            LEFT + 90.0,
            y + 20.0,
            "faint",
            Anchor::Start,
            "one mark for every number of a vector: orange above zero, violet below",
        );
        Ok(svg)
    }

    fn lens(&self) -> Svg {
        let readings = &self.seen.everywhere;
        let len = self.seen.ids.len();
        let shown = len.min(LENS);
        let first = len - shown;
        let cell = (WIDTH - LEFT) / shown as f64;
        let mut svg = Svg::new(WIDTH, ROW * (readings.len() as f64 + 2.6));
        for position in first..len {
            let x = LEFT + cell * (position - first) as f64;
            svg.text(x + 4.0, 12.0, "head", Anchor::Start, &label_in(&self.token(position), cell - 8.0));
        }
        for (row, layer) in readings.iter().rev().enumerate() {
            let y = ROW * (row as f64 + 1.2);
            let number = readings.len() - 1 - row;
            let name = match self.seen.names {
                Names::Glass if number > 0 => format!("block {}", number - 1),
                names => names::stream(names, number, readings.len() - 1),
            };
            svg.text(LEFT - 6.0, y + 12.0, "", Anchor::End, &name);
            for (at, reading) in layer[first..].iter().enumerate() {
                let Some(top) = reading.top.first() else { continue };
                let share = top.logprob.exp();
                let x = LEFT + cell * at as f64;
                svg.path("grid", &format!("M{x:.1} {y:.1}h{:.1}", cell - 3.0));
                svg.data(x + 8.0, y + 8.0, 6.5, share);
                svg.text(x + 18.0, y + 12.0, "", Anchor::Start, &label_in(&self.piece(top.id), cell - 22.0));
            }
        }
        let y = svg.size.1 - 6.0;
        let note = "columns: positions, with the token there, and what each layer would say comes next";
        svg.text(LEFT, y, "faint", Anchor::Start, note);
        svg
    }

    fn answer(&self) -> Result<Svg, Fail> {
        let seen = self.seen;
        let normed = self.seen.record.get(Site::Norm)?.row(seen.ids.len() - 1);
        let probabilities = |temperature: f32| -> Result<Vec<f64>, Fail> {
            let sampling = Sampling { temperature, ..Sampling::default() };
            let all = Sampler::new(&sampling, seen.logits.len(), 0)?.probabilities(&seen.logits)?;
            let of = |id: u32| all.iter().find(|(other, _)| *other == id).map_or(0.0, |(_, share)| *share);
            Ok(seen.next.iter().map(|drawn| of(drawn.id)).collect())
        };
        let shares = probabilities(1.0)?;
        let rows = &seen.unembedding;
        let strip = 420.0;
        let mut svg = Svg::new(WIDTH, ROW * (seen.next.len() as f64 + 4.2));
        svg.text(LEFT - 6.0, 12.0, "head", Anchor::End, "last vector");
        let most = normed.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
        svg.vector([LEFT, 8.0, strip], normed, most, false);
        svg.text(LEFT + strip + 20.0, 12.0, "faint", Anchor::Start, "data: after the last norm");
        let heading = 1.9 * ROW;
        svg.text(LEFT, heading, "faint", Anchor::Start, "× each token's row of the unembedding (weights)");
        svg.text(LEFT + strip + 72.0, heading, "faint", Anchor::End, "logit");
        svg.text(LEFT + strip + 110.0, heading, "faint", Anchor::Start, "softmax");
        let logit = |drawn: &Drawn| f64::from(seen.logits[drawn.id as usize]);
        let most_logit = seen.next.iter().map(|drawn| logit(drawn).abs()).fold(f64::MIN_POSITIVE, f64::max);
        let below = seen.next.iter().any(|drawn| logit(drawn) < 0.0);
        let (zero, longest) = if below { (LEFT + strip + 90.0, 10.0) } else { (LEFT + strip + 80.0, 20.0) };
        for (at, drawn) in seen.next.iter().enumerate() {
            let y = heading + ROW * (at as f64 + 0.8);
            svg.text(LEFT - 6.0, y + 4.0, "", Anchor::End, &self.piece(drawn.id));
            let row = rows.row(at);
            let most = row.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
            svg.vector([LEFT, y, strip], row, most, true);
            let value = logit(drawn);
            svg.text(LEFT + strip + 72.0, y + 4.0, "", Anchor::End, &format!("{value:.2}"));
            svg.bar_from(zero, y - 5.5, longest * value / most_logit);
            let wide = 200.0 * shares[at];
            svg.bar_from(LEFT + strip + 110.0, y - 5.5, wide);
            let said = percent(shares[at]);
            svg.text(LEFT + strip + 116.0 + wide, y + 4.0, "", Anchor::Start, said.trim_start());
        }
        let y = svg.size.1 - 6.0;
        svg.text(
            LEFT,
            y,
            "faint",
            Anchor::Start,
            "blue: weights, the same for every text; orange: data, of this text; violet: below zero",
        );
        Ok(svg)
    }
}
