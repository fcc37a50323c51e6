//! The date, for chat templates that ask for it.

use glass::tokens::chat::LocalTime;
use jiff::Zoned;

/// The local time.
pub fn local_time() -> LocalTime {
    let now = Zoned::now();
    LocalTime {
        year: now.year().into(),
        month: now.month() as u8,
        day: now.day() as u8,
        hour: now.hour() as u8,
        minute: now.minute() as u8,
        second: now.second() as u8,
    }
}
