//! Checks the sizes of a configuration; each error says which size is wrong.

use super::object::LARGEST;
use super::{Config, Norm};
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
        if self.attention.iter().any(|layer| layer.window == Some(0)) {
            return Err(Error::invalid_argument(
                "band",
                "is 0; a banded layer must see at least one position",
            ));
        }
        self.check_total()
    }

    /// All weights, as f32, must be addressable. The sums cannot overflow: every factor is at most 2³¹.
    fn check_total(&self) -> Result<()> {
        let [v, t, w, l] = [self.vocabulary, self.context, self.width, self.layers].map(|n| n as u128);
        let [q, k, s, h] =
            [self.heads.query, self.heads.key, self.heads.size, self.mlp_width].map(|n| n as u128);
        let block = (2 * q + 2 * k) * s * w + 2 * w * h + (q + 2 * k) * s + 6 * w + h;
        let unembedding = if self.tied { 0 } else { v * w };
        let total = (v + t) * w + unembedding + 2 * w + l * block;
        if total > isize::MAX as u128 / 4 {
            let why = format!("{total} weights are more than this machine can address; give smaller sizes");
            return Err(Error::invalid_argument("sizes", why));
        }
        Ok(())
    }
}
