//! Numbers and quoted strings of a template, read as Python reads them.

use super::token::Token;

/// The number at the start of `rest`, and its length. `after_dot` means that no fraction is read (`a.0.1` is two
/// indices).
pub fn number(rest: &str, after_dot: bool) -> Result<(Token, usize), String> {
    let bytes = rest.as_bytes();
    if !after_dot && let Some(length) = float_length(bytes) {
        let text = rest[..length].replace('_', "");
        let value = text.parse().map_err(|_| format!("{text} is not a number"))?;
        return Ok((Token::Float(value), length));
    }
    let (base, digits) = match (bytes[0], bytes.get(1).map(u8::to_ascii_lowercase)) {
        (b'0', Some(b'b')) => (2, run(bytes, 2, |b| matches!(b, b'0' | b'1'))),
        (b'0', Some(b'o')) => (8, run(bytes, 2, |b| (b'0'..=b'7').contains(&b))),
        (b'0', Some(b'x')) => (16, run(bytes, 2, |b| b.is_ascii_hexdigit())),
        _ => (10, 0),
    };
    let (start, length) = match (base, digits) {
        (2 | 8 | 16, length) if length > 2 => (2, length),
        _ if bytes[0] == b'0' => (0, run(bytes, 1, |b| b == b'0').max(1)),
        _ => (0, run(bytes, 1, |b| b.is_ascii_digit()).max(1)),
    };
    let base = if start == 0 { 10 } else { base };
    let text = rest[start..length].replace('_', "");
    let value = i128::from_str_radix(&text, base).map_err(|_| format!("the number {text} is too large"))?;
    Ok((Token::Int(value), length))
}

/// Where a run of digits ends; single underscores are allowed between them.
fn run(bytes: &[u8], mut at: usize, digit: impl Fn(u8) -> bool) -> usize {
    loop {
        let underscore = usize::from(bytes.get(at) == Some(&b'_'));
        match bytes.get(at + underscore) {
            Some(&b) if digit(b) => at += underscore + 1,
            _ => return at,
        }
    }
}

/// The length of digits that may contain single underscores; `None` if there is no digit.
fn digits(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at).filter(|b| b.is_ascii_digit()).map(|_| run(bytes, at + 1, |b| b.is_ascii_digit()))
}

fn float_length(bytes: &[u8]) -> Option<usize> {
    let whole = digits(bytes, 0)?;
    let fraction = (bytes.get(whole) == Some(&b'.')).then(|| digits(bytes, whole + 1)).flatten();
    let mantissa = fraction.unwrap_or(whole);
    let exponent = matches!(bytes.get(mantissa), Some(b'e' | b'E')).then(|| {
        let sign = usize::from(matches!(bytes.get(mantissa + 1), Some(b'+' | b'-')));
        digits(bytes, mantissa + 1 + sign)
    });
    exponent.flatten().or(fraction)
}

/// A quoted string's text, as Python's `unicode-escape` decodes it after all non-ASCII characters were escaped. (So
/// a backslash before `é` yields `\xe9`, as in Python.)
pub fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        let Some(escape) = rest.next() else { return Err("a string ends with a backslash".into()) };
        match escape {
            '\n' => {}
            '\\' | '\'' | '"' => plain.push(escape),
            'a' => plain.push('\u{7}'),
            'b' => plain.push('\u{8}'),
            'f' => plain.push('\u{c}'),
            'n' => plain.push('\n'),
            'r' => plain.push('\r'),
            't' => plain.push('\t'),
            'v' => plain.push('\u{b}'),
            '0'..='7' => {
                let mut digits = String::from(escape);
                while digits.len() < 3
                    && let Some(digit @ '0'..='7') = rest.clone().next()
                {
                    rest.next();
                    digits.push(digit);
                }
                plain.push(character(&digits, 8)?);
            }
            'x' => plain.push(hex(&mut rest, 2)?),
            'u' => plain.push(hex(&mut rest, 4)?),
            'U' => plain.push(hex(&mut rest, 8)?),
            'N' => return Err("characters by name (\\N{…}) are not available; write \\uXXXX".into()),
            c if c.is_ascii() => plain.extend(['\\', c]),
            c if u32::from(c) < 0x100 => plain.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) < 0x10000 => plain.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => plain.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    Ok(plain)
}

fn hex(rest: &mut std::str::Chars<'_>, length: usize) -> Result<char, String> {
    let digits: String = rest.by_ref().take(length).collect();
    if digits.len() < length || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(format!("an escape in a string needs {length} hexadecimal digits, not {digits:?}"));
    }
    character(&digits, 16)
}

fn character(digits: &str, base: u32) -> Result<char, String> {
    let code = u32::from_str_radix(digits, base).ok().and_then(char::from_u32);
    code.ok_or_else(|| format!("{digits} in a string's escape is not a character"))
}
