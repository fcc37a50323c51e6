//! The lines of quantised weights: how quads are read from them, and how their products are added.

use super::lanes;
use crate::lanes::integers::Integers;

/// The parts of a panel's line, as in [`Format`].
pub(super) trait Quads {
    /// Quads in a lane of the lowest bits.
    const IN_LANE: usize;
    /// Higher bits of a weight.
    const HIGH: usize;
    /// Scales of a block.
    const SCALES: usize;
    /// Whether there are minima.
    const MINIMUM: bool;
    /// Whether numbers are places in a table.
    const TABLE: bool;

    /// The lowest bits of a weight.
    const LOW: usize = 8 / Self::IN_LANE;
    /// Lanes of a block of inputs.
    const LANES: usize = lanes(Self::SCALES, Self::MINIMUM);

    /// Quad `part` of every lane, as stored; `high` holds the higher bits of the lane's first quad in its lowest bits.
    #[inline(always)]
    fn quad<V: Integers>(low: V, part: usize, high: V, table: V) -> V {
        let quad = match (Self::LOW, part) {
            (8, _) => low,
            (4, 0) => low.lower_nibbles(),
            (4, _) => low.upper_nibbles(),
            _ => low.shift_right((2 * part) as u32).masked(0x0303_0303),
        };
        let from = part * Self::HIGH;
        let high = match (Self::HIGH, from <= Self::LOW) {
            (0, _) => quad,
            (_, true) => high.shift_left((Self::LOW - from) as u32),
            (_, false) => high.shift_right((from - Self::LOW) as u32),
        };
        match (Self::HIGH, Self::TABLE) {
            (0, false) => quad,
            (0, true) => quad.look_up(table),
            _ => quad.or(high.masked((((1 << Self::HIGH) - 1) << Self::LOW) * 0x0101_0101)),
        }
    }
}

/// How the products of a block are added in integers. The sums are exact and the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sum {
    /// Quad by quad.
    Quads,
    /// Pair by pair in 16 bits, which hold all products of a block with weights of at most 4 bits.
    Pairs,
    /// Pair by pair, and each quad at once in 32 bits: 16 bits hold two products with weights of at most 7 bits.
    PairsOfQuads,
    /// The same with the magnitudes of weights of 8 bits; inputs take their signs.
    Magnitudes,
}

impl Sum {
    pub(super) const fn of<V: Integers, Q: Quads>() -> Sum {
        match V::PAIRS {
            false => Sum::Quads,
            true if Q::TABLE || Q::LOW == 8 => Sum::Magnitudes,
            true if Q::LOW + Q::HIGH <= 4 => Sum::Pairs,
            true => Sum::PairsOfQuads,
        }
    }
}

/// The formats, by their numbers.
pub(super) struct Form<
    const LOW: usize,
    const HIGH: usize,
    const SCALES: usize,
    const MINIMUM: bool,
    const TABLE: bool,
>;

impl<const LOW: usize, const HIGH: usize, const SCALES: usize, const MINIMUM: bool, const TABLE: bool> Quads
    for Form<LOW, HIGH, SCALES, MINIMUM, TABLE>
{
    const IN_LANE: usize = 8 / LOW;
    const HIGH: usize = HIGH;
    const SCALES: usize = SCALES;
    const MINIMUM: bool = MINIMUM;
    const TABLE: bool = TABLE;
}
