//! The parameters of a plan: their names, sizes and positions in the arena. No numbers.

use std::ops::Range;

/// A handle to a parameter. Two uses are tied by copying the handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Param(u32);

impl Param {
    /// Its index in [`Plan::specs`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// How a parameter is initialised (Radford et al. 2019).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// Normal, standard deviation 0.02.
    Normal,
    /// Normal, for a matrix that writes to the residual: 0.02 / √(2 × layers), so that the sum does not grow with depth.
    Residual,
    /// Uniform between −1/√inputs and 1/√inputs, as A of an adapter is in `peft` (He et al. 2015, with a = √5).
    Uniform,
    /// Ones.
    One,
    /// Zeros.
    Zero,
}

/// One parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spec {
    /// As in `block.3.attention.query.weight`.
    pub name: String,
    /// Outputs of a matrix, entries of a table, 1 for a vector.
    pub rows: usize,
    /// Inputs of a matrix, width of a table, length of a vector.
    pub cols: usize,
    /// Index of its first row within the whole parameter: 0, except for a [range of rows](Spec::some).
    pub first: usize,
    /// Its span in the arena, in floats.
    pub span: Range<usize>,
    /// Whether weight decay applies.
    pub decay: bool,
    /// Whether it is a matrix from one hidden vector to another, which Muon updates; a table is looked up by token or position.
    pub is_hidden_matrix: bool,
    /// How it is initialised.
    pub start: Start,
}

impl Spec {
    /// Whether it is a gain or a bias, which are not decayed.
    pub fn is_vector(&self) -> bool {
        !self.decay
    }

    /// How many weights it has, also where an address has 32 bits and the arena would not fit.
    pub fn weights(&self) -> u64 {
        self.rows as u64 * self.cols as u64
    }

    /// A range of its rows as a parameter of its own, for reading a large one in parts.
    pub fn some(&self, rows: Range<usize>) -> Spec {
        let start = self.span.start + rows.start * self.cols;
        Spec {
            rows: rows.len(),
            first: self.first + rows.start,
            span: start..start + rows.len() * self.cols,
            ..self.clone()
        }
    }
}

/// All parameters, in the order of the arena.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// One per parameter.
    pub specs: Vec<Spec>,
    prefix: String,
    len: usize,
}

impl Plan {
    /// Adds everything that `build` plans, with names that begin with `part.`.
    pub fn within<T>(&mut self, part: &str, build: impl FnOnce(&mut Plan) -> T) -> T {
        let outer = self.prefix.len();
        self.prefix.push_str(part);
        self.prefix.push('.');
        let built = build(self);
        self.prefix.truncate(outer);
        built
    }

    /// A matrix of `rows` × `cols` between hidden vectors, decayed.
    pub fn matrix(&mut self, name: &str, rows: usize, cols: usize, start: Start) -> Param {
        self.param(name, [rows, cols], true, true, start)
    }

    /// A table with a row for every token or position, decayed.
    pub fn table(&mut self, name: &str, rows: usize, cols: usize, start: Start) -> Param {
        self.param(name, [rows, cols], true, false, start)
    }

    /// A vector (a gain or a bias), not decayed.
    pub fn vector(&mut self, name: &str, len: usize, start: Start) -> Param {
        self.param(name, [1, len], false, false, start)
    }

    fn param(
        &mut self,
        name: &str,
        [rows, cols]: [usize; 2],
        decay: bool,
        is_hidden_matrix: bool,
        start: Start,
    ) -> Param {
        // A plan that is only counted may be larger than memory.
        let span = self.len..self.len.saturating_add(rows.saturating_mul(cols));
        self.len = span.end;
        let name = format!("{}{name}", self.prefix);
        self.specs.push(Spec { name, rows, cols, first: 0, span, decay, is_hidden_matrix, start });
        Param(self.specs.len() as u32 - 1)
    }

    /// Floats in the arena: the number of weights as stored.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the plan is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The spec of a handle.
    pub fn spec(&self, param: Param) -> &Spec {
        &self.specs[param.index()]
    }
}
