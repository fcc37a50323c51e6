//! A probe that keeps what it sees.

use std::collections::BTreeMap;
use std::ops::Index;
use std::path::Path;

use crate::probe::{Probe, Site, View, Want};
use crate::weights::safetensors;
use crate::{Error, Result};

/// Numbers in rows.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Matrix {
    /// Rows: positions, or at a [square](Site::is_square) site heads × queries.
    pub rows: usize,
    /// Numbers of a row.
    pub cols: usize,
    /// All of them, row-major.
    pub values: Vec<f32>,
}

impl Matrix {
    /// A row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.cols..(row + 1) * self.cols]
    }
}

/// What was seen of one sequence, by site. Of a sequence that is read in parts, as in decoding, rows are put behind rows; squares,
/// whose keys grow, are those of the last part. A record that sees another pass holds that one, in the memory that it has.
#[derive(Clone, Default, Debug)]
pub struct Record {
    slot: usize,
    wanted: Vec<Site>,
    seen: BTreeMap<Site, Matrix>,
}

impl Record {
    /// Of these sites, of the sequence in slot 0.
    pub fn of(sites: impl IntoIterator<Item = Site>) -> Record {
        Record { wanted: sites.into_iter().collect(), ..Record::default() }
    }

    /// The same of another slot.
    pub fn in_slot(self, slot: usize) -> Record {
        Record { slot, ..self }
    }

    /// What was seen, in the order of the flow.
    pub fn sites(&self) -> impl Iterator<Item = (Site, &Matrix)> {
        self.seen.iter().map(|(&site, matrix)| (site, matrix))
    }

    /// A site, if it was seen.
    pub fn get(&self, site: Site) -> Option<&Matrix> {
        self.seen.get(&site)
    }

    /// Writes everything to a safetensors file: rows × numbers, and of squares heads × queries × keys.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &Path, heads: usize) -> Result<()> {
        let info = |(site, matrix): (Site, &Matrix)| {
            let shape = match site.is_square() {
                true => vec![heads, matrix.rows / heads, matrix.cols],
                false => vec![matrix.rows, matrix.cols],
            };
            (site.to_string(), shape, ::safetensors::Dtype::F32)
        };
        let mut bytes = safetensors::header_of(&self.sites().map(info).collect::<Vec<_>>(), "glass", 8)?;
        for matrix in self.seen.values() {
            bytes.extend(matrix.values.iter().flat_map(|value| value.to_le_bytes()));
        }
        std::fs::write(path, bytes).map_err(|error| Error::io("cannot write", path, error))
    }
}

impl Index<Site> for Record {
    type Output = Matrix;

    /// # Panics
    /// It was not recorded.
    fn index(&self, site: Site) -> &Matrix {
        self.get(site).unwrap_or_else(|| panic!("{site} was not recorded"))
    }
}

impl Probe for Record {
    fn wants(&self, site: Site, slot: usize) -> Want {
        if slot == self.slot && self.wanted.contains(&site) { Want::Look } else { Want::No }
    }

    fn look(&mut self, view: View, values: &[f32]) {
        let matrix = self.seen.entry(view.site).or_default();
        if view.position == 0 || view.site.is_square() {
            // The memory stays: fresh pages would take longer than the numbers.
            matrix.rows = 0;
            matrix.values.clear();
        }
        matrix.cols = view.cols;
        matrix.rows += view.rows;
        matrix.values.extend_from_slice(values);
    }
}
