//! Rotary positions: pairs of numbers of a head are rotated by angles that grow with the position (Su et al. 2021), and how
//! these angles are scaled for contexts longer than those that were learned.

use std::f64::consts::TAU;

use super::Pairs;

/// How queries and keys of a layer are rotated: pair `i` of a head by `position × base^(−2i / width)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// The base of the angles.
    pub base: f64,
    /// How many numbers of a head are rotated, from its first on.
    pub width: usize,
    /// Which of them are a pair.
    pub pairs: Pairs,
    /// Whether the rotation is by the negative angle.
    pub reversed: bool,
    /// How angles are scaled.
    pub scaling: Scaling,
}

/// How the angles of rotary positions are scaled. `original` is the context that was learned first.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// They are not.
    None,
    /// All are divided by a factor (Chen et al. 2023).
    Linear {
        /// The factor.
        factor: f64,
    },
    /// The base grows with the context (bloc97 2023, "dynamic NTK").
    Dynamic {
        /// The factor.
        factor: f64,
        /// The context up to which the base is unchanged.
        original: usize,
    },
    /// Low frequencies are divided by a factor, high ones are not (Llama 3.1).
    Llama3 {
        /// The factor.
        factor: f64,
        /// Wavelengths above `original / low` are low frequencies.
        low: f64,
        /// Wavelengths below `original / high` are high frequencies.
        high: f64,
        /// The original context.
        original: usize,
    },
    /// The same with a ramp over pairs, and a factor of cosine and sine (Peng et al. 2023).
    Yarn {
        /// The factor.
        factor: f64,
        /// Pairs that turn more often than this in the original context keep their angle.
        fast: f64,
        /// Pairs that turn less often than this are divided by the factor.
        slow: f64,
        /// Whether the ends of the ramp are rounded to whole pairs.
        truncate: bool,
        /// The original context.
        original: usize,
        /// What cosine and sine are multiplied by.
        amplitude: f64,
    },
    /// Every pair has a divisor of its own: one set for contexts up to the original one, one for longer ones (Ding et al.
    /// 2024).
    LongRope {
        /// Divisors for the original context.
        short: Vec<f64>,
        /// Divisors for longer contexts.
        long: Vec<f64>,
        /// The original context.
        original: usize,
        /// What cosine and sine are multiplied by.
        amplitude: f64,
    },
}

/// Queries are multiplied by `1 + beta ln(1 + ⌊position / original⌋)` (Llama 4, "temperature tuning").
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PositionScale {
    /// How fast it grows.
    pub beta: f64,
    /// The context without a change.
    pub original: usize,
}

impl PositionScale {
    /// The factor at a position.
    pub fn at(self, position: usize) -> f64 {
        1.0 + self.beta * (1.0 + (position / self.original) as f64).ln()
    }
}

impl Rotary {
    /// All numbers of a head of this size are rotated, its first half with its second.
    pub fn new(base: f64, size: usize) -> Rotary {
        Rotary { base, width: size, pairs: Pairs::Halves, reversed: false, scaling: Scaling::None }
    }

    /// The angle of each pair per position, and what cosine and sine are multiplied by, for passes over contexts of at most
    /// `context` positions. `transformers` chooses by the length of each text; here a model that runs with a long context
    /// does so from its first position on, so that an angle never depends on what comes later.
    pub fn frequencies(&self, context: usize) -> (Vec<f64>, f64) {
        let width = self.width as f64;
        let usual = |base: f64| -> Vec<f64> {
            (0..self.width / 2).map(|pair| base.powf(-2.0 * pair as f64 / width)).collect()
        };
        let mut frequencies = usual(self.base);
        let mut amplitude = 1.0;
        match &self.scaling {
            Scaling::None => {}
            Scaling::Linear { factor } => frequencies.iter_mut().for_each(|angle| *angle /= factor),
            Scaling::Dynamic { factor, original } => {
                let longer = (context as f64 / *original as f64).max(1.0);
                let by = factor * longer - (factor - 1.0);
                frequencies = usual(self.base * by.powf(width / (width - 2.0)));
            }
            &Scaling::Llama3 { factor, low, high, original } => {
                let original = original as f64;
                for angle in &mut frequencies {
                    let turns = original / (TAU / *angle);
                    let smooth = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    *angle = (1.0 - smooth) * *angle / factor + smooth * *angle;
                }
            }
            Scaling::Yarn { .. } => amplitude = self.yarn(&mut frequencies),
            Scaling::LongRope { short, long, original, amplitude: by } => {
                let divisors = if context > *original { long } else { short };
                frequencies.iter_mut().zip(divisors).for_each(|(angle, divisor)| *angle /= divisor);
                amplitude = *by;
            }
        }
        if self.reversed {
            frequencies.iter_mut().for_each(|angle| *angle = -*angle);
        }
        (frequencies, amplitude)
    }

    fn yarn(&self, frequencies: &mut [f64]) -> f64 {
        let Scaling::Yarn { factor, fast, slow, truncate, original, amplitude } = self.scaling else {
            return 1.0;
        };
        // The pair that turns this often in the original context.
        let pair =
            |turns: f64| self.width as f64 * (original as f64 / (turns * TAU)).ln() / (2.0 * self.base.ln());
        let (mut first, mut last) = (pair(fast), pair(slow));
        if truncate {
            (first, last) = (first.floor(), last.ceil());
        }
        let (first, last) = (first.max(0.0), last.min(self.width as f64 - 1.0));
        // As in the reference, a ramp of no length gets a little.
        let length = if first == last { 0.001 } else { last - first };
        for (i, angle) in frequencies.iter_mut().enumerate() {
            let divided = ((i as f64 - first) / length).clamp(0.0, 1.0);
            *angle = *angle / factor * divided + *angle * (1.0 - divided);
        }
        amplitude
    }
}
