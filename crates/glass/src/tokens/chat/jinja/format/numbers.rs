//! Numbers formatted to a given style, and strings padded to a width.

use super::super::error::{Outcome, unavailable};

/// The largest width and the largest number of digits.
const WIDEST: i128 = 10_000;

/// How something is to be formatted.
#[derive(Clone)]
pub struct Style {
    pub fill: char,
    /// `<`, `>`, `^`, or `=`: the fill between a sign and its digits.
    pub align: char,
    /// `+`, a space or `-`: what is put before a number that is not negative.
    pub sign: char,
    pub alternate: bool,
    pub width: usize,
    /// `,` or `_` between groups of digits.
    pub group: Option<char>,
    pub precision: Option<usize>,
}

impl Default for Style {
    fn default() -> Style {
        Style { fill: ' ', align: '<', sign: '-', alternate: false, width: 0, group: None, precision: None }
    }
}

impl Style {
    pub fn set_width(&mut self, width: i128) -> Outcome<()> {
        if width < 0 {
            self.align = '<';
        }
        self.width = within(width.abs())?;
        Ok(())
    }

    pub fn set_precision(&mut self, precision: i128) -> Outcome<()> {
        self.precision = Some(within(precision.max(0))?);
        Ok(())
    }

    /// The sign of a number.
    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.sign) {
            (true, _) => "-",
            (false, '+') => "+",
            (false, ' ') => " ",
            _ => "",
        }
    }

    /// A prefix (a sign, `0x`) and a text, padded to the width.
    pub fn pad(&self, prefix: &str, text: &str) -> String {
        let missing = self.width.saturating_sub(prefix.chars().count() + text.chars().count());
        let fill = |count: usize| std::iter::repeat_n(self.fill, count).collect::<String>();
        match self.align {
            '<' => format!("{prefix}{text}{}", fill(missing)),
            '^' => format!("{}{prefix}{text}{}", fill(missing / 2), fill(missing - missing / 2)),
            '=' => format!("{prefix}{}{text}", fill(missing)),
            _ => format!("{}{prefix}{text}", fill(missing)),
        }
    }

    /// Digits with group separators, filled with zeros to the width if the fill is zero.
    fn grouped(&self, prefix: &str, digits: &str, rest: &str, size: usize) -> String {
        let Some(comma) = self.group else { return self.pad(prefix, &format!("{digits}{rest}")) };
        let mut digits = digits.to_string();
        let group = |digits: &str| {
            let mut grouped = String::new();
            for (at, c) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at).is_multiple_of(size) {
                    grouped.push(comma);
                }
                grouped.push(c);
            }
            grouped
        };
        if self.fill == '0' && self.align == '=' {
            while group(&digits).len() + prefix.len() + rest.len() < self.width {
                digits.insert(0, '0');
            }
        }
        self.pad(prefix, &(group(&digits) + rest))
    }
}

fn within(number: i128) -> Outcome<usize> {
    if number > WIDEST {
        unavailable(format!("a form of over {WIDEST} characters"))
    } else {
        Ok(number as usize)
    }
}

/// A whole number in decimal (`d`), hexadecimal (`x`, `X`), octal (`o`) or binary (`b`), with at least `digits`
/// digits.
pub fn int_text(number: i128, kind: char, digits: usize, style: &Style) -> String {
    let size = number.unsigned_abs();
    let text = match kind {
        'x' => format!("{size:x}"),
        'X' => format!("{size:X}"),
        'o' => format!("{size:o}"),
        'b' => format!("{size:b}"),
        _ => size.to_string(),
    };
    let prefix = match kind {
        'x' | 'X' | 'o' | 'b' if style.alternate => format!("0{kind}"),
        _ => String::new(),
    };
    let text = format!("{}{text}", "0".repeat(digits.saturating_sub(text.len())));
    style.grouped(&format!("{}{prefix}", style.sign(number < 0)), &text, "", if kind == 'd' { 3 } else { 4 })
}

/// A float in the format `e`, `f`, `g` or `%`, in upper case if the letter is in upper case.
pub fn float_text(number: f64, kind: char, style: &Style) -> String {
    let precision = style.precision.unwrap_or(6);
    let size = number.abs();
    let text = match kind.to_ascii_lowercase() {
        _ if size.is_nan() => "nan".into(),
        _ if size.is_infinite() => "inf".into(),
        'f' => fixed(size, precision, style.alternate),
        '%' => fixed(size * 100.0, precision, style.alternate) + "%",
        'e' => scientific(size, precision, style.alternate),
        _ => general(size, precision, style.alternate),
    };
    let text = if kind.is_ascii_uppercase() { text.to_uppercase() } else { text };
    let sign = style.sign(number.is_sign_negative() && !number.is_nan());
    let finite = text.starts_with(|c: char| c.is_ascii_digit());
    let style = if finite {
        style.clone()
    } else {
        Style { fill: if style.fill == '0' { ' ' } else { style.fill }, ..style.clone() }
    };
    let whole = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if finite { style.grouped(sign, &text[..whole], &text[whole..], 3) } else { style.pad(sign, &text) }
}

fn fixed(number: f64, precision: usize, alternate: bool) -> String {
    let text = format!("{number:.precision$}");
    if alternate && precision == 0 { text + "." } else { text }
}

fn scientific(number: f64, precision: usize, alternate: bool) -> String {
    let text = format!("{number:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let dot = if alternate && precision == 0 { "." } else { "" };
    format!("{mantissa}{dot}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn general(number: f64, precision: usize, alternate: bool) -> String {
    let precision = precision.max(1);
    let rounded = format!("{number:.*e}", precision - 1);
    let exponent: i32 = rounded.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let (text, tail) = if exponent < -4 || exponent >= precision as i32 {
        let text = scientific(number, precision - 1, alternate);
        let at = text.find('e').unwrap_or(text.len());
        (text[..at].to_string(), text[at..].to_string())
    } else {
        (fixed(number, (precision as i32 - 1 - exponent).max(0) as usize, alternate), String::new())
    };
    let short = if text.contains('.') && !alternate {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{short}{tail}")
}
