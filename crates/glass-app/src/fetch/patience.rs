//! Trouble that passes is waited for, a bounded number of times.

use std::env;
use std::thread::sleep;
use std::time::Duration;

use jiff::Timestamp;
use ureq::http::HeaderMap;

use crate::fail::{Fail, say};
use crate::out::duration;

/// Attempts that bring nothing new.
const ATTEMPTS: u32 = 5;

/// A longer pause is left to the user.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Why a request was in vain.
pub enum Trouble {
    /// It may work later.
    Passing {
        /// What happened.
        why: String,
        /// The pause that the server asks for.
        pause: Option<Duration>,
    },
    /// It will not.
    Final(Fail),
}

impl Trouble {
    /// Trouble without a wish for a pause.
    pub fn passing(why: String) -> Trouble {
        Trouble::Passing { why, pause: None }
    }
}

impl From<Fail> for Trouble {
    fn from(fail: Fail) -> Trouble {
        Trouble::Final(fail)
    }
}

impl From<glass::Error> for Trouble {
    fn from(error: glass::Error) -> Trouble {
        Trouble::Final(error.into())
    }
}

/// Counts attempts.
pub struct Patience {
    failed: u32,
    first: Duration,
}

impl Patience {
    /// The first pause is a second, or GLASS_FETCH_PAUSE; each is twice as long as the one before.
    pub fn new() -> Patience {
        let seconds = env::var("GLASS_FETCH_PAUSE").ok().and_then(|text| text.parse().ok());
        let first = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Patience { failed: 0, first: first.unwrap_or(Duration::from_secs(1)) }
    }

    /// Something new came: the count begins again.
    pub fn renew(&mut self) {
        self.failed = 0;
    }

    /// Waits before another attempt, or gives up.
    pub fn wait(&mut self, what: &str, trouble: Trouble) -> Result<(), Fail> {
        let (why, asked) = match trouble {
            Trouble::Final(fail) => return Err(fail),
            Trouble::Passing { why, pause } => (why, pause),
        };
        self.failed += 1;
        let pause = asked.unwrap_or(self.first * 2u32.pow(self.failed - 1));
        let for_long = duration(pause.as_secs_f64());
        if pause > LONGEST_PAUSE {
            return Err(Fail::failed(format!(
                "{what}: {why}, and for a pause of {for_long}; try again then"
            )));
        }
        if self.failed == ATTEMPTS {
            return Err(Fail::failed(format!(
                "{what}: {why}, {ATTEMPTS} times in a row; try the same command later, it continues where this one ended"
            )));
        }
        say(&format!("{what}: {why}; trying again in {for_long}"));
        sleep(pause);
        Ok(())
    }
}

/// The pause in an answer's Retry-After (seconds or a date), or in the Hub's own RateLimit (`"api";r=0;t=55`).
pub fn pause_asked_for(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let until = |date: &str| {
        let then = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
        Some(then.duration_since(Timestamp::now()).as_secs().max(0) as u64)
    };
    let retry_after = || text("retry-after").and_then(|after| after.parse().ok().or_else(|| until(after)));
    let limit = || {
        let parts = text("ratelimit")?.split(';').map(str::trim);
        parts.filter_map(|part| part.strip_prefix("t=")).find_map(|seconds| seconds.parse().ok())
    };
    retry_after().or_else(limit).map(Duration::from_secs)
}
