//! Numbers that nobody else has: ids of requests, and seeds where none was asked for.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A number from the system's random keys.
pub fn number() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut hash = RandomState::new().build_hasher();
    hash.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
    hash.finish()
}

/// A seed that every JSON reader keeps exactly.
pub fn seed() -> u64 {
    number() >> 32
}

/// An id: a prefix, and hexadecimal digits.
pub fn id(prefix: &str) -> String {
    format!("{prefix}{:016x}{:08x}", number(), number() >> 32)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
