//! The CPU back end: every operation is the kernel of the same name.

mod adapt;
mod attend;
mod memory;
mod operands;
mod packed;
mod teach;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use glass_kernels::aligned::AlignedBuffer;
use glass_kernels::huge_pages::{HugePages, Pages};
use glass_kernels::{
    Cores, activate, adamw, add, cap, clear, dropout, embed, gate, linear, loss, muon, norm, rotate,
};

use super::{
    Activation, AdamW, Backend, Dense, Device, Dropout, Grads, InputRounding, InputScales, Layer, Layout,
    Muon, Norm, Packing, Place, Precision, ReadQuants, ReadRows, Rotation, Span, Tensor, Weight, Write,
};
use crate::stored::Stored;
use crate::{Error, Result};
use memory::{missing, zeros};
use operands::{dense, last_rows, matrix, rotated, used, used_mut, vector, weight_and_bias};
pub use packed::Packed;

/// A CPU with a pool of threads.
pub struct Cpu {
    cores: Cores,
    /// Memory for packed weights.
    weights: Mutex<HugePages>,
}

impl Cpu {
    /// With this many threads and the best instruction set of the machine.
    pub fn new(threads: usize) -> Self {
        Self::on(Cores::new(threads))
    }

    /// The same with matrix products of this precision.
    ///
    /// # Errors
    /// If the precision is not faster on this machine.
    pub fn with_precision(self, precision: Precision) -> Result<Self> {
        if precision.gains(self.cores.isa()) {
            return Ok(Self::on(self.cores.with_precision(precision)));
        }
        let why = format!(
            "mixed was given, but this processor has no AVX512-BF16, the instructions that multiply pairs of 16-bit numbers (the \
             best found is {:?}), and without them it would be slower; leave it at f32",
            self.cores.isa()
        );
        Err(Error::invalid_argument("precision", why))
    }

    /// The same with these scales of the inputs of quantised products.
    pub fn with_input_scales(self, scales: InputScales) -> Self {
        Self::on(self.cores.with_input_scales(scales))
    }

    /// With given cores.
    pub fn on(cores: Cores) -> Self {
        Cpu { cores, weights: Mutex::default() }
    }

    /// The number of threads that the machine runs at once.
    pub fn available_threads() -> usize {
        std::thread::available_parallelism().map_or(1, |n| n.get())
    }

    /// The instruction set and the threads.
    pub fn cores(&self) -> &Cores {
        &self.cores
    }

    /// Memory for a packed weight.
    fn weight(&self, len: usize) -> Result<Pages> {
        let mut chunks = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        chunks.zeros(len).ok_or_else(|| missing("weights", len))
    }
}

impl Device for Cpu {
    type Buffer = AlignedBuffer;
    type Packed = Packed;

    fn precision(&self) -> Precision {
        self.cores.precision()
    }

    fn zeros(&self, len: usize) -> Result<AlignedBuffer> {
        zeros(len)
    }

    fn arena(&self, len: usize) -> Result<AlignedBuffer> {
        AlignedBuffer::in_pages(len).ok_or_else(|| missing("weights, gradients and moments", len))
    }

    fn read(&self, from: &AlignedBuffer, at: usize, into: &mut [f32]) {
        into.copy_from_slice(&from[at..at + into.len()]);
    }

    fn view<'a>(&self, buffer: &'a AlignedBuffer, span: Range<usize>) -> Cow<'a, [f32]> {
        Cow::Borrowed(&buffer[span])
    }

    fn write(&self, into: &mut AlignedBuffer, at: usize, from: &[f32]) {
        into[at..at + from.len()].copy_from_slice(from);
    }

    fn clear(&self, buffer: &mut AlignedBuffer, span: Range<usize>) {
        clear::clear(&self.cores, &mut buffer[span]);
    }

    fn release(&self, buffer: &mut AlignedBuffer, span: Range<usize>) {
        buffer.release(span);
    }

    fn pack(&self, read: &ReadRows<'_>, rows: usize, cols: usize, layout: Layout) -> Result<Packed> {
        Packed::from_floats(self, read, rows, cols, layout)
    }

    fn pack_quants(
        &self,
        quants: &ReadQuants<'_>,
        rows: usize,
        cols: usize,
        packing: Packing,
    ) -> Result<Packed> {
        Packed::from_quants(self, quants, rows, cols, packing)
    }

    fn adopt(&self, stored: Stored, rows: usize, cols: usize, layout: Layout) -> Result<Packed> {
        Packed::adopted(self, stored, rows, cols, layout)
    }

    fn on_host(&self, tasks: usize, work: &(dyn Fn(usize) + Sync)) {
        self.cores.run(tasks, work);
    }

    fn input_rounding(&self, packed: &Packed) -> InputRounding {
        InputRounding::of(&self.cores, packed.layout())
    }

    fn bytes<'a>(&self, packed: &'a Packed) -> &'a [u8] {
        packed.bytes()
    }
}

impl Backend for Cpu {
    fn copy(&self, y: &mut Tensor<Self>, x: &Tensor<Self>) {
        used_mut(y).copy_from_slice(used(x));
    }

    fn add(&self, y: &mut Tensor<Self>, x: &Tensor<Self>) {
        add::add(&self.cores, used_mut(y), used(x));
    }

    fn multiply(&self, y: &mut Tensor<Self>, x: &Tensor<Self>) {
        add::multiply(&self.cores, used_mut(y), used(x));
    }

    fn scale(&self, y: &mut Tensor<Self>, by: f32) {
        add::scale(&self.cores, used_mut(y), by);
    }

    fn cap(&self, y: &mut Tensor<Self>, c: f32) {
        cap::cap(&self.cores, used_mut(y), c);
    }

    fn take(&self, y: &mut Tensor<Self>, x: &Tensor<Self>, rows: &[u32]) {
        assert_eq!((y.rows, y.cols), (rows.len(), x.cols));
        for (to, &row) in y.data.chunks_exact_mut(x.cols).zip(rows) {
            to.copy_from_slice(&x.data[row as usize * x.cols..][..x.cols]);
        }
    }

    fn keep_last_rows(&self, x: &mut Tensor<Self>, spans: &[Span], kept: &[Span]) {
        // Spans are in the order of their rows, so no row is overwritten before it is read.
        for (span, kept) in spans.iter().zip(kept) {
            let first = span.rows.end - kept.rows.len();
            x.data.copy_within(first * x.cols..span.rows.end * x.cols, kept.rows.start * x.cols);
        }
        x.use_rows(kept.last().map_or(0, |kept| kept.rows.end));
    }

    fn put(&self, y: &mut Tensor<Self>, x: &Tensor<Self>, rows: &[u32]) {
        assert_eq!((x.rows, x.cols), (rows.len(), y.cols));
        for (from, &row) in x.data.chunks_exact(x.cols).zip(rows) {
            y.data[row as usize * x.cols..][..x.cols].copy_from_slice(from);
        }
    }

    fn embed(&self, y: &mut Tensor<Self>, write: Write, ids: &[u32], table: Weight<'_, Self>) {
        embed::embed(&self.cores, used_mut(y), write, ids, matrix(&table));
    }

    fn embed_backward(
        &self,
        grads: &mut AlignedBuffer,
        dtable: Range<usize>,
        dy: &Tensor<Self>,
        ids: &[u32],
    ) {
        embed::embed_backward(&self.cores, &mut grads[dtable], used(dy), ids, dy.cols);
    }

    fn norm(
        &self,
        y: &mut Tensor<Self>,
        stats: &mut Tensor<Self>,
        x: &Tensor<Self>,
        groups: usize,
        gain: Option<Weight<'_, Self>>,
        bias: Option<Weight<'_, Self>>,
        norm: Norm,
    ) {
        let [gain, bias] = [&gain, &bias].map(|weight| weight.as_ref().map(vector));
        let cols = x.cols / groups;
        norm::norm(&self.cores, used_mut(y), used_mut(stats), used(x), cols, gain, bias, norm);
    }

    fn norm_in_parts(
        &self,
        x: &mut Tensor<Self>,
        parts: usize,
        stats: &Tensor<Self>,
        gain: Option<Weight<'_, Self>>,
        norm: Norm,
    ) {
        let (cols, gain) = (x.cols / parts, gain.as_ref().map(vector));
        norm::norm_in_parts(&self.cores, used_mut(x), parts, used(stats), cols, gain, norm);
    }

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
    ) {
        let (dgain, dbias) =
            grads.map(weight_and_bias).map_or((None, None), |(gain, bias)| (Some(gain), bias));
        let (x, stats) = (last_rows(x, dy, each), last_rows(stats, dy, each));
        let gain = gain.as_ref().map(vector);
        let (width, cols) = (dy.cols, dy.cols / groups);
        if groups == 1 || each == 1 {
            let dx = used_mut(dx);
            return norm::norm_backward(&self.cores, dx, dgain, dbias, used(dy), x, stats, cols, gain, norm);
        }
        // Gradients of a row are neighbours, and in each of them those of its groups are.
        let rows = used_mut(dx).chunks_exact_mut(width).zip(used(dy).chunks_exact(width));
        for (i, (dx, dy)) in rows.enumerate() {
            let row = i / each;
            let (x, stats) = (&x[row * width..][..width], &stats[row * 2 * groups..][..2 * groups]);
            norm::norm_backward(&self.cores, dx, None, None, dy, x, stats, cols, gain, norm);
        }
    }

    fn rotate(&self, x: &mut Tensor<Self>, heads: usize, rotation: Rotation<'_, Self>) {
        let rotation = rotated(x.cols / heads, rotation);
        rotate::rotate(&self.cores, used_mut(x), heads, rotation);
    }

    fn rotate_backward(&self, d: &mut Tensor<Self>, heads: usize, rotation: Rotation<'_, Self>, each: usize) {
        let [cos, sin] = [rotation.cos, rotation.sin].map(|table| last_rows(table, d, each));
        let rotation = rotate::Rotation { cos, sin, ..rotated(d.cols / heads, rotation) };
        rotate::rotate_backward(&self.cores, used_mut(d), heads, rotation);
    }

    fn linear(
        &self,
        y: &mut Tensor<Self>,
        x: &Tensor<Self>,
        weight: Weight<'_, Self>,
        bias: Option<Weight<'_, Self>>,
        activation: Option<Activation>,
    ) {
        let bias = bias.as_ref().map(vector);
        linear::linear(&self.cores, used_mut(y), used(x), matrix(&weight), bias, activation);
    }

    fn linear_two(&self, x: &Tensor<Self>, layers: [Layer<'_, Self>; 2]) {
        let layers = layers.map(|Layer { y, weight, bias, activation }| linear::Layer {
            y: used_mut(y),
            w: matrix(&weight),
            bias: bias.as_ref().map(vector),
            activation,
        });
        linear::linear_each(&self.cores, used(x), layers);
    }

    fn linear_in_parts(
        &self,
        y: &mut Tensor<Self>,
        x: &Tensor<Self>,
        weight: Weight<'_, Self>,
        parts: usize,
    ) {
        linear::linear_in_parts(&self.cores, used_mut(y), used(x), matrix(&weight), parts);
    }

    fn linear_backward_input(
        &self,
        dx: &mut Tensor<Self>,
        write: Write,
        dy: &Tensor<Self>,
        weight: Weight<'_, Self>,
    ) {
        linear::linear_backward_input(&self.cores, used_mut(dx), write, used(dy), matrix(&weight));
    }

    fn linear_backward_weight(
        &self,
        grads: Grads<'_, Self>,
        write: Write,
        dy: &Tensor<Self>,
        x: &Tensor<Self>,
    ) {
        let (dweight, dbias) = weight_and_bias(grads);
        linear::linear_backward_weight(&self.cores, dweight, write, dbias, used(dy), used(x), dy.rows);
    }

    fn linear_pair_backward_input(
        &self,
        dx: &mut Tensor<Self>,
        write: Write,
        dy: &Tensor<Self>,
        second: Dense<'_, Self>,
        slopes: &Tensor<Self>,
        first: Dense<'_, Self>,
        each: usize,
    ) {
        let slopes = last_rows(slopes, dy, each);
        let (second, first) = (dense(&second), dense(&first));
        let pair = |dx: &mut [f32]| {
            linear::linear_pair_backward_input(&self.cores, dx, used(dy), second, slopes, first);
        };
        match write {
            Write::Set => pair(used_mut(dx)),
            Write::Add => {
                let mut sum = zeros(dx.len()).expect("memory for gradients");
                pair(&mut sum);
                add::add(&self.cores, used_mut(dx), &sum);
            }
        }
    }

    fn activate(&self, y: &mut Tensor<Self>, x: &Tensor<Self>, kind: Activation) {
        activate::activate(&self.cores, used_mut(y), used(x), kind);
    }

    fn slopes(&self, y: &mut Tensor<Self>, x: &Tensor<Self>, kind: Activation) {
        used_mut(y).fill(1.0);
        activate::activate_backward(&self.cores, used_mut(y), used(x), kind);
    }

    fn activate_backward(&self, d: &mut Tensor<Self>, x: &Tensor<Self>, kind: Activation) {
        activate::activate_backward(&self.cores, used_mut(d), used(x), kind);
    }

    fn gate(&self, y: &mut Tensor<Self>, gate: &Tensor<Self>, up: &Tensor<Self>, kind: Activation) {
        gate::gate(&self.cores, used_mut(y), used(gate), used(up), kind);
    }

    fn gate_backward(
        &self,
        dgate: &mut Tensor<Self>,
        d: &mut Tensor<Self>,
        gate: &Tensor<Self>,
        up: &Tensor<Self>,
        kind: Activation,
    ) {
        gate::gate_backward(&self.cores, used_mut(dgate), used_mut(d), used(gate), used(up), kind);
    }

    fn gate_slopes(
        &self,
        dgate: &mut Tensor<Self>,
        dup: &mut Tensor<Self>,
        gate: &Tensor<Self>,
        up: &Tensor<Self>,
        kind: Activation,
    ) {
        gate::gate_slopes(&self.cores, used_mut(dgate), used_mut(dup), used(gate), used(up), kind);
    }

    fn dropout(&self, y: &mut Tensor<Self>, spans: &[Span], dropout: Dropout) {
        let cols = y.cols;
        dropout::dropout(&self.cores, used_mut(y), cols, spans, dropout);
    }

    fn loss(
        &self,
        logits: &mut Tensor<Self>,
        losses: &mut [f32],
        targets: &[u32],
        scales: Option<&[f32]>,
        cap: Option<f32>,
    ) {
        let cols = logits.cols;
        loss::loss(&self.cores, used_mut(logits), losses, targets, cols, scales, cap);
    }

    fn distil(&self, y: &mut Tensor<Self>, losses: &mut [f32], targets: &Tensor<Self>, scale: Option<f32>) {
        let cols = y.cols;
        loss::distil(&self.cores, used_mut(y), losses, used(targets), cols, scale);
    }

    fn adamw(
        &self,
        weights: &mut AlignedBuffer,
        grads: &AlignedBuffer,
        first: &mut AlignedBuffer,
        second: &mut AlignedBuffer,
        span: Range<usize>,
        step: &AdamW,
    ) {
        let (w, g) = (&mut weights[span.clone()], &grads[span.clone()]);
        adamw::adamw(&self.cores, w, g, &mut first[span.clone()], &mut second[span], step);
    }

    fn muon(
        &self,
        weights: &mut AlignedBuffer,
        grads: &AlignedBuffer,
        momentum: &mut AlignedBuffer,
        squares: &mut AlignedBuffer,
        places: &[Place],
        step: &Muon,
    ) {
        muon::muon(&self.cores, weights, grads, momentum, squares, places, step);
    }

    fn square_sum(&self, buffer: &AlignedBuffer, span: Range<usize>) -> f64 {
        adamw::square_sum(&self.cores, &buffer[span])
    }

    fn add_span(&self, y: &mut AlignedBuffer, x: &AlignedBuffer, span: Range<usize>) {
        add::add(&self.cores, &mut y[span.clone()], &x[span]);
    }
}
