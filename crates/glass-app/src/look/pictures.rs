//! Draws the results. Rows are queries and columns keys, or the reverse with --transpose; discs are data, squares
//! weights.

use glass::next_token::{Drawn, Sampler, Sampling};
use glass::probe::{Part, Site};

use super::charts;
use super::names::{self, Names};
use super::seen::Seen;
use crate::draw::columns::percent;
use crate::draw::svg::{Anchor, SLANT, Svg, every, label, label_in, named};
use crate::fail::Fail;
use crate::model_arg::NamedModel;
use crate::out::count;

/// The space for labels on the left and at the top.
const LEFT: f64 = 92.0;
const ABOVE: f64 = 84.0;
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
        let (tokens, vocabulary) = (seen.ids.len(), seen.model.config().vocabulary);
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
        Ok(vec![
            Picture::new(
                "Attention of all blocks",
                format!(
                    "Every head's pattern, a row for each block, the last on top. A disc's area is the share of a row's attention.{faint}"
                ),
                overview,
            ),
            Picture::new(
                format!("Block {layer}: where every head looks"),
                "A disc's area is the share of a row's attention that goes to a column. Rows sum to one.",
                self.heads()?,
            ),
            Picture::new(
                format!("{named}: from products to the pattern"),
                "First, every query times every key. Second, scaled, with later keys masked. Third, after the softmax.",
                self.steps()?,
            ),
            Picture::new(
                format!("{named}: what the last token takes in"),
                format!(
                    "Each token's value, times the pattern; their sum (z) is multiplied by value_up and added to the vector.{}",
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
                    "The last vector times a token's row of the unembedding is its logit; the softmax makes probabilities of the logits.{}",
                    charts::left_out(vocabulary, seen.next.len(), "token")
                ),
                self.answer()?,
            ),
            self.decided(),
            self.by_word(),
        ])
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

    /// Small patterns of every head of every block; and the smallest share that is drawn.
    fn overview(&self) -> Result<(Svg, f64), Fail> {
        const GAP: f64 = 8.0;
        let (config, len) = (self.seen.model.config(), self.seen.ids.len());
        let (layers, heads) = (config.layers, config.heads.query);
        let side = ((WIDTH - LEFT) / heads as f64 - GAP).clamp(24.0, 150.0);
        let cell = side / len as f64;
        // The smallest visible disc has a radius of a quarter of a unit.
        let least = if cell < 4.0 { (0.25 / (0.48 * cell)).powi(2).clamp(0.05, 0.5) } else { 0.0 };
        let mut svg = Svg::new(LEFT + (side + GAP) * heads as f64, 24.0 + (side + GAP) * layers as f64);
        for head in 0..heads {
            let x = LEFT + (side + GAP) * head as f64 + 0.5 * side;
            let name = if side < 50.0 { head.to_string() } else { format!("head {head}") };
            svg.text(x, 14.0, "faint", Anchor::Middle, &name);
        }
        for layer in 0..layers {
            let y = 22.0 + (side + GAP) * (layers - 1 - layer) as f64;
            svg.text(LEFT - 8.0, y + 0.5 * side + 4.0, "", Anchor::End, &format!("block {layer}"));
            let pattern = self.seen.record.get(Site::Block(layer, Part::Pattern))?;
            for head in 0..heads {
                let x = LEFT + (side + GAP) * head as f64;
                svg.frame([x, y, side, side], "axis", false);
                for query in 0..len {
                    for (key, &share) in pattern.row(head * len + query)[..=query].iter().enumerate() {
                        let (row, col) = if self.transposed { (key, query) } else { (query, key) };
                        let (x, y) = (x + (col as f64 + 0.5) * cell, y + (row as f64 + 0.5) * cell);
                        if f64::from(share) >= least {
                            svg.data(x, y, 0.48 * cell, share.into());
                        }
                    }
                }
            }
        }
        Ok((svg, least))
    }

    fn token(&self, position: usize) -> String {
        self.piece(self.seen.ids[position])
    }

    fn piece(&self, id: u32) -> String {
        label(&token(self.seen.model, id))
    }

    /// A square of numbers, each as a share of `most`, with its labels.
    fn square(
        &self,
        svg: &mut Svg,
        x: f64,
        y: f64,
        cell: f64,
        square: &dyn Fn(usize, usize) -> f64,
        labels: bool,
    ) {
        let len = self.seen.ids.len();
        let side = cell * len as f64;
        svg.frame([x, y, side, side], "axis", true);
        let every = every(cell);
        for row in 0..len {
            let middle = y + (row as f64 + 0.5) * cell;
            if row % every == 0 {
                if labels {
                    svg.text(x - 6.0, middle + 3.5, "", Anchor::End, &self.token(row));
                }
                svg.upwards(x + (row as f64 + 0.6) * cell, y - 5.0, &self.token(row));
            }
            for col in 0..len {
                let (query, key) = if self.transposed { (col, row) } else { (row, col) };
                svg.data(x + (col as f64 + 0.5) * cell, middle, 0.48 * cell, square(query, key));
            }
        }
    }

    /// Explains the axes, and says which labels are left out.
    fn axes(&self, svg: &mut Svg, y: f64, cell: f64) {
        let text = match self.transposed {
            false => "rows: queries (the attending token); columns: keys",
            true => "rows: keys; columns: queries (the attending token)",
        };
        let text = format!("{text}{}", named(every(cell), "token"));
        svg.text(LEFT, y, "faint", Anchor::Start, &text);
    }

    fn heads(&self) -> Result<Svg, Fail> {
        let (len, heads) = (self.seen.ids.len(), self.seen.model.config().heads.query);
        let pattern = &self.seen.record.get(Site::Block(self.layer, Part::Pattern))?;
        // As many side by side as leave visible cells.
        let cell = |across: usize| (((WIDTH - LEFT - SLANT) / across as f64 - 14.0) / len as f64).min(26.0);
        let across = (1..=heads.clamp(1, 4)).rev().find(|&across| cell(across) >= 6.5).unwrap_or(1);
        let cell = cell(across).max(3.0);
        let each = (cell * len as f64 + 14.0, cell * len as f64 + ABOVE);
        let mut svg =
            Svg::new(LEFT + each.0 * across as f64 + SLANT, each.1 * heads.div_ceil(across) as f64 + 18.0);
        for head in 0..heads {
            let (x, y) = (LEFT + each.0 * (head % across) as f64, each.1 * (head / across) as f64);
            svg.text(x, y + 12.0, "head", Anchor::Start, &format!("head {head}"));
            let share = |query: usize, key: usize| f64::from(pattern.row(head * len + query)[key]);
            self.square(&mut svg, x, y + ABOVE - 8.0, cell, &share, head % across == 0);
        }
        let y = svg.size.1 - 4.0;
        self.axes(&mut svg, y, cell);
        Ok(svg)
    }

    fn steps(&self) -> Result<Svg, Fail> {
        let (len, head) = (self.seen.ids.len(), self.head);
        // Side by side; or one below another if there would be no room for a label of every token.
        let beside = ((WIDTH - LEFT - SLANT) / 3.0 - 20.0).min(26.0 * len as f64) / len as f64;
        let below = every(beside) > 1;
        let cell = if below { ((WIDTH - LEFT - SLANT) / len as f64).min(14.0) } else { beside };
        let side = cell * len as f64;
        let (across, down) = if below { (1.0, 3.0) } else { (3.0, 1.0) };
        let mut svg = Svg::new(LEFT + across * (side + 20.0) + SLANT, down * (side + ABOVE) + 20.0);
        for (at, (part, name)) in [
            (Part::Scores, "query · key"),
            (Part::Masked, "scaled and masked"),
            (Part::Pattern, "after the softmax"),
        ]
        .into_iter()
        .enumerate()
        {
            let square = &self.seen.record.get(Site::Block(self.layer, part))?;
            let value = |query: usize, key: usize| square.row(head * len + query)[key];
            let all = (0..len).flat_map(|query| (0..len).map(move |key| (query, key)));
            let finite = all.map(|(query, key)| value(query, key)).filter(|value| value.is_finite());
            let most = finite.fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
            let at = at as f64;
            let (x, y) = if below { (LEFT, at * (side + ABOVE)) } else { (LEFT + at * (side + 20.0), 0.0) };
            svg.text(x, y + 12.0, "head", Anchor::Start, &format!("{name}, at most {most:.2}"));
            let share = |query: usize, key: usize| match value(query, key) {
                value if value.is_finite() => f64::from(value / most),
                _ => 0.0,
            };
            self.square(&mut svg, x, y + ABOVE - 8.0, cell, &share, below || at == 0.0);
        }
        let y = svg.size.1 - 4.0;
        self.axes(&mut svg, y, cell);
        Ok(svg)
    }

    fn update(&self) -> Result<Svg, Fail> {
        let config = self.seen.model.config();
        let (len, size) = (self.seen.ids.len(), config.heads.size);
        let last = len - 1;
        let pattern =
            self.seen.record.get(Site::Block(self.layer, Part::Pattern))?.row(self.head * len + last);
        let values = self.head / (config.heads.query / config.heads.key) * size;
        let all = self.seen.record.get(Site::Block(self.layer, Part::Value))?;
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
        let note = "columns: positions, with their tokens, and each layer's prediction of the next token; · is a space";
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

/// A token's text with a dot for its space, which every font has.
pub fn token(model: &NamedModel, id: u32) -> String {
    model.piece(id).replace('␣', "·")
}
