//! The header of llm.c's files of ids (<https://github.com/karpathy/llm.c>, `dev/data/data_common.py`, `llmc/dataloader.h`):
//! 256 little-endian int32, of which the first three are a magic word, a version and the number of ids.
//!
//! The magic words cannot be the first two ids of a file without a header for GPT-2's vocabulary: as 16-bit
//! numbers, their lower halves are above 50,257.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::train::data::ids::Width;
use crate::{Error, Result};

/// The size of the header in bytes.
const LENGTH: usize = 1024;

/// Shards for GPT-2 and for Llama 3: magic word, version, width of an id.
const SHARDS: [(u32, u32, Width); 2] = [(20_240_520, 1, Width::U16), (20_240_801, 7, Width::U32)];

/// Other files of llm.c.
const OTHERS: [(u32, &str); 3] = [
    (20_240_326, "a checkpoint; pass it as `from`, and shards of ids here"),
    (20_240_327, "a debugging state; shards of ids were expected"),
    (20_240_522, "multiple-choice questions; shards of ids were expected"),
];

/// The width of a file's ids, if it has llm.c's header.
pub fn width(path: &Path) -> Result<Option<Width>> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LENGTH as u64).read_to_end(&mut start));
    read.map_err(|error| Error::io("cannot read", path, error))?;
    parse(path, &start).map(|found| found.map(|(width, _)| width))
}

/// The size of the header in a file's contents, 0 if there is none. It is an error if the width or the number of
/// ids differs from the header.
pub(super) fn header(path: &Path, bytes: &[u8], width: Width) -> Result<usize> {
    let wrong = |why: String| Err(Error::invalid(path.display(), why));
    let (its, ids) = match parse(path, bytes)? {
        None => return Ok(0),
        Some(found) => found,
    };
    let name = |width| if width == Width::U16 { "u16" } else { "u32" };
    if its != width {
        let (its, asked) = (name(its), name(width));
        return wrong(format!("its header is llm.c's for {its}, but `bin` is {asked}; set `bin` to {its}"));
    }
    let expected = LENGTH as u64 + u64::from(ids) * its.bytes() as u64;
    match bytes.len() as u64 == expected {
        true => Ok(LENGTH),
        false => {
            let (found, its) = (bytes.len(), name(its));
            wrong(format!(
                "its header is llm.c's for {ids} ids in {its}, {expected} bytes in all, but it has {found}"
            ))
        }
    }
}

/// The width and the number of ids; `None` if there is no header.
fn parse(path: &Path, bytes: &[u8]) -> Result<Option<(Width, u32)>> {
    let wrong = |why: String| Err(Error::invalid(path.display(), why));
    let [magic, version, ids] = match bytes.as_chunks::<4>().0 {
        [magic, version, ids, ..] => [magic, version, ids].map(|word| u32::from_le_bytes(*word)),
        _ => return Ok(None),
    };
    if let Some((_, what)) = OTHERS.iter().find(|(other, _)| *other == magic) {
        return wrong(format!("is a file of llm.c, but {what}"));
    }
    match SHARDS.iter().find(|(known, ..)| *known == magic) {
        None => Ok(None),
        Some((_, expected, _)) if *expected != version => {
            wrong(format!("its header is llm.c's, version {version}; {expected} was expected"))
        }
        Some(_) if bytes.len() < LENGTH => wrong("its header is llm.c's, but it is cut short".into()),
        Some((_, _, width)) => Ok(Some((*width, ids))),
    }
}
