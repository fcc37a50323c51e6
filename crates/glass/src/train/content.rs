//! Compares files and texts by one number each.

use std::io::Read;

use xxhash_rust::xxh3::Xxh3;

/// A 128-bit hash of content, so long that two different texts never share one by accident. XXH3 (Collet,
/// `xxhash.com`, doc/xxhash_spec.md).
#[derive(Clone, Default)]
pub(crate) struct Content(Xxh3);

impl Content {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn end(&self) -> u128 {
        self.0.digest128()
    }

    /// The hash of everything that `file` yields.
    pub(crate) fn of(mut file: impl Read) -> std::io::Result<u128> {
        let (mut content, mut bytes) = (Content::default(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut bytes)? {
                0 => return Ok(content.end()),
                read => content.add(&bytes[..read]),
            }
        }
    }
}
