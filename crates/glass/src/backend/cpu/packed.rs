//! Parameters in the layout they are run with.

use glass_kernels::huge_pages::Pages;
use glass_kernels::linear::{self, Matrix};
use glass_kernels::packing;

use super::Cpu;
use super::memory::zeros;
use crate::Result;
use crate::backend::{Layout, Packing, ReadQuants, ReadRows};
use crate::stored::Stored;

/// Number of weights that are held as floats while a matrix is packed.
const PORTION: usize = 1 << 20;

/// A parameter in the layout it is run with: matrices in panels, vectors unchanged.
pub struct Packed {
    values: Values,
    rows: usize,
    cols: usize,
    layout: Layout,
}

enum Values {
    Owned(Pages),
    /// In a mapped file, aligned so that floats can be read.
    Stored(Stored),
}

impl Packed {
    /// From rows of floats, read in parts.
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
        quants: &ReadQuants<'_>,
        rows: usize,
        cols: usize,
        packing: Packing,
    ) -> Result<Packed> {
        let mut panels = cpu.weight(packing.len(rows, cols))?;
        linear::pack_quants(&cpu.cores, &mut panels, packing, quants, rows, cols);
        Ok(Packed { values: Values::Owned(panels), rows, cols, layout: Layout::Panels(packing) })
    }

    /// From a file in which it is packed already.
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
            // Bytes within a program have any alignment.
            None => {
                let mut lanes = cpu.weight(layout.len(rows, cols))?;
                packing::copy_lanes(&mut lanes, &stored);
                Values::Owned(lanes)
            }
        };
        Ok(Packed { values, rows, cols, layout })
    }

    /// As an operand of the kernels.
    pub(super) fn matrix(&self) -> Matrix<'_> {
        Matrix { values: self.values(), rows: self.rows, cols: self.cols, layout: self.layout }
    }

    /// Its layout.
    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// As it is stored in a file.
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
