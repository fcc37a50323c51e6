//! What is known of the documents of some files once they were read: no text.

use std::path::{Path, PathBuf};

use super::{Near, Source, named};
use crate::train::content::Content;
use crate::train::data::Remark;
use crate::train::data::near::{Signature, Sketching};
use crate::train::data::pieces::Pieces;
use crate::{Error, Result};

/// The content hash and length of every document.
#[derive(Default)]
pub(super) struct Contents {
    pub contents: Vec<u128>,
    pub lengths: Vec<u64>,
    /// For finding near-duplicates; empty if they are not looked for.
    pub signatures: Vec<Signature>,
    pub empty: u64,
    pub remarks: Vec<Remark>,
    pub read: u64,
    /// The number of the first document of every file.
    files: Vec<(u64, PathBuf)>,
}

impl Contents {
    pub fn of(files: &[PathBuf], source: &Source, report: &mut dyn FnMut(u64)) -> Result<Contents> {
        let mut all = Contents::default();
        let mut pieces = Pieces::of_files(files, &source.reading, source.sizes);
        let mut content = Content::default();
        let mut sketching = (source.near != Near::Keep).then(Sketching::default);
        while let Some(piece) = pieces.next().transpose()? {
            content.add(&piece.text);
            if all.files.last().is_none_or(|(_, path)| path != pieces.path()) {
                all.files.push((piece.document, pieces.path().into()));
            }
            let (length, ends) = (piece.offset + piece.text.len() as u64, piece.ends);
            if let Some(sketching) = &mut sketching {
                sketching.add(piece.text, ends);
            }
            if ends {
                all.contents.push(std::mem::take(&mut content).end());
                all.lengths.push(length);
                report(pieces.read());
            }
        }
        if all.lengths.is_empty() {
            return Err(Error::invalid(named(files), "the files hold no text; name files with text in them"));
        }
        all.signatures = sketching.map(Sketching::end).unwrap_or_default();
        all.read = pieces.read();
        (all.remarks, all.empty) = (pieces.remarks, pieces.empty);
        Ok(all)
    }

    /// Where a document is: its file, and the how manyth it is there, from 1.
    pub fn place(&self, document: usize) -> String {
        let document = document as u64;
        let before = self.files.partition_point(|(first, _)| *first <= document);
        match before.checked_sub(1).map(|at| &self.files[at]) {
            Some((first, path)) => format!("{}, document {}", Path::display(path), document - first + 1),
            None => format!("document {}", document + 1),
        }
    }
}
