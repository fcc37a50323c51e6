//! A probe that keeps what it sees.

use std::collections::BTreeMap;
use std::path::Path;

use crate::probe::{Ahead, Probe, Site, View, Want};
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

    /// No rows. The memory stays: new pages would take longer than the numbers.
    fn clear(&mut self) {
        self.rows = 0;
        self.values.clear();
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
        self.seen.iter().filter(|(_, matrix)| matrix.rows > 0).map(|(&site, matrix)| (site, matrix))
    }

    /// What was seen of a site.
    ///
    /// # Errors
    /// It was not recorded.
    pub fn get(&self, site: Site) -> Result<&Matrix> {
        self.seen.get(&site).filter(|matrix| matrix.rows > 0).ok_or_else(|| {
            Error::invalid_argument(
                site,
                "it was not recorded; name it where the record is made, and run a pass",
            )
        })
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
        for (_, matrix) in self.sites() {
            bytes.extend(matrix.values.iter().flat_map(|value| value.to_le_bytes()));
        }
        std::fs::write(path, bytes).map_err(|error| Error::io("cannot write", path, error))
    }
}

impl Probe for Record {
    fn begin(&mut self, ahead: &Ahead<'_>) -> Result<()> {
        self.wanted.iter().try_for_each(|&site| ahead.check(site))?;
        if ahead.whole && ahead.spans.iter().all(|span| span.slot != self.slot) {
            let why =
                format!("sequence {} is recorded; the pass reads {} of them", self.slot, ahead.spans.len());
            return Err(Error::invalid_argument("record", why));
        }
        if ahead.whole {
            self.seen.values_mut().for_each(Matrix::clear);
        }
        Ok(())
    }

    fn wants(&self, site: Site, slot: usize) -> Want {
        if slot == self.slot && self.wanted.contains(&site) { Want::Look } else { Want::No }
    }

    fn look(&mut self, view: View, values: &[f32]) {
        let matrix = self.seen.entry(view.site).or_default();
        if view.position == 0 || view.site.is_square() {
            matrix.clear();
        }
        matrix.cols = view.cols;
        matrix.rows += view.rows;
        matrix.values.extend_from_slice(values);
    }
}
