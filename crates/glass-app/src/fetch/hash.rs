//! The hash of a file's content: SHA-256 for large files, for small ones the SHA-1 that Git gives them.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// What the name of a blob says about its content.
#[derive(Clone, Copy)]
pub enum Expected {
    /// 64 digits.
    Sha256,
    /// 40 digits: of a header and the content.
    Git,
    /// Something that is not a hash, from a server that is not the Hub.
    Unknown,
}

impl Expected {
    /// By the name.
    pub fn of(etag: &str) -> Expected {
        let is_hex = etag.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match (etag.len(), is_hex) {
            (64, true) => Expected::Sha256,
            (40, true) => Expected::Git,
            _ => Expected::Unknown,
        }
    }
}

/// A hash that is being computed.
pub struct Hashing {
    context: Option<Context>,
    /// The bytes so far.
    pub bytes: u64,
}

impl Hashing {
    /// Of a file of this size.
    pub fn new(expected: Expected, size: u64) -> Hashing {
        let context = match expected {
            Expected::Sha256 => Some(Context::new(&SHA256)),
            Expected::Git => {
                let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {size}\0").as_bytes());
                Some(context)
            }
            Expected::Unknown => None,
        };
        Hashing { context, bytes: 0 }
    }

    /// Adds content.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if let Some(context) = &mut self.context {
            context.update(bytes);
        }
    }

    /// The hash in hexadecimal digits, if there is one.
    pub fn finish(self) -> Option<String> {
        let hash = self.context?.finish();
        Some(hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Expected, Hashing};

    #[test]
    fn hashes_are_those_of_git_and_sha256sum() {
        for (etag, content) in [
            // printf 'hello\n' | git hash-object --stdin
            ("ce013625030ba8dba906f756967f9e9ca394464a", "hello\n"),
            // printf 'hello\n' | sha256sum
            ("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", "hello\n"),
            ("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", ""),
        ] {
            let mut hashing = Hashing::new(Expected::of(etag), content.len() as u64);
            content.bytes().for_each(|byte| hashing.add(&[byte]));
            assert_eq!(hashing.finish().as_deref(), Some(etag));
        }
        assert!(Hashing::new(Expected::of("W-123"), 3).finish().is_none());
    }
}
