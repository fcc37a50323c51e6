//! The date, for templates that ask for it.

use super::error::{Outcome, failed, unavailable};

/// A local date and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// The year, as in 2026.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl LocalTime {
    /// The time `seconds` seconds after the beginning of 1970.
    pub fn from_seconds(seconds: i64) -> LocalTime {
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // The years are counted from March, so that a leap day ends one.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        LocalTime {
            year: (year_of_era + era * 400 + i64::from(month <= 2)) as i32,
            month: month as u8,
            day: day as u8,
            hour: (rest / 3600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
        }
    }

    fn days_before(self) -> i32 {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let lengths = [31, 28 + i32::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        lengths[..usize::from(self.month.clamp(1, 12)) - 1].iter().sum::<i32>() + i32::from(self.day) - 1
    }

    /// 0 is Sunday.
    fn weekday(self) -> i32 {
        let before = self.year - 1;
        let days = before * 365 + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
        (days + self.days_before() + 1).rem_euclid(7)
    }

    /// Python's `strftime`, in English.
    pub fn strftime(self, format: &str) -> Outcome<String> {
        let mut text = String::new();
        let mut rest = format.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            let mut flag = None;
            let mut field = rest.next();
            if let Some(sign @ ('-' | '_' | '0' | '^' | '#')) = field {
                flag = Some(sign);
                field = rest.next();
            }
            let Some(field) = field else {
                return failed("strftime_now was given a format that ends with %");
            };
            text.push_str(&self.field(field, flag)?);
        }
        Ok(text)
    }

    fn field(self, field: char, flag: Option<char>) -> Outcome<String> {
        let number = |value: i32, width: usize, fill: char| match (flag, fill) {
            (Some('-'), _) => value.to_string(),
            (Some('_'), _) | (None, ' ') => format!("{value:width$}"),
            _ => format!("{value:0width$}"),
        };
        let name = |name: &str| if flag == Some('^') { name.to_uppercase() } else { name.to_string() };
        let twelve = i32::from((self.hour + 11) % 12 + 1);
        let (weekday, month) = (self.weekday(), MONTHS[usize::from(self.month.clamp(1, 12)) - 1]);
        let day = DAYS[weekday as usize];
        let half = if self.hour < 12 { "AM" } else { "PM" };
        Ok(match field {
            'a' => name(&day[..3]),
            'A' => name(day),
            'b' | 'h' => name(&month[..3]),
            'B' => name(month),
            'd' => number(self.day.into(), 2, '0'),
            'e' => number(self.day.into(), 2, ' '),
            'H' => number(self.hour.into(), 2, '0'),
            'k' => number(self.hour.into(), 2, ' '),
            'I' => number(twelve, 2, '0'),
            'l' => number(twelve, 2, ' '),
            'j' => number(self.days_before() + 1, 3, '0'),
            'm' => number(self.month.into(), 2, '0'),
            'M' => number(self.minute.into(), 2, '0'),
            'S' => number(self.second.into(), 2, '0'),
            'p' if flag == Some('#') => half.to_lowercase(),
            'p' => half.into(),
            'P' => half.to_lowercase(),
            'u' => number(if weekday == 0 { 7 } else { weekday }, 1, '0'),
            'w' => number(weekday, 1, '0'),
            'U' => number((self.days_before() + 7 - weekday) / 7, 2, '0'),
            'W' => number((self.days_before() + 7 - (weekday + 6) % 7) / 7, 2, '0'),
            'y' => number(self.year.rem_euclid(100), 2, '0'),
            'C' => number(self.year.div_euclid(100), 2, '0'),
            'Y' => self.year.to_string(),
            'n' => "\n".into(),
            't' => "\t".into(),
            '%' => "%".into(),
            'F' => self.strftime("%Y-%m-%d")?,
            'T' | 'X' => self.strftime("%H:%M:%S")?,
            'R' => self.strftime("%H:%M")?,
            'D' | 'x' => self.strftime("%m/%d/%y")?,
            'r' => self.strftime("%I:%M:%S %p")?,
            'c' => self.strftime("%a %b %e %H:%M:%S %Y")?,
            // The time has no time zone, so nothing is printed.
            'z' | 'Z' => String::new(),
            other => return unavailable(format!("strftime_now with %{other}")),
        })
    }
}
