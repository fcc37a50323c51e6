//! Constant factors and caps, which may follow any equation.

use super::{Factor, Input, Kind, Origin};

impl Origin {
    /// What the equation gives, times a constant; every part of a sum is multiplied.
    pub(super) fn times(self, factor: f32) -> Origin {
        if factor == 1.0 {
            return self;
        }
        let equation = format!("({}) × {factor}, a constant", self.equation);
        Origin { equation, ..self.scaled(factor.into()) }
    }

    /// All parts, and their sum, times a number.
    pub(super) fn scaled(mut self, by: f64) -> Origin {
        self.inputs.iter_mut().filter_map(|input| input.part.as_mut()).for_each(|part| *part *= by);
        (self.more_sum, self.sum) = (self.more_sum * by, self.sum * by);
        self
    }

    /// What the equation gives, held between −cap and cap. What the cap takes away is an operand, so that the parts still add
    /// up to the number.
    pub(super) fn capped(mut self, cap: Option<f32>) -> Origin {
        let Some(cap) = cap else { return self };
        let (x, c) = (self.sum, f64::from(cap));
        self.sum = c * (x / c).tanh();
        let taken = self.sum - x;
        self.inputs.push(Input {
            label: format!("the cap: {cap} × tanh(x / {cap}) − x"),
            factor: Factor { number: None, kind: Kind::Constant, value: taken, rounded: None },
            times: None,
            part: Some(taken),
        });
        self.equation = format!("{cap} × tanh(x / {cap}), where x is {}", self.equation);
        self
    }
}
