//! The steps of attention from queries, keys and values to what each head adds.

use std::ops::Range;

use super::product::{Products, bf16};
use super::{Factor, Input, Kind, Number, Origin, Rows, Tracer, largest};
use crate::Result;
use crate::backend::{BLOCK, Backend, Heads, InputRounding};
use crate::config::{NormKind, ScoreFactor};
use crate::probe::{Part, Site};

impl<B: Backend> Tracer<'_, B> {
    /// The columns of a query head, and of the key head that it shares.
    fn columns(&self, head: usize) -> [Range<usize>; 2] {
        let heads = self.config().heads;
        [head, head / (heads.query / heads.key)].map(|head| head * heads.size..(head + 1) * heads.size)
    }

    /// A number as attention reads it: in 16 bits, if keys and values are kept so.
    fn cached(&self, x: f32) -> f64 {
        if self.short_cache() { bf16(x) } else { x.into() }
    }

    fn rounded(&self, x: f32) -> Option<f64> {
        Some(self.cached(x)).filter(|&used| used != f64::from(x))
    }

    /// A query times a key.
    pub(super) fn score(
        &self,
        value: f64,
        layer: usize,
        position: usize,
        head: usize,
        key: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let [queries, keys] = self.columns(head);
        if key < self.visible(layer, position).start {
            return Ok(self.unseen(value, layer, position, key));
        }
        let (at, of) = (Site::query(self.config(), layer), Site::key(self.config(), layer));
        let (query, keyed) = (rows(at, 0, position)?, rows(of, 0, key)?);
        let pairs = queries.clone().zip(keys.clone());
        let parts: Vec<f64> = pairs.map(|(q, k)| self.cached(query[q]) * self.cached(keyed[k])).collect();
        let (listed, more, more_sum) = largest(&parts, self.listed);
        let input = |i: usize| {
            let (q, k) = (queries.start + i, keys.start + i);
            let number = Number::At { site: at, position, head: 0, index: q };
            let mut input = self.input(number, Kind::Data, query[q].into());
            input.factor.rounded = self.rounded(query[q]);
            input.times = Some(Factor {
                number: Some(Number::At { site: of, position: key, head: 0, index: k }),
                kind: Kind::Data,
                value: keyed[k].into(),
                rounded: self.rounded(keyed[k]),
            });
            Input { part: Some(parts[i]), ..input }
        };
        let inputs = listed.into_iter().map(input).collect();
        let mut equation = format!("the sum of query × key over the {} numbers of the head", queries.len());
        if self.short_cache() {
            equation += "; both are rounded to 16 bits (bf16), as keys are kept";
        }
        Ok(Origin { inputs, more, more_sum, sum: parts.iter().sum(), ..Origin::of(value, equation) })
    }

    /// The keys that a query sees.
    fn visible(&self, layer: usize, position: usize) -> Range<usize> {
        let visible = self.config().heads_of(layer).visible(position);
        visible.first..visible.end
    }

    /// The score of a key that the query does not see.
    fn unseen(&self, value: f64, layer: usize, position: usize, key: usize) -> Origin {
        let equation = match self.config().attention_of(layer).window {
            Some(window) if key < position => {
                format!(
                    "−∞: the query sees the last {window} positions, its own among them, and the key's is before them"
                )
            }
            _ => "−∞: the key's position is after the query's, which must not see it".into(),
        };
        Origin { sum: f64::NEG_INFINITY, ..Origin::of(value, equation) }
    }

    /// A score, scaled and held under its cap; −∞ for a key that the query does not see.
    pub(super) fn masked(
        &self,
        value: f64,
        layer: usize,
        position: usize,
        head: usize,
        key: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        if !self.visible(layer, position).contains(&key) {
            return Ok(self.unseen(value, layer, position, key));
        }
        let site = Site::Block(layer, Part::Scores);
        let (score, scale) = (rows(site, head, position)?[key], self.config().heads_of(layer).scale);
        let (score, scale) = (f64::from(score), f64::from(scale));
        let number = Number::At { site, position, head, index: key };
        let mut input = self.input(number, Kind::Data, score);
        input.times = Some(Factor { number: None, kind: Kind::Constant, value: scale, rounded: None });
        input.part = Some(score * scale);
        let scores = self.config().scores;
        let equation = match scores.factor == ScoreFactor::RootOfSize && !scores.by_layer {
            true => format!("score × {scale}, a constant (1 / √{})", self.config().heads.size),
            false => format!("score × {scale}, a constant of this block"),
        };
        let origin = Origin { inputs: vec![input], sum: score * scale, ..Origin::of(value, equation) };
        Ok(origin.capped(scores.cap))
    }

    /// A head's output: values, weighted by shares.
    pub(super) fn z(
        &self,
        value: f64,
        layer: usize,
        position: usize,
        index: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let size = self.config().heads.size;
        let (head, [_, columns]) = (index / size, self.columns(index / size));
        let column = columns.start + index % size;
        let (pattern, of) = (Site::Block(layer, Part::Pattern), Site::value(self.config(), layer));
        let shares = rows(pattern, head, position)?;
        let used = match self.short_cache() {
            false => shares.iter().map(|&share| share.into()).collect(),
            true if self.squares_are_edited(layer) => shares.iter().map(|&share| bf16(share)).collect(),
            true => self.shares_in_16_bits(layer, position, head, rows)?,
        };
        let (keys, mut values) = (self.visible(layer, position), Vec::new());
        for key in keys.clone() {
            values.push(rows(of, 0, key)?[column]);
        }
        let pairs = values.iter().zip(&used[keys.start..]);
        let parts: Vec<f64> = pairs.map(|(&x, share)| self.cached(x) * share).collect();
        let (listed, more, more_sum) = largest(&parts, self.listed);
        let input = |at: usize| {
            let key = keys.start + at;
            let number = Number::At { site: pattern, position, head, index: key };
            let mut input = self.input(number, Kind::Data, shares[key].into());
            input.factor.rounded = Some(used[key]).filter(|&used| used != f64::from(shares[key]));
            input.times = Some(Factor {
                number: Some(Number::At { site: of, position: key, head: 0, index: column }),
                kind: Kind::Data,
                value: values[at].into(),
                rounded: self.rounded(values[at]),
            });
            Input { part: Some(parts[at]), ..input }
        };
        let inputs = listed.into_iter().map(input).collect();
        let mut equation = format!("the sum of share × value over the {} keys", keys.len());
        if self.short_cache() {
            equation += "; values are kept in 16 bits (bf16), and the exponentials in the shares are rounded to 16 bits too";
        }
        Ok(Origin { inputs, more, more_sum, sum: parts.iter().sum(), ..Origin::of(value, equation) })
    }

    /// The shares as the fused attention multiplies them if the cache has 16 bits: for each block of keys it rounds
    /// e^(score − the block's largest score), and divides by the sum of the exponentials at the end.
    fn shares_in_16_bits(
        &self,
        layer: usize,
        position: usize,
        head: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Vec<f64>> {
        let scores = self.fused_scores(layer, position, head, rows)?;
        let top = |scores: &[f64]| scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let most = top(&scores);
        let sink = self.sink(layer, head)?.map_or(0.0, |sink| (sink.factor.value - most).exp());
        let sum: f64 = sink + scores.iter().map(|score| (score - most).exp()).sum::<f64>();
        let block = |scores: &[f64]| {
            let own = top(scores);
            let share = move |score: &f64| match *score {
                f64::NEG_INFINITY => 0.0,
                score => bf16((score - own).exp() as f32) * (own - most).exp() / sum,
            };
            scores.iter().map(share).collect::<Vec<_>>()
        };
        Ok(scores.chunks(BLOCK).flat_map(block).collect())
    }

    /// The scaled scores of the fused attention, which scales a query before it rounds it.
    fn fused_scores(
        &self,
        layer: usize,
        position: usize,
        head: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Vec<f64>> {
        let Heads { scale, cap, .. } = self.config().heads_of(layer);
        // A power of two rounds nothing.
        if scale.to_bits() & 0x007f_ffff == 0 {
            let scores = rows(Site::Block(layer, Part::Masked), head, position)?;
            return Ok(scores[..=position].iter().map(|&score| score.into()).collect());
        }
        let [queries, columns] = self.columns(head);
        let query = rows(Site::query(self.config(), layer), 0, position)?;
        let query: Vec<f64> = query[queries].iter().map(|&x| bf16(x * scale)).collect();
        let visible = self.visible(layer, position);
        let mut scores = vec![f64::NEG_INFINITY; visible.start];
        let capped = |x: f64| cap.map_or(x, |cap| f64::from(cap) * (x / f64::from(cap)).tanh());
        for key in visible {
            let key = rows(Site::key(self.config(), layer), 0, key)?;
            let pairs = query.iter().zip(&key[columns.clone()]);
            scores.push(capped(pairs.map(|(q, &k)| q * bf16(k)).sum()));
        }
        Ok(scores)
    }

    /// What a head adds to the residual.
    pub(super) fn contribution(
        &self,
        value: f64,
        layer: usize,
        position: usize,
        head: usize,
        index: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let ([columns, _], site) = (self.columns(head), Site::Block(layer, Part::Z));
        let parameter = format!("block.{layer}.attention.value_up.weight");
        let (z, weights) = (rows(site, 0, position)?, self.rows(&parameter, &[index as u32])?.values);
        let out = Site::Block(layer, Part::AttentionOut);
        let (is_normed, config) = (self.norm(out).is_some(), self.config());
        let exact = |x: &[f32]| InputRounding::None.rounded(&x[columns.clone()]);
        let mut used_weights = exact(&weights);
        if is_normed && config.norm.kind == NormKind::Layer {
            let means = self.column_means(&parameter, columns.clone())?;
            used_weights.iter_mut().zip(means).for_each(|(weight, mean)| *weight -= mean);
        }
        let mut origin = self.products(Products {
            site,
            position,
            first: columns.start,
            inputs: &z[columns.clone()],
            used: &exact(&z),
            parameter: &parameter,
            output: index,
            weights: &weights[columns.clone()],
            used_weights: &used_weights,
        });
        origin.equation = format!(
            "the sum of z × weight over the head's {} numbers; computed beside the pass, with unrounded inputs",
            columns.len()
        );
        if !is_normed {
            return Ok(Origin { value, ..origin }.times(config.factors.branch));
        }
        // The norm is linear, once what it divides by is known.
        let (inputs, by) = self.norm_as_factor(out, position, index, rows)?;
        origin = origin.scaled(by);
        origin.inputs.extend(inputs);
        let centred = match config.norm.kind {
            NormKind::Layer => ", less the mean of the weight's column, as the norm subtracts the mean",
            NormKind::Rms => "",
        };
        let equation = format!(
            "({}){centred}, times {by}, what the norm behind attention multiplies by here",
            origin.equation
        );
        Ok(Origin { value, equation, ..origin })
    }

    /// The means of some columns of a matrix.
    fn column_means(&self, parameter: &str, columns: Range<usize>) -> Result<Vec<f64>> {
        let all: Vec<u32> = (0..self.config().width as u32).collect();
        let matrix = self.rows(parameter, &all)?;
        let mean = |column| (0..matrix.rows).map(|row| f64::from(matrix.row(row)[column])).sum::<f64>();
        Ok(columns.map(|column| mean(column) / matrix.rows as f64).collect())
    }
}
