//! Parameters as they run.

use glass_kernels::chunks::Piece;
use glass_kernels::linear::{self, Matrix};
use glass_kernels::packing;

use super::{Cpu, zeros};
use crate::Result;
use crate::backend::{Layout, Packing, Quants, ReadRows};
use crate::stored::Stored;

/// Weights that stand as floats while they are packed.
const PORTION: usize = 1 << 20;

/// A parameter as it is run: matrices in panels, vectors as they are.
pub struct Packed {
    values: Values,
    rows: usize,
    cols: usize,
    layout: Layout,
}

enum Values {
    Owned(Piece),
    /// In a file, mapped; its bytes stand where floats can be read.
    Stored(Stored),
}

impl Packed {
    /// From rows that are read as floats, some after others.
    pub(super) fn from_floats(
        cpu: &Cpu,
        read: &ReadRows<'_>,
        rows: usize,
        cols: usize,
        layout: Layout,
    ) -> Result<Packed> {
        let mut piece = cpu.weight(layout.len(rows, cols))?;
        match layout {
            Layout::Rows => read(0..rows, &mut piece)?,
            Layout::Panels(packing) => {
                let most = (PORTION / cols.max(1)).next_multiple_of(packing::PANEL).max(packing::PANEL);
                let mut values = zeros(rows.min(most) * cols)?;
                let panels = piece.chunks_mut(packing.len(most, cols).max(1));
                for (panels, first) in panels.zip((0..rows).step_by(most)) {
                    let some = first..rows.min(first + most);
                    let (values, rows) = (&mut values[..some.len() * cols], some.len());
                    read(some, values)?;
                    linear::pack(&cpu.cores, panels, packing, values, rows, cols);
                }
            }
        }
        Ok(Packed { values: Values::Owned(piece), rows, cols, layout })
    }

    /// From blocks of quantised weights.
    pub(super) fn from_quants(
        cpu: &Cpu,
        quants: &(dyn Fn(usize, usize) -> Quants + Sync),
        rows: usize,
        cols: usize,
        packing: Packing,
    ) -> Result<Packed> {
        let mut panels = cpu.weight(packing.len(rows, cols))?;
        linear::pack_quants(&cpu.cores, &mut panels, packing, quants, rows, cols);
        Ok(Packed { values: Values::Owned(panels), rows, cols, layout: Layout::Panels(packing) })
    }

    /// One that stands packed in a file.
    pub(super) fn adopted(
        cpu: &Cpu,
        stored: Stored,
        rows: usize,
        cols: usize,
        layout: Layout,
    ) -> Result<Packed> {
        assert_eq!(stored.len(), 4 * layout.len(rows, cols));
        let values = match packing::lanes(&stored) {
            Some(_) => Values::Stored(stored),
            // Bytes of a program stand anywhere.
            None => {
                let mut lanes = cpu.weight(layout.len(rows, cols))?;
                packing::copy_lanes(&mut lanes, &stored);
                Values::Owned(lanes)
            }
        };
        Ok(Packed { values, rows, cols, layout })
    }

    /// As kernels take it.
    pub(super) fn matrix(&self) -> Matrix<'_> {
        Matrix { values: self.values(), rows: self.rows, cols: self.cols, layout: self.layout }
    }

    /// As a file keeps it.
    pub(super) fn bytes(&self) -> &[u8] {
        packing::bytes(self.values())
    }

    fn values(&self) -> &[f32] {
        match &self.values {
            Values::Owned(values) => values,
            Values::Stored(stored) => packing::lanes(stored).expect("asked when it was adopted"),
        }
    }
}
