//! The back end: the operations that a model is computed with.
//!
//! Functions and the few types below are generic over it; the plan is not. Which back end is used is chosen once, by the
//! program.

mod adapt;
mod teach;
mod attend;
mod cpu;

use std::borrow::Cow;
use std::ops::Range;

pub use adapt::{Adapt, LowRank};
pub use attend::Attend;
pub use cpu::Cpu;
pub use glass_kernels::Write;
pub use glass_kernels::activate::Activation;
pub use glass_kernels::adamw::AdamW;
pub use glass_kernels::attend::{BLOCK, BlockTable, CacheType, Heads, KvShape, Span};
pub use glass_kernels::dropout::Dropout;
pub use glass_kernels::linear::{InputRounding, Layout};
pub use glass_kernels::muon::{Muon, Place};
pub use glass_kernels::norm::Norm;
pub use glass_kernels::packing::{Packing, Quants, ReadQuants};
pub use glass_kernels::rotate::Pairs;
pub use glass_kernels::{InputScales, Precision};
pub use teach::{Teach, Teaching};

use crate::Result;
use crate::stored::Stored;

/// A matrix of activations: `rows` positions, `cols` wide. Its memory may hold more rows than are in use.
pub struct Tensor<B: Device + ?Sized> {
    /// Rows in use.
    pub rows: usize,
    /// Width.
    pub cols: usize,
    /// The numbers, row-major.
    pub data: B::Buffer,
    capacity: usize,
}

impl<B: Device + ?Sized> Tensor<B> {
    /// Zeros, with memory for `rows` rows.
    pub fn new(backend: &B, rows: usize, cols: usize) -> Result<Self> {
        Ok(Tensor { rows, cols, data: backend.zeros(rows * cols)?, capacity: rows })
    }

    /// The same numbers as rows of another width, which divides or is divided by the present one.
    pub fn reshape(&mut self, cols: usize) {
        let (all, most) = (self.len(), self.capacity * self.cols);
        assert!(all.is_multiple_of(cols), "{all} numbers in rows of {cols}");
        (self.rows, self.cols, self.capacity) = (all / cols, cols, most / cols);
    }

    /// Uses the first `rows` rows from now on.
    pub fn use_rows(&mut self, rows: usize) {
        assert!(rows <= self.capacity, "{rows} rows in a tensor of {}", self.capacity);
        self.rows = rows;
    }

    /// Rows that it has memory for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Floats in use.
    pub fn len(&self) -> usize {
        self.rows * self.cols
    }

    /// Whether no row is in use.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

/// A parameter in the trainable arena.
pub struct Dense<'a, B: Device + ?Sized> {
    /// All parameters.
    pub arena: &'a B::Buffer,
    /// Its span in the arena.
    pub span: Range<usize>,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
}

/// A parameter as an operand. Dense ones can be trained, packed ones can only be run.
pub enum Weight<'a, B: Device + ?Sized> {
    /// In the arena.
    Dense(Dense<'a, B>),
    /// In the back end's own layout.
    Packed(&'a B::Packed),
}

/// Where the gradients of a matrix or a gain, and of its bias, are written.
pub struct Grads<'a, B: Device + ?Sized> {
    /// All gradients.
    pub arena: &'a mut B::Buffer,
    /// The span of the weight's.
    pub weight: Range<usize>,
    /// The span of the bias's, if it has one.
    pub bias: Option<Range<usize>>,
}

/// Keys and values of one layer, for every sequence.
pub struct Kv<B: Device + ?Sized> {
    /// Keys, in the back end's own layout.
    pub keys: B::Buffer,
    /// Values, in the back end's own layout.
    pub values: B::Buffer,
    /// Their shape.
    pub shape: KvShape,
    /// Where the blocks of each sequence are.
    pub table: BlockTable,
}

/// What attention keeps for its backward.
pub struct Attended<'a, B: Device + ?Sized> {
    /// Queries, `[rows, query heads × size]`.
    pub query: &'a Tensor<B>,
    /// Keys, `[rows, key heads × size]`.
    pub key: &'a Tensor<B>,
    /// Values, `[rows, key heads × size]`.
    pub value: &'a Tensor<B>,
    /// The heads' outputs, `[rows, query heads × size]`.
    pub z: &'a Tensor<B>,
    /// Log-sum-exp of every row's scores, `[rows, query heads]`.
    pub sums: &'a Tensor<B>,
}

/// How the rows of a pass are rotated.
pub struct Rotation<'a, B: Device + ?Sized> {
    /// Which numbers of a head are a pair.
    pub pairs: Pairs,
    /// Numbers that are rotated, in each head.
    pub width: usize,
    /// Cosines, a row for every row, `[rows, width / 2]`.
    pub cos: &'a Tensor<B>,
    /// Sines.
    pub sin: &'a Tensor<B>,
}

impl<B: Device + ?Sized> Clone for Rotation<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Device + ?Sized> Copy for Rotation<'_, B> {}

/// Reads some rows of a matrix, row-major.
pub type ReadRows<'a> = dyn Fn(Range<usize>, &mut [f32]) -> Result<()> + 'a;

/// Memory of a device: numbers, and parameters in the layout they are run with. Allocation can fail.
pub trait Device: Send + Sync {
    /// Numbers on the device.
    type Buffer: Send + Sync;
    /// A parameter in the layout it is run with.
    type Packed: Send + Sync;

    /// The precision of its matrix products, on which results depend.
    fn precision(&self) -> Precision;
    /// `len` zeros.
    fn zeros(&self, len: usize) -> Result<Self::Buffer>;
    /// `len` zeros, of which only what is written takes memory, until it is [released](Device::release), as far as the system can do
    /// that.
    fn arena(&self, len: usize) -> Result<Self::Buffer>;
    /// Copies floats from `at` to the host.
    fn read(&self, from: &Self::Buffer, at: usize, into: &mut [f32]);
    /// Floats to read: in place, or a copy.
    fn view<'a>(&self, buffer: &'a Self::Buffer, span: Range<usize>) -> Cow<'a, [f32]>;
    /// Copies floats from the host to `at`.
    fn write(&self, into: &mut Self::Buffer, at: usize, from: &[f32]);
    /// Sets a span of a buffer to zero.
    fn clear(&self, buffer: &mut Self::Buffer, span: Range<usize>);
    /// Sets a span to zero, and gives its memory back as far as that is possible.
    fn release(&self, buffer: &mut Self::Buffer, span: Range<usize>);
    /// Packs a row-major matrix (or, with one row, a vector) into the layout it is run with; `read` is called for ranges of rows.
    fn pack(&self, read: &ReadRows<'_>, rows: usize, cols: usize, layout: Layout) -> Result<Self::Packed>;
    /// Packs a matrix into panels from blocks of 32 weights.
    fn pack_quants(
        &self,
        quants: &ReadQuants<'_>,
        rows: usize,
        cols: usize,
        packing: Packing,
    ) -> Result<Self::Packed>;
    /// A matrix that is packed in a file already, used in place if possible.
    fn adopt(&self, stored: Stored, rows: usize, cols: usize, layout: Layout) -> Result<Self::Packed>;
    /// Calls `work` with 0 to `tasks` − 1, on the host, on as many threads as there are.
    fn on_host(&self, tasks: usize, work: &(dyn Fn(usize) + Sync));
    /// How a product with this parameter rounds its inputs.
    fn input_rounding(&self, packed: &Self::Packed) -> InputRounding;
    /// The bytes of a parameter as they are stored in a file.
    fn bytes<'a>(&self, packed: &'a Self::Packed) -> &'a [u8];
}

/// A linear layer and its outputs, for [`Backend::linear_two`].
pub struct Layer<'a, B: Device + ?Sized> {
    /// The outputs.
    pub y: &'a mut Tensor<B>,
    /// The weights.
    pub weight: Weight<'a, B>,
    /// The bias.
    pub bias: Option<Weight<'a, B>>,
    /// What is applied to the outputs.
    pub activation: Option<Activation>,
}

/// The operations. Shapes are those of the kernels. Arithmetic cannot fail.
pub trait Backend: Attend + Adapt + Teach {
    /// `y = x`.
    fn copy(&self, y: &mut Tensor<Self>, x: &Tensor<Self>);
    /// `y += x`.
    fn add(&self, y: &mut Tensor<Self>, x: &Tensor<Self>);
    /// `y *= x`.
    fn multiply(&self, y: &mut Tensor<Self>, x: &Tensor<Self>);
    /// `y *= by`.
    fn scale(&self, y: &mut Tensor<Self>, by: f32);
    /// `y = c tanh(y / c)`.
    fn cap(&self, y: &mut Tensor<Self>, c: f32);
    /// `y[i] = x[rows[i]]`.
    fn take(&self, y: &mut Tensor<Self>, x: &Tensor<Self>, rows: &[u32]);
    /// Of the rows of each of `spans`, keeps as many of the last as `kept` has at the same place; other rows are dropped.
    fn keep_last_rows(&self, x: &mut Tensor<Self>, spans: &[Span], kept: &[Span]);
    /// `y[rows[i]] = x[i]`.
    fn put(&self, y: &mut Tensor<Self>, x: &Tensor<Self>, rows: &[u32]);

    /// `y[r] = table[ids[r]]`, or `+=`.
    fn embed(&self, y: &mut Tensor<Self>, write: Write, ids: &[u32], table: Weight<'_, Self>);
    /// `dtable[ids[r]] += dy[r]`.
    fn embed_backward(&self, grads: &mut Self::Buffer, dtable: Range<usize>, dy: &Tensor<Self>, ids: &[u32]);

    /// Normalised rows, with gain and bias; `stats` receives mean and 1/std. Each of `groups` equal parts of a row is normalised
    /// for itself.
    fn norm(
        &self,
        y: &mut Tensor<Self>,
        stats: &mut Tensor<Self>,
        x: &Tensor<Self>,
        groups: usize,
        gain: Option<Weight<'_, Self>>,
        bias: Option<Weight<'_, Self>>,
        norm: Norm,
    );
    /// What each of `parts` parts of a row, which add up to it, adds to the normalised row: x `[rows, parts × width]`, in place, by
    /// the statistics of the whole row and without the bias.
    fn norm_in_parts(
        &self,
        x: &mut Tensor<Self>,
        parts: usize,
        stats: &Tensor<Self>,
        gain: Option<Weight<'_, Self>>,
        norm: Norm,
    );
    /// `dx += …`, and the gradients of gain and bias, if they are wanted. Gradients are those of the last rows of x, as
    /// many for each as `each` says.
    fn norm_backward(
        &self,
        dx: &mut Tensor<Self>,
        grads: Option<Grads<'_, Self>>,
        dy: &Tensor<Self>,
        x: &Tensor<Self>,
        stats: &Tensor<Self>,
        groups: usize,
        gain: Option<Weight<'_, Self>>,
        norm: Norm,
        each: usize,
    );
    /// Rotates the pairs of every head in place ([`rotate`](glass_kernels::rotate)).
    fn rotate(&self, x: &mut Tensor<Self>, heads: usize, rotation: Rotation<'_, Self>);
    /// Its transpose, in place: the gradient. Gradients are those of the last rows of the tables, as many for each as `each` says.
    fn rotate_backward(&self, d: &mut Tensor<Self>, heads: usize, rotation: Rotation<'_, Self>, each: usize);

    /// `y = activation(x Wᵀ + bias)`.
    fn linear(
        &self,
        y: &mut Tensor<Self>,
        x: &Tensor<Self>,
        weight: Weight<'_, Self>,
        bias: Option<Weight<'_, Self>>,
        activation: Option<Activation>,
    );
    /// The same for two layers that read the same inputs; the bits are those of each alone.
    fn linear_two(&self, x: &Tensor<Self>, layers: [Layer<'_, Self>; 2]);
    /// The contribution of each of `parts` equal parts of the inputs: y `[rows, parts × outputs]`.
    fn linear_in_parts(&self, y: &mut Tensor<Self>, x: &Tensor<Self>, weight: Weight<'_, Self>, parts: usize);
    /// `dx = dy W` (or `+=`).
    fn linear_backward_input(
        &self,
        dx: &mut Tensor<Self>,
        write: Write,
        dy: &Tensor<Self>,
        weight: Weight<'_, Self>,
    );
    /// `dW = dyᵀ x` (or `+=`), `dbias += sum of dy`.
    fn linear_backward_weight(
        &self,
        grads: Grads<'_, Self>,
        write: Write,
        dy: &Tensor<Self>,
        x: &Tensor<Self>,
    );
    /// `dx[n] = dy[n] W₂ diag(slopes[n]) W₁` (or `+=`) for each of the last rows n of `slopes`, which has `each` rows of dy and dx, about as many
    /// as W₂ has; in f32.
    fn linear_pair_backward_input(
        &self,
        dx: &mut Tensor<Self>,
        write: Write,
        dy: &Tensor<Self>,
        second: Dense<'_, Self>,
        slopes: &Tensor<Self>,
        first: Dense<'_, Self>,
        each: usize,
    );

    /// `y = f(x)`.
    fn activate(&self, y: &mut Tensor<Self>, x: &Tensor<Self>, kind: Activation);
    /// `y = f'(x)`.
    fn slopes(&self, y: &mut Tensor<Self>, x: &Tensor<Self>, kind: Activation);
    /// Turns dy into dx, in place.
    fn activate_backward(&self, d: &mut Tensor<Self>, x: &Tensor<Self>, kind: Activation);
    /// `y = f(gate) · up`.
    fn gate(&self, y: &mut Tensor<Self>, gate: &Tensor<Self>, up: &Tensor<Self>, kind: Activation);
    /// Its gradients: `d` holds that of y and becomes that of up; that of the gate is overwritten.
    fn gate_backward(
        &self,
        dgate: &mut Tensor<Self>,
        d: &mut Tensor<Self>,
        gate: &Tensor<Self>,
        up: &Tensor<Self>,
        kind: Activation,
    );
    /// Its derivatives: `dgate = f'(gate) · up`, `dup = f(gate)`.
    fn gate_slopes(
        &self,
        dgate: &mut Tensor<Self>,
        dup: &mut Tensor<Self>,
        gate: &Tensor<Self>,
        up: &Tensor<Self>,
        kind: Activation,
    );
    /// Applies dropout in place; applied to a gradient, it is its own backward.
    fn dropout(&self, y: &mut Tensor<Self>, spans: &[Span], dropout: Dropout);

    /// Cross-entropy of every row in nats; with `scales`, one for each row, logits are replaced by their gradient times it, with
    /// `cap` by that of what was capped.
    fn loss(
        &self,
        logits: &mut Tensor<Self>,
        losses: &mut [f32],
        targets: &[u32],
        scales: Option<&[f32]>,
        cap: Option<f32>,
    );
    /// Cross-entropy of every row in nats, with a distribution over all tokens as its target; with `scale`, logits are replaced by
    /// their gradient.
    fn distil(
        &self,
        logits: &mut Tensor<Self>,
        losses: &mut [f32],
        targets: &Tensor<Self>,
        scale: Option<f32>,
    );
    /// One step of AdamW over a span of the arenas: weights, gradients, both moments.
    fn adamw(
        &self,
        weights: &mut Self::Buffer,
        grads: &Self::Buffer,
        first: &mut Self::Buffer,
        second: &mut Self::Buffer,
        span: Range<usize>,
        step: &AdamW,
    );
    /// One step of Muon over the matrices at these places of the arenas, in ascending order: weights, gradients, momentum, and the mean
    /// squares of rows.
    fn muon(
        &self,
        weights: &mut Self::Buffer,
        grads: &Self::Buffer,
        momentum: &mut Self::Buffer,
        squares: &mut Self::Buffer,
        places: &[Place],
        step: &Muon,
    );
    /// The sum of the squares in a span.
    fn square_sum(&self, buffer: &Self::Buffer, span: Range<usize>) -> f64;
    /// `y += x` in a span of two arenas.
    fn add_span(&self, y: &mut Self::Buffer, x: &Self::Buffer, span: Range<usize>);
}
