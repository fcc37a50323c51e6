//! Token shards: files of ids as they are, little-endian, two or four bytes each (nanoGPT's `.bin`, and llm.c's, whose
//! header of 1,024 bytes is recognised).

use std::fs;
use std::path::{Path, PathBuf};

use super::data::Remark;
use super::ids::Ids;
use super::llm_c::header;
use crate::{Error, Result};

/// Bytes of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Two.
    U16,
    /// Four.
    U32,
}

/// Reads shards one after another. Every id must be below `vocabulary`.
pub fn read(files: &[PathBuf], width: Width, vocabulary: usize) -> Result<(Ids, Vec<Remark>)> {
    let mut ids = Ids::new(vocabulary);
    let mut remarks = Vec::new();
    for path in files {
        let bytes = fs::read(path).map_err(|error| Error::io("cannot read", path, error))?;
        remarks.extend(add(&mut ids, path, &bytes, width, vocabulary)?);
    }
    Ok((ids, remarks))
}

fn add(ids: &mut Ids, path: &Path, bytes: &[u8], width: Width, vocabulary: usize) -> Result<Option<Remark>> {
    let size = match width {
        Width::U16 => 2,
        Width::U32 => 4,
    };
    let start = header(path, bytes, width)?;
    let body = &bytes[start..];
    if !body.len().is_multiple_of(size) {
        let why = format!(
            "{} bytes of ids are no multiple of {size}, which one id takes; is it cut short, or is --bin another width?",
            body.len()
        );
        return Err(Error::invalid(path.display(), why));
    }
    let mut chunk = Vec::with_capacity(1 << 16);
    for (index, id) in body.chunks_exact(size).enumerate() {
        let id = id.iter().rev().fold(0, |id, &byte| id << 8 | u32::from(byte));
        if id as usize >= vocabulary {
            let why = format!(
                "id {id} at offset {}, but the vocabulary has {vocabulary} tokens; is --bin another width?",
                start + index * size
            );
            return Err(Error::invalid(path.display(), why));
        }
        chunk.push(id);
        if chunk.len() == 1 << 16 {
            ids.extend(&chunk);
            chunk.clear();
        }
    }
    ids.extend(&chunk);
    Ok(match (body.is_empty(), start) {
        (true, _) => Some(Remark::new(path, "empty, skipped")),
        (false, 0) => None,
        (false, _) => Some(Remark::new(path, "its header is llm.c's and is skipped")),
    })
}
