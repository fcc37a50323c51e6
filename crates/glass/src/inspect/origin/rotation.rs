//! Rotary positions: two numbers of a head are turned together, by an angle that grows with the position.

use super::{Factor, Input, Kind, Number, Origin, Rows, Tracer};
use crate::Result;
use crate::backend::{Backend, Pairs};
use crate::config::Rotary;
use crate::memory::turns_at;
use crate::probe::{Part, Site};

impl<B: Backend> Tracer<'_, B> {
    /// A query or key after its rotation.
    pub(super) fn rotated(
        &self,
        value: f64,
        layer: usize,
        part: Part,
        position: usize,
        index: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let config = self.config();
        let rotary = config.attention_of(layer).rotary.as_ref().expect("a site of a rotated layer");
        let from = Site::Block(layer, self.turned_from(part));
        let (row, within) = (rows(from, 0, position)?, index % config.heads.size);
        let number = |index| Number::At { site: from, position, head: 0, index };
        let input = |index: usize, times: Option<f64>| {
            let mut input = self.input(number(index), Kind::Data, row[index].into());
            let constant = |value| Factor { number: None, kind: Kind::Constant, value, rounded: None };
            input.times = times.map(constant);
            Input { part: Some(f64::from(row[index]) * times.unwrap_or(1.0)), ..input }
        };
        let Some((pair, is_first)) = pair(rotary, within) else {
            let equation = format!("copied: only the first {} numbers of a head are rotated", rotary.width);
            let inputs = vec![input(index, None)];
            return Ok(Origin { sum: row[index].into(), inputs, ..Origin::of(value, equation) });
        };
        let (cos, sin) = turns_at(config, rotary, part == Part::QueryRotated, position)[pair];
        let distance = match rotary.pairs {
            Pairs::Halves => rotary.width / 2,
            Pairs::Neighbours => 1,
        };
        let (other, sine) = if is_first { (index + distance, -sin) } else { (index - distance, sin) };
        let inputs = vec![input(index, Some(cos.into())), input(other, Some(sine.into()))];
        let sum = inputs.iter().filter_map(|input| input.part).sum();
        let what = if is_first { "x cos − y sin" } else { "x cos + y sin" };
        let equation = format!(
            "{what}: the numbers {within} and {} of the head are rotated by an angle that grows with the position, here {position}",
            other % config.heads.size
        );
        Ok(Origin { sum, inputs, ..Origin::of(value, equation) })
    }

    /// What is rotated.
    fn turned_from(&self, part: Part) -> Part {
        let normed_first = self.config().query_key_norm.is_some_and(|norm| !norm.after_rotation);
        match (part, normed_first) {
            (Part::QueryRotated, true) => Part::QueryNorm,
            (Part::QueryRotated, false) => Part::Query,
            (_, true) => Part::KeyNorm,
            (_, false) => Part::Key,
        }
    }
}

/// The pair that a number of a head belongs to, and whether it is the first of the two; none if it is not rotated.
fn pair(rotary: &Rotary, within: usize) -> Option<(usize, bool)> {
    let half = rotary.width / 2;
    (within < rotary.width).then_some(match rotary.pairs {
        Pairs::Halves => (within % half, within < half),
        Pairs::Neighbours => (within / 2, within.is_multiple_of(2)),
    })
}
