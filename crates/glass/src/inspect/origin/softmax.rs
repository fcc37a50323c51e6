//! Softmaxes: the attention pattern, and the probabilities of the next token.

use super::{Input, Kind, Number, Origin, Rows, Statistic, Tracer, largest};
use crate::Result;
use crate::backend::Backend;
use crate::next_token;
use crate::probe::{Part, Site};

/// A row of numbers that a softmax makes shares of.
struct Row {
    /// The site of the numbers, and the one that the softmax is known by.
    from: Site,
    site: Site,
    position: usize,
    head: usize,
    scores: Vec<f32>,
    /// The sink of the head, which takes part like a score.
    sink: Option<Input>,
    largest: f64,
    /// e^(score − largest), and that of the sink last.
    powers: Vec<f64>,
    sum: f64,
}

impl<B: Backend> Tracer<'_, B> {
    fn softmax(&self, site: Site, position: usize, head: usize, rows: &mut Rows<'_>) -> Result<Row> {
        let (from, sink) = match site {
            Site::Block(layer, _) => (Site::Block(layer, Part::Masked), self.sink(layer, head)?),
            other => (other, None),
        };
        let scores = rows(from, head, position)?;
        let all =
            scores.iter().map(|&score| f64::from(score)).chain(sink.iter().map(|sink| sink.factor.value));
        let largest = all.clone().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = all.map(|score| (score - largest).exp()).collect();
        let sum = powers.iter().sum();
        Ok(Row { from, site, position, head, scores, sink, largest, powers, sum })
    }

    /// A head's sink, if the model has them.
    pub(super) fn sink(&self, layer: usize, head: usize) -> Result<Option<Input>> {
        let name = || format!("block.{layer}.attention.sinks");
        self.config().sinks.then(|| self.weight(&name(), 0, head)).transpose()
    }

    fn of_row(&self, row: &Row, value: f64, index: usize) -> Origin {
        let statistic = |of, value| {
            let &Row { site, position, head, .. } = row;
            self.input(Number::Statistic { of, site, position, head }, Kind::Data, value)
        };
        let inputs = vec![
            self.score_of(row, index),
            statistic(Statistic::Largest, row.largest),
            statistic(Statistic::Sum, row.sum),
        ];
        let what = if row.site == Site::Logits { "logit" } else { "score" };
        let of = if row.sink.is_some() { ", the sink's among them" } else { "" };
        let equation = format!("e^({what} − the largest {what}) / the sum of these exponentials{of}");
        Origin { sum: row.powers[index] / row.sum, inputs, ..Origin::of(value, equation) }
    }

    fn score_of(&self, row: &Row, index: usize) -> Input {
        let &Row { from, position, head, .. } = row;
        if let Some(sink) = row.sink.as_ref().filter(|_| index == row.scores.len()) {
            return sink.clone();
        }
        self.input(Number::At { site: from, position, head, index }, Kind::Data, row.scores[index].into())
    }

    /// The share of a key.
    pub(super) fn share(
        &self,
        value: f64,
        layer: usize,
        position: usize,
        head: usize,
        key: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let row = self.softmax(Site::Block(layer, Part::Pattern), position, head, rows)?;
        Ok(self.of_row(&row, value, key))
    }

    /// The probability of a token.
    pub(super) fn probability(&self, token: u32, position: usize, rows: &mut Rows<'_>) -> Result<Origin> {
        let row = self.softmax(Site::Logits, position, 0, rows)?;
        let value = next_token::logprob(&row.scores, token).exp();
        Ok(self.of_row(&row, value, token as usize))
    }

    /// The largest number and the sum.
    pub(super) fn of_softmax(&self, number: &Number, rows: &mut Rows<'_>) -> Result<Origin> {
        let &Number::Statistic { of, site, position, head } = number else {
            unreachable!("a statistic was asked for");
        };
        let row = self.softmax(site, position, head, rows)?;
        if of == Statistic::Largest {
            let scores = row.scores.iter().position(|&score| f64::from(score) == row.largest);
            let at = scores.unwrap_or(if row.sink.is_some() { row.scores.len() } else { 0 });
            let equation = format!("the largest of {} numbers", row.powers.len());
            let inputs = vec![self.score_of(&row, at)];
            return Ok(Origin { inputs, ..Origin::of(row.largest, equation) });
        }
        let (mut listed, _, more_sum) = largest(&row.powers, self.listed);
        // A key that is hidden adds nothing.
        listed.retain(|&index| row.powers[index] > 0.0);
        let seen = row.powers.iter().filter(|power| **power > 0.0).count();
        let more = seen - listed.len();
        let input = |index| Input { part: Some(row.powers[index]), ..self.score_of(&row, index) };
        let inputs = listed.into_iter().map(input).collect();
        let equation =
            format!("the sum of e^(x − the largest) over {seen} numbers, computed here in 64 bits");
        Ok(Origin { inputs, more, more_sum, sum: row.sum, ..Origin::of(row.sum, equation) })
    }
}
