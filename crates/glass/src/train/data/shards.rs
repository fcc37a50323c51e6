//! Token shards: files of plain ids, little-endian, two or four bytes each (nanoGPT's `.bin`, and llm.c's, whose
//! header of 1,024 bytes is recognised).

use std::path::{Path, PathBuf};

use glass_kernels::map::Map;
use rayon::prelude::*;

use crate::train::data::Remark;
use crate::train::data::ids::{Ids, Mapped, Width, decode};
use crate::train::data::llm_c::header;
use crate::{Error, Result};

/// Maps shards, one after another. Every id must be below `vocabulary`.
pub fn read(files: &[PathBuf], width: Width, vocabulary: usize) -> Result<(Ids, Vec<Remark>)> {
    let (mut maps, mut remarks) = (Vec::new(), Vec::new());
    for path in files {
        let map = Map::open(path).map_err(|error| Error::io("cannot read", path, error))?;
        let start = header(path, &map, width)?;
        check(path, &map, start, width, vocabulary)?;
        remarks.extend(match (map.len() == start, start) {
            (true, _) => Some(Remark::new(path, "empty, skipped")),
            (false, 0) => None,
            (false, _) => Some(Remark::new(path, "its header is llm.c's and is skipped")),
        });
        maps.push((map, start));
    }
    Ok((Ids::Mapped(Mapped::new(maps, width)), remarks))
}

/// Checks that the ids after the header are a whole number of ids and that none is too large.
fn check(path: &Path, bytes: &[u8], start: usize, width: Width, vocabulary: usize) -> Result<()> {
    let (body, size) = (&bytes[start..], width.bytes());
    if !body.len().is_multiple_of(size) {
        let why = format!(
            "{} bytes of ids are not a multiple of {size}, the size of one id; is the file cut short, or should `bin` be another width?",
            body.len()
        );
        return Err(Error::invalid(path.display(), why));
    }
    let chunks = body.par_chunks(size << 18).enumerate();
    let wrong = chunks.find_map_first(|(chunk, bytes)| {
        let (mut at, mut wrong) = ((chunk << 18) * size, None);
        decode(bytes, width, |id| {
            if id as usize >= vocabulary && wrong.is_none() {
                wrong = Some((id, start + at));
            }
            at += size;
        });
        wrong
    });
    match wrong {
        None => Ok(()),
        Some((id, at)) => Err(Error::invalid(
            path.display(),
            format!(
                "id {id} at offset {at}, but the vocabulary has {vocabulary} tokens; should `bin` be another width?"
            ),
        )),
    }
}
