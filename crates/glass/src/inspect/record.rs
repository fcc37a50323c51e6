//! A probe that records what it sees.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::config::Config;
use crate::probe::{Ahead, Names, Part, Probe, Site, View, Want};
use crate::weights::safetensors;
use crate::{Error, Result};

/// How many numbers are converted to bytes at once.
const PART: usize = 1 << 16;

/// Numbers of a page of memory.
const PAGE: usize = 1024;

/// New pages that make another thread worthwhile.
const PAGES: usize = 1024;

/// A matrix of numbers.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Matrix {
    /// Rows: positions, or at a [square](Site::is_square) site heads × queries.
    pub rows: usize,
    /// The length of a row.
    pub cols: usize,
    /// All numbers, row-major.
    pub values: Vec<f32>,
}

impl Matrix {
    /// A row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.cols..(row + 1) * self.cols]
    }

    /// Its shape: rows × numbers, and at a square site heads × queries × keys. With TransformerLens's names, the
    /// heads of queries, keys, values, `z` and contributions are a dimension of their own, as in that library.
    pub fn shape(&self, site: Site, config: &Config, names: Names) -> Vec<usize> {
        let heads = config.heads;
        if site.is_square() {
            return vec![heads.query, self.rows / heads.query, self.cols];
        }
        let of_head = match site {
            Site::Block(_, part) if part.is_of_heads() => Some(heads.size),
            Site::Block(_, Part::Contribution) => Some(config.width),
            _ => None,
        };
        match (names, of_head) {
            (Names::TransformerLens, Some(size)) => vec![self.rows, self.cols / size, size],
            _ => vec![self.rows, self.cols],
        }
    }

    /// Removes all rows. The memory is kept: new pages would take longer than the numbers.
    fn clear(&mut self) {
        self.rows = 0;
        self.values.clear();
    }
}

/// What was seen of one sequence, by site. If a sequence is read in parts, as in decoding, rows are appended;
/// squares, whose keys grow, are those of the last part. If a record sees another pass, it is overwritten, in the
/// same memory.
#[derive(Clone, Default, Debug)]
pub struct Record {
    slot: usize,
    wanted: Vec<Site>,
    /// At these sites, positions before this one are left out.
    since: Option<(usize, Vec<Site>)>,
    seen: BTreeMap<Site, Matrix>,
    /// The position of the first row of each matrix; of a square, of its first query.
    first: BTreeMap<Site, usize>,
    /// Who gets the memory when the record is dropped.
    spare: Option<Spare>,
}

/// The matrices of a record that is gone: the next one writes into their memory.
#[derive(Clone, Default, Debug)]
pub(super) struct Spare(Arc<Mutex<BTreeMap<Site, Matrix>>>);

impl Spare {
    /// A record of these sites in this memory, which the next record may use when this one is dropped.
    pub(super) fn record(&self, sites: impl IntoIterator<Item = Site>) -> Record {
        let mut record = Record::of(sites);
        std::mem::swap(&mut record.seen, &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        record.seen.values_mut().for_each(Matrix::clear);
        record.spare = Some(self.clone());
        record
    }

    /// Keeps the memory of one record, the larger one.
    fn keep(&self, seen: BTreeMap<Site, Matrix>) {
        let room = |seen: &BTreeMap<Site, Matrix>| seen.values().map(|m| m.values.capacity()).sum::<usize>();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if room(&seen) > room(&kept) {
            *kept = seen;
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(spare) = &self.spare {
            spare.keep(std::mem::take(&mut self.seen));
        }
    }
}

impl Record {
    /// A record of these sites of the sequence in slot 0.
    pub fn of(sites: impl IntoIterator<Item = Site>) -> Record {
        let mut record = Record::default();
        record.wanted.extend(sites);
        record
    }

    /// The same of another slot.
    pub fn in_slot(mut self, slot: usize) -> Record {
        self.slot = slot;
        self
    }

    /// Leaves out positions before `position` at the sites that `of` names.
    pub fn since(mut self, position: usize, of: impl Fn(&Site) -> bool) -> Record {
        self.since = Some((position, self.wanted.iter().copied().filter(of).collect()));
        self
    }

    /// The numbers of a site at a position; at a square site, those of a head's query there.
    ///
    /// # Errors
    /// If they were not recorded.
    pub fn row(&self, site: Site, head: usize, heads: usize, position: usize) -> Result<&[f32]> {
        let matrix = self.get(site)?;
        let first = self.first.get(&site).copied().unwrap_or(0);
        let rows = if site.is_square() { matrix.rows / heads } else { matrix.rows };
        match position.checked_sub(first).filter(|&row| row < rows) {
            Some(row) => Ok(matrix.row(if site.is_square() { head * rows + row } else { row })),
            None => {
                let why =
                    format!("position {position} is not among the {rows} recorded, counted from {first}");
                Err(Error::invalid_argument(site, why))
            }
        }
    }

    /// What was recorded, in the order of the flow.
    pub fn sites(&self) -> impl Iterator<Item = (Site, &Matrix)> {
        self.seen.iter().filter(|(_, matrix)| matrix.rows > 0).map(|(&site, matrix)| (site, matrix))
    }

    /// What was recorded at a site.
    ///
    /// # Errors
    /// If it was not recorded.
    pub fn get(&self, site: Site) -> Result<&Matrix> {
        self.seen.get(&site).filter(|matrix| matrix.rows > 0).ok_or_else(|| {
            Error::invalid_argument(
                site,
                "it was not recorded; name it where the record is made, and run a pass",
            )
        })
    }

    /// Reserves memory for a whole pass. The first touch of a page of new memory takes longer than writing its numbers, and here several
    /// threads share it.
    fn make_room(&mut self, ahead: &Ahead<'_>) {
        let Some(span) = ahead.spans.iter().find(|span| span.slot == self.slot) else { return };
        let mut new = Vec::new();
        for site in &self.wanted {
            self.seen.entry(*site).or_default();
        }
        for (site, matrix) in &mut self.seen {
            let heads = if site.is_square() { ahead.config.heads.query } else { 1 };
            let len = heads * span.rows.len() * site.cols(ahead.config, span.past + span.rows.len());
            if matrix.values.capacity() < len && self.wanted.contains(site) {
                matrix.values.reserve_exact(len);
                new.extend(matrix.values.spare_capacity_mut().chunks_mut(PAGE));
            }
        }
        let threads = thread::available_parallelism().map_or(1, usize::from).min(new.len() / PAGES);
        if threads > 1 {
            let share = new.len().div_ceil(threads);
            thread::scope(|scope| {
                for pages in new.chunks_mut(share) {
                    scope.spawn(|| pages.iter_mut().for_each(|page| _ = page[0].write(0.0)));
                }
            });
        }
    }

    /// Writes everything to a safetensors file, under these names; the shapes are those of [`Matrix::shape`].
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path, config: &Config, names: Names) -> Result<()> {
        let mut all: Vec<(String, Site, &Matrix)> =
            self.sites().map(|(site, matrix)| (site.name(names, config.layers), site, matrix)).collect();
        // In TransformerLens two of Glass's sites can have the same name; their numbers are the same.
        all.dedup_by(|a, b| a.0 == b.0);
        let info = |(name, site, matrix): &(String, Site, &Matrix)| {
            (name.clone(), matrix.shape(*site, config, names), ::safetensors::Dtype::F32)
        };
        let header =
            safetensors::header_of(&all.iter().map(info).collect::<Vec<_>>(), ("format", "glass"), 8)?;
        let failed = |error| Error::io("cannot write", path, error);
        let mut file = File::create(path).map_err(failed)?;
        file.write_all(&header).map_err(failed)?;
        // Written in parts, so that the numbers are not in memory twice.
        let mut bytes = Vec::with_capacity(4 * PART);
        for (_, _, matrix) in &all {
            for part in matrix.values.chunks(PART) {
                bytes.clear();
                bytes.extend(part.iter().flat_map(|value| value.to_le_bytes()));
                file.write_all(&bytes).map_err(failed)?;
            }
        }
        Ok(())
    }
}

impl Probe for Record {
    fn begin(&mut self, ahead: &Ahead<'_>) -> Result<()> {
        self.wanted.iter().try_for_each(|&site| ahead.check(site))?;
        if ahead.whole && ahead.spans.iter().all(|span| span.slot != self.slot) {
            let why =
                format!("the record is of sequence {}, but the pass reads {}", self.slot, ahead.spans.len());
            return Err(Error::invalid_argument("record", why));
        }
        if ahead.whole {
            self.seen.values_mut().for_each(Matrix::clear);
            if !ahead.only_last {
                self.make_room(ahead);
            }
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
        let since =
            self.since.as_ref().filter(|(_, sites)| !view.site.is_square() && sites.contains(&view.site));
        let skipped = since.map_or(0, |(since, _)| since.saturating_sub(view.position).min(view.rows));
        if matrix.rows == 0 {
            self.first.insert(view.site, view.position + skipped);
        }
        matrix.cols = view.cols;
        matrix.rows += view.rows - skipped;
        matrix.values.extend_from_slice(&values[skipped * view.cols..]);
    }
}
