//! Compares large amounts of data by one number each.

use std::io::Read;

use xxhash_rust::xxh3::Xxh3;

/// A hash of 32-bit numbers: FNV-1a over 32 bits at a time.
pub(crate) struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Fingerprint(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    pub(crate) fn add(&mut self, word: u32) {
        self.0 = (self.0 ^ u64::from(word)).wrapping_mul(0x0100_0000_01b3);
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

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
