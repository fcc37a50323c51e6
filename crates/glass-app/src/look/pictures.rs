//! What was seen, drawn. Rows are queries and columns keys, unless that is turned round; discs are numbers that flow,
//! squares numbers that were learned.

use glass::next_token::{Sampler, Sampling};
use glass::probe::{Part, Site};

use super::seen::Seen;
use crate::draw::svg::{Anchor, SLANT, Svg, label};
use crate::fail::Fail;
use crate::model_arg::Model;

/// Room for labels on the left, and above.
const LEFT: f64 = 92.0;
const ABOVE: f64 = 84.0;
/// The width of a picture.
const WIDTH: f64 = 1000.0;
/// A row of a list.
const ROW: f64 = 17.0;

/// A picture, and what it shows.
pub struct Picture {
    /// What it is of.
    pub heading: String,
    /// How it is read.
    pub explained: String,
    /// It itself.
    pub svg: Svg,
}

impl Picture {
    /// One.
    pub fn new(heading: impl Into<String>, explained: impl Into<String>, svg: Svg) -> Picture {
        Picture { heading: heading.into(), explained: explained.into(), svg }
    }
}

/// What is drawn, and what of.
pub struct Pictures<'a> {
    /// What was seen.
    pub seen: &'a Seen<'a>,
    /// The block whose heads are drawn.
    pub layer: usize,
    /// The head whose steps are drawn.
    pub head: usize,
    /// Whether rows are keys and columns queries.
    pub transposed: bool,
}

impl Pictures<'_> {
    /// All of them.
    pub fn all(&self) -> Result<Vec<Picture>, Fail> {
        let (layer, head) = (self.layer, self.head);
        Ok(vec![
            Picture::new(
                format!("Block {layer}: where every head looks"),
                "A disc's area is the share of a row's attention that goes to a column. Rows sum to one.",
                self.heads(),
            ),
            Picture::new(
                format!("Block {layer}, head {head}: from products to the pattern"),
                "Left, every query times every key. Middle, scaled, and what comes later masked. Right, after the softmax.",
                self.steps(),
            ),
            Picture::new(
                format!("Block {layer}, head {head}: what the last word takes in"),
                "Each word's value, weighed by the pattern; their sum goes through the value-up half and is added to the vector.",
                self.update(),
            ),
            Picture::new(
                "The lens: what each layer would say",
                "The residual stream of each layer through the last norm and the unembedding: the most probable token, its disc larger where surer.",
                self.lens(),
            ),
            Picture::new(
                "From the last vector to the next token",
                "The last vector times every token's row of the unembedding is its logit; the softmax makes probabilities of them.",
                self.answer()?,
            ),
        ])
    }

    fn token(&self, position: usize) -> String {
        self.piece(self.seen.ids[position])
    }

    fn piece(&self, id: u32) -> String {
        label(&token(self.seen.model, id))
    }

    /// A square of numbers, each a share of `most`, with its labels.
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
        for row in 0..len {
            let middle = y + (row as f64 + 0.5) * cell;
            if labels {
                svg.text(x - 6.0, middle + 3.5, "", Anchor::End, &self.token(row));
            }
            svg.upwards(x + (row as f64 + 0.6) * cell, y - 5.0, &self.token(row));
            for col in 0..len {
                let (query, key) = if self.transposed { (col, row) } else { (row, col) };
                svg.data(x + (col as f64 + 0.5) * cell, middle, 0.48 * cell, square(query, key));
            }
        }
    }

    /// The axes in words.
    fn axes(&self, svg: &mut Svg, y: f64) {
        let (rows, columns) = if self.transposed { ("keys", "queries") } else { ("queries", "keys") };
        let text = format!("rows: {rows} (who asks); columns: {columns}");
        let text =
            if self.transposed { format!("rows: {rows}; columns: {columns} (who asks)") } else { text };
        svg.text(LEFT, y, "faint", Anchor::Start, &text);
    }

    fn heads(&self) -> Svg {
        let (len, heads) = (self.seen.ids.len(), self.seen.model.config().heads.query);
        let pattern = &self.seen.record[Site::Block(self.layer, Part::Pattern)];
        let across = heads.clamp(1, 4);
        let room = (WIDTH - LEFT - SLANT) / across as f64;
        let cell = ((room - 14.0) / len as f64).clamp(3.0, 26.0);
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
        self.axes(&mut svg, y);
        svg
    }

    fn steps(&self) -> Svg {
        let (len, head) = (self.seen.ids.len(), self.head);
        let cell = ((WIDTH - LEFT - SLANT) / 3.0 - 20.0).min(26.0 * len as f64) / len as f64;
        let side = cell * len as f64;
        let mut svg = Svg::new(LEFT + 3.0 * (side + 20.0) + SLANT, side + ABOVE + 20.0);
        for (at, (part, name)) in [
            (Part::Scores, "query · key"),
            (Part::Masked, "scaled and masked"),
            (Part::Pattern, "after the softmax"),
        ]
        .into_iter()
        .enumerate()
        {
            let square = &self.seen.record[Site::Block(self.layer, part)];
            let value = |query: usize, key: usize| square.row(head * len + query)[key];
            let all = (0..len).flat_map(|query| (0..len).map(move |key| (query, key)));
            let finite = all.map(|(query, key)| value(query, key)).filter(|value| value.is_finite());
            let most = finite.fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
            let x = LEFT + at as f64 * (side + 20.0);
            svg.text(x, 12.0, "head", Anchor::Start, &format!("{name}, at most {most:.2}"));
            let share = |query: usize, key: usize| match value(query, key) {
                value if value.is_finite() => f64::from(value / most),
                _ => 0.0,
            };
            self.square(&mut svg, x, ABOVE - 8.0, cell, &share, at == 0);
        }
        let y = svg.size.1 - 4.0;
        self.axes(&mut svg, y);
        svg
    }

    fn update(&self) -> Svg {
        let config = self.seen.model.config();
        let (len, size) = (self.seen.ids.len(), config.heads.size);
        let last = len - 1;
        let pattern = self.seen.record[Site::Block(self.layer, Part::Pattern)].row(self.head * len + last);
        let values = self.head / (config.heads.query / config.heads.key) * size;
        let value = |position: usize| {
            &self.seen.record[Site::Block(self.layer, Part::Value)].row(position)[values..values + size]
        };
        let mixed = &self.seen.record[Site::Block(self.layer, Part::Mixed)].row(last)
            [self.head * size..(self.head + 1) * size];
        let added = &self.seen.record[Site::Block(self.layer, Part::Contribution)].row(last)
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
            let share = format!("{:.1} % ×", 100.0 * pattern[position]);
            svg.text(LEFT + 78.0, y + 4.0, "", Anchor::End, &share);
            svg.vector([LEFT + 90.0, y, strip], value(position), most, false);
        }
        let y = ROW * (strongest.len() as f64 + 0.9);
        svg.path("axis", &format!("M{:.1} {:.1}H{:.1}", LEFT + 90.0, y - 10.0, LEFT + 90.0 + strip));
        svg.text(LEFT + 78.0, y + 4.0, "head", Anchor::End, "mixed");
        svg.vector([LEFT + 90.0, y, strip], mixed, most, false);
        let y = y + 1.4 * ROW;
        svg.frame([LEFT + 90.0, y - 9.0, strip, 18.0], "square", false);
        let through = format!(
            "× value-up, {} × {}: weights, the same for every text (block.{}.attention.value_up)",
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
        svg
    }

    fn lens(&self) -> Svg {
        let readings = &self.seen.everywhere;
        let len = self.seen.ids.len();
        let shown = len.min(12);
        let first = len - shown;
        let cell = (WIDTH - LEFT) / shown as f64;
        let mut svg = Svg::new(WIDTH, ROW * (readings.len() as f64 + 2.6));
        for position in first..len {
            let x = LEFT + cell * (position - first) as f64;
            svg.text(x + 4.0, 12.0, "head", Anchor::Start, &self.token(position));
        }
        for (row, layer) in readings.iter().rev().enumerate() {
            let y = ROW * (row as f64 + 1.2);
            let number = readings.len() - 1 - row;
            let name = if number == 0 { "embedding".into() } else { format!("block {}", number - 1) };
            svg.text(LEFT - 6.0, y + 12.0, "", Anchor::End, &name);
            for (at, reading) in layer[first..].iter().enumerate() {
                let Some(top) = reading.top.first() else { continue };
                let share = f64::from(top.logprob).exp();
                let x = LEFT + cell * at as f64;
                svg.path("grid", &format!("M{x:.1} {y:.1}h{:.1}", cell - 3.0));
                svg.data(x + 8.0, y + 8.0, 6.5, share);
                svg.text(x + 18.0, y + 12.0, "", Anchor::Start, &self.piece(top.id));
            }
        }
        let y = svg.size.1 - 6.0;
        let note = "columns: positions; what is read there, and what each layer would put behind it; a disc's area is how sure; · is a space";
        svg.text(LEFT, y, "faint", Anchor::Start, note);
        svg
    }

    fn answer(&self) -> Result<Svg, Fail> {
        let seen = self.seen;
        let normed = self.seen.record[Site::Norm].row(seen.ids.len() - 1);
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
        let least = seen.next.last().map_or(0.0, |drawn| seen.logits[drawn.id as usize]).min(0.0);
        let high = seen.next.first().map_or(1.0, |drawn| seen.logits[drawn.id as usize]);
        for (at, drawn) in seen.next.iter().enumerate() {
            let y = heading + ROW * (at as f64 + 0.8);
            svg.text(LEFT - 6.0, y + 4.0, "", Anchor::End, &self.piece(drawn.id));
            let row = rows.row(at);
            let most = row.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
            svg.vector([LEFT, y, strip], row, most, true);
            let logit = seen.logits[drawn.id as usize];
            svg.text(LEFT + strip + 72.0, y + 4.0, "", Anchor::End, &format!("{logit:.2}"));
            let long = 20.0 * f64::from((logit - least) / (high - least).max(f32::MIN_POSITIVE));
            svg.frame([LEFT + strip + 80.0, y - 5.0, long, 10.0], "data", true);
            let wide = 200.0 * shares[at];
            svg.frame([LEFT + strip + 110.0, y - 5.0, wide, 10.0], "data", true);
            let said = format!("{:.1} %", 100.0 * shares[at]);
            svg.text(LEFT + strip + 116.0 + wide, y + 4.0, "", Anchor::Start, &said);
        }
        let y = svg.size.1 - 6.0;
        svg.text(
            LEFT,
            y,
            "faint",
            Anchor::Start,
            "blue was learned and is the same for every text; orange flows and is this text's; violet is below zero",
        );
        Ok(svg)
    }
}

/// A token's text with its space as a dot, which every font has.
pub fn token(model: &Model, id: u32) -> String {
    model.piece(id).replace('␣', "·")
}
