//! Patterns of attention as squares: of all heads of all blocks, of a block's heads, and step by step of one head.

use glass::probe::{Part, Site};

use super::{LEFT, Pictures, WIDTH};
use crate::draw::svg::{Anchor, LETTER, SLANT, Svg, every, named, reach};
use crate::fail::Fail;

/// Room for the title of a square, above its labels.
const TITLE: f64 = 18.0;

impl Pictures<'_> {
    /// What rows and columns are.
    pub(super) fn rows_and_columns(&self) -> &'static str {
        match self.transposed {
            false => "rows are queries and columns keys",
            true => "rows are keys and columns queries",
        }
    }

    /// Every head of every block, small; and the share that is too small to be drawn.
    pub(super) fn overview(&self) -> Result<(Svg, f64), Fail> {
        const GAP: f64 = 8.0;
        let (config, len) = (self.seen.model.config(), self.seen.ids.len());
        let (layers, heads) = (config.layers, config.heads.query);
        let side = ((WIDTH - LEFT) / heads as f64 - GAP).clamp(24.0, 150.0);
        let cell = side / len as f64;
        // A disc of a quarter of a unit is the least that one sees.
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

    /// The axes in words, and what their labels leave out.
    fn axes(&self, svg: &mut Svg, y: f64, cell: f64) {
        let rows = self.rows_and_columns();
        let text = format!("{rows}; a query is the token that looks{}", named(every(cell), "token"));
        svg.text(LEFT, y, "faint", Anchor::Start, &text);
    }

    pub(super) fn heads(&self) -> Result<Svg, Fail> {
        let (len, heads) = (self.seen.ids.len(), self.seen.model.config().heads.query);
        let pattern = &self.seen.record.get(Site::Block(self.layer, Part::Pattern))?;
        // As many beside each other as leave cells that can be seen.
        let cell = |across: usize| (((WIDTH - LEFT - SLANT) / across as f64 - 14.0) / len as f64).min(26.0);
        let across = (1..=heads.clamp(1, 4)).rev().find(|&across| cell(across) >= 6.5).unwrap_or(1);
        let cell = cell(across).max(3.0);
        let above = self.above();
        // As far apart as their titles need.
        let each = ((cell * len as f64 + 14.0).max(8.0 * LETTER), cell * len as f64 + above + 8.0);
        let mut svg =
            Svg::new(LEFT + each.0 * across as f64 + SLANT, each.1 * heads.div_ceil(across) as f64 + 18.0);
        for head in 0..heads {
            let (x, y) = (LEFT + each.0 * (head % across) as f64, each.1 * (head / across) as f64);
            svg.text(x, y + 12.0, "head", Anchor::Start, &format!("head {head}"));
            let share = |query: usize, key: usize| f64::from(pattern.row(head * len + query)[key]);
            self.square(&mut svg, x, y + above, cell, &share, head % across == 0);
        }
        let y = svg.size.1 - 4.0;
        self.axes(&mut svg, y, cell);
        Ok(svg)
    }

    pub(super) fn steps(&self) -> Result<Svg, Fail> {
        let (len, head) = (self.seen.ids.len(), self.head);
        // Beside each other, or where every token would not have its label, below each other.
        let beside = ((WIDTH - LEFT - SLANT) / 3.0 - 20.0).min(26.0 * len as f64) / len as f64;
        let below = every(beside) > 1;
        let cell = if below { ((WIDTH - LEFT - SLANT) / len as f64).min(14.0) } else { beside };
        let side = cell * len as f64;
        let (across, down) = if below { (1.0, 3.0) } else { (3.0, 1.0) };
        let above = self.above();
        let titled = self.titled_steps()?;
        // As far apart as their titles need.
        let longest = titled.iter().map(|(.., title)| title.chars().count()).max().unwrap_or(0);
        let apart = (side + 20.0).max(LETTER * (longest + 2) as f64);
        let wide = if below { side.max(apart) } else { across * apart };
        let mut svg = Svg::new(LEFT + wide + SLANT, down * (side + above + 8.0) + 20.0);
        for (at, (part, most, title)) in titled.iter().enumerate() {
            let square = &self.seen.record.get(Site::Block(self.layer, *part))?;
            let value = |query: usize, key: usize| square.row(head * len + query)[key];
            let at = at as f64;
            let (x, y) = if below { (LEFT, at * (side + above + 8.0)) } else { (LEFT + at * apart, 0.0) };
            svg.text(x, y + 12.0, "head", Anchor::Start, title);
            let share = |query: usize, key: usize| match value(query, key) {
                value if value.is_finite() => f64::from(value / most),
                _ => 0.0,
            };
            self.square(&mut svg, x, y + above, cell, &share, below || at == 0.0);
        }
        let y = svg.size.1 - 4.0;
        self.axes(&mut svg, y, cell);
        Ok(svg)
    }

    /// The steps from products to the pattern: of each, its number of the largest magnitude and a title that gives it.
    fn titled_steps(&self) -> Result<Vec<(Part, f32, String)>, Fail> {
        let (len, head) = (self.seen.ids.len(), self.head);
        let steps = [
            (Part::Scores, "query × key"),
            (Part::Masked, "scaled and masked"),
            (Part::Pattern, "after the softmax"),
        ];
        let titled = steps.into_iter().map(|(part, name)| {
            let square = self.seen.record.get(Site::Block(self.layer, part))?;
            let all = (0..len).flat_map(|query| square.row(head * len + query).to_vec());
            let largest = all
                .filter(|value| value.is_finite())
                .fold(0.0, |most: f32, value| if value.abs() > most.abs() { value } else { most });
            let title = format!("{name} (largest: {:.2})", largest + 0.0);
            Ok((part, largest.abs().max(f32::MIN_POSITIVE), title))
        });
        titled.collect()
    }

    /// Room above a square: its title, and its labels below that.
    fn above(&self) -> f64 {
        let labels: Vec<String> = (0..self.seen.ids.len()).map(|at| self.token(at)).collect();
        TITLE + reach(labels.iter().map(String::as_str))
    }
}
