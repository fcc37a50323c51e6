//! Checks the sizes of a configuration; each error says which size is wrong.

use super::object::LARGEST;
use super::{Config, Factors, LayerAttention, Norm, Positions, Scaling, ScoreFactor};
use crate::{Error, Result};

/// More blocks than any model has; prevents a plan of absurd length from being built.
const MOST_LAYERS: usize = 1 << 16;

impl Config {
    /// Refuses sizes that are invalid or whose weights could not be counted. A configuration that passes can be
    /// planned.
    pub fn check(&self) -> Result<()> {
        let heads = self.heads;
        let sizes = [
            ("vocabulary", self.vocabulary, LARGEST),
            ("context", self.context, LARGEST),
            ("width", self.width, LARGEST),
            ("layers", self.layers, MOST_LAYERS),
            ("heads", heads.query, LARGEST),
            ("key heads", heads.key, LARGEST),
            ("size of a head", heads.size, LARGEST),
            ("mlp width", self.mlp_width, LARGEST),
        ];
        for (name, size, most) in sizes {
            if size < 1 || size > most {
                return Err(Error::invalid_argument(name, format!("is {size}; it must be from 1 to {most}")));
            }
        }
        if !heads.query.is_multiple_of(heads.key) {
            let why = format!("{} do not divide {} query heads into equal groups", heads.key, heads.query);
            return Err(Error::invalid_argument("key heads", why));
        }
        let Norm { epsilon, .. } = self.norm;
        if !(epsilon.is_finite() && epsilon > 0.0) {
            return Err(Error::invalid_argument(
                "epsilon",
                format!("is {epsilon}; a small number above 0 was expected"),
            ));
        }
        if self.attention.is_empty() {
            return Err(Error::invalid_argument(
                "attention",
                "is empty; the choices of a layer were expected",
            ));
        }
        self.attention.iter().try_for_each(|layer| self.check_layer(layer))?;
        (0..self.layers).try_for_each(|layer| self.check_keys(layer))?;
        self.check_numbers()?;
        self.check_total()
    }

    fn check_layer(&self, layer: &LayerAttention) -> Result<()> {
        if layer.window == Some(0) {
            return Err(Error::invalid_argument(
                "band",
                "is 0; a banded layer must see at least one position",
            ));
        }
        let Some(rotary) = &layer.rotary else { return Ok(()) };
        let (width, size) = (rotary.width, self.heads.size);
        if width < 2 || width % 2 != 0 || width > size {
            let why = format!("is {width}; an even number from 2 to the {size} of a head was expected");
            return Err(Error::invalid_argument("rotated part of a head", why));
        }
        if !(rotary.base.is_finite() && rotary.base > 1.0) {
            let why = format!("is {}; a number above 1 was expected", rotary.base);
            return Err(Error::invalid_argument("base of the rotation", why));
        }
        check_scaling(&rotary.scaling, width)
    }

    /// The layer whose keys and values a layer reads is before it and has its own.
    fn check_keys(&self, layer: usize) -> Result<()> {
        let why = match self.attention_of(layer).keys_from {
            None => return Ok(()),
            Some(from) if from == 0 || from > layer => {
                format!(
                    "layer {layer}, counted from 0, reads those of {from} layers before it; there must be such a layer"
                )
            }
            Some(from) if !self.has_keys(layer - from) => {
                format!("layer {layer} reads those of layer {}, which has none of its own", layer - from)
            }
            Some(_) => return Ok(()),
        };
        Err(Error::invalid_argument("keys and values of another layer", why))
    }

    /// Constant factors and caps.
    fn check_numbers(&self) -> Result<()> {
        let Factors { embedding, branch, logits, logit_cap } = self.factors;
        let factor = match self.scores.factor {
            ScoreFactor::RootOfSize => 1.0,
            ScoreFactor::Number(factor) => factor,
        };
        let numbers = [
            ("factor of the embedding", Some(f64::from(embedding))),
            ("factor of the branches", Some(f64::from(branch))),
            ("factor of the logits", Some(f64::from(logits))),
            ("factor of the scores", Some(factor)),
            ("cap of the scores", self.scores.cap.map(f64::from)),
            ("cap of the logits", logit_cap.map(f64::from)),
        ];
        for (name, number) in numbers {
            if let Some(number) = number.filter(|number| !(number.is_finite() && *number > 0.0)) {
                return Err(Error::invalid_argument(
                    name,
                    format!("is {number}; a number above 0 was expected"),
                ));
            }
        }
        match self.scores.by_position {
            Some(scale) if scale.original == 0 || !(scale.beta.is_finite() && scale.beta >= 0.0) => {
                let why = format!("is {scale:?}; a context above 0 and a number from 0 were expected");
                Err(Error::invalid_argument("scale of queries by position", why))
            }
            _ => Ok(()),
        }
    }

    /// All weights, as f32, must be addressable. The sums cannot overflow: every factor is at most 2³¹.
    fn check_total(&self) -> Result<()> {
        let [v, t, w, l] = [self.vocabulary, self.context, self.width, self.layers].map(|n| n as u128);
        let [q, k, s, h] =
            [self.heads.query, self.heads.key, self.heads.size, self.mlp_width].map(|n| n as u128);
        // At most: every matrix with a bias, four norms, norms over all queries and keys, sinks.
        let attention = (2 * q + 2 * k) * s * w + (q + 2 * k) * s + w + (q + k) * s + q;
        let mlp = 3 * w * h + 2 * h + w;
        let block = attention + mlp + 8 * w;
        let positions = if self.positions == Positions::Learned { t * w } else { 0 };
        let unembedding = if self.tied { 0 } else { v * w };
        let total = v * w + positions + unembedding + v + 2 * w + l * block;
        if total > isize::MAX as u128 / 4 {
            let why = format!("{total} weights are more than this machine can address; give smaller sizes");
            return Err(Error::invalid_argument("sizes", why));
        }
        Ok(())
    }
}

/// Refuses factors that are not above 0, and lists that are not as long as there are pairs.
fn check_scaling(scaling: &Scaling, width: usize) -> Result<()> {
    let (numbers, original): (&[f64], usize) = match scaling {
        Scaling::None => (&[], 1),
        Scaling::Linear { factor } => (&[*factor], 1),
        Scaling::Dynamic { factor, original } => (&[*factor], *original),
        &Scaling::Llama3 { factor, low, high, original } => {
            if high <= low {
                let why = format!("is {high}; a number above that for low ones, {low}, was expected");
                return Err(Error::invalid_argument("factor for high frequencies", why));
            }
            (&[factor, low, high], original)
        }
        &Scaling::Yarn { factor, fast, slow, original, amplitude, .. } => {
            (&[factor, fast, slow, amplitude], original)
        }
        Scaling::LongRope { short, long, original, amplitude } => {
            for list in [short, long] {
                if list.len() != width / 2 || list.iter().any(|number| !(number.is_finite() && *number > 0.0))
                {
                    let why = format!("must be {} numbers above 0, one for every pair", width / 2);
                    return Err(Error::invalid_argument("factors of the rotation", why));
                }
            }
            (&[*amplitude], *original)
        }
    };
    match numbers.iter().all(|number| number.is_finite() && *number > 0.0) && original > 0 {
        true => Ok(()),
        false => {
            let why = format!("is {scaling:?}; numbers above 0 were expected");
            Err(Error::invalid_argument("scaling of the rotation", why))
        }
    }
}
