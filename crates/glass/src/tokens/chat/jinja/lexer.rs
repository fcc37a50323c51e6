//! Cuts a template's text into tokens: data, and the contents of `{{ }}` and `{% %}`. The rules, their order and
//! the treatment of white space are those of `jinja2.lexer` with `trim_blocks` and `lstrip_blocks`.

use super::error::Fault;
use super::literal::{number, unescape};
use super::token::Token;

/// Longest first.
const OPERATORS: [&str; 25] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<",
    "=", ".", ":", "|", ",",
];

/// The tokens of a template, each with its line.
pub fn tokens(source: &str) -> Result<Vec<(u32, Token)>, Fault> {
    let mut source = source.replace("\r\n", "\n").replace('\r', "\n");
    if source.ends_with('\n') {
        source.pop();
    }
    let mut lexer = Lexer { source: &source, at: 0, line: 1, line_starting: true, tokens: Vec::new() };
    while lexer.at < source.len() {
        lexer.root()?;
    }
    let line = lexer.line;
    lexer.tokens.push((line, Token::End));
    Ok(lexer.tokens)
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    line: u32,
    /// Whether the last match ended with a line break.
    line_starting: bool,
    tokens: Vec<(u32, Token)>,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn push(&mut self, token: Token) {
        self.tokens.push((self.line, token));
    }

    fn advance(&mut self, bytes: usize) {
        let passed = &self.rest()[..bytes];
        self.line += passed.matches('\n').count() as u32;
        if bytes > 0 {
            self.line_starting = passed.ends_with('\n');
        }
        self.at += bytes;
    }

    /// The data up to the next tag, and the tag.
    fn root(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let tag = rest
            .match_indices('{')
            .find(|(at, _)| matches!(rest.as_bytes().get(at + 1), Some(b'%' | b'{' | b'#')));
        let Some((at, _)) = tag else {
            self.push(Token::Data(rest.to_string()));
            self.advance(rest.len());
            return Ok(());
        };
        let sign = Sign::of(rest[at + 2..].chars().next());
        let kind = rest.as_bytes()[at + 1];
        self.data(at, sign, kind != b'{');
        let begin = 2 + sign.len();
        match kind {
            b'{' => {
                self.push(Token::VariableBegin);
                self.advance(begin);
                self.inside(Token::VariableEnd)
            }
            b'#' => {
                let body = &self.rest()[begin..];
                let end =
                    body.find("#}").ok_or_else(|| Fault::syntax(self.line, "this comment has no end"))?;
                let length = begin + end + 2;
                self.advance(
                    length
                        + after_end(&self.rest()[length..], body[..end].ends_with('-'), signed(&body[..end])),
                );
                Ok(())
            }
            _ => match raw(&self.rest()[begin..], "raw") {
                Some(length) => {
                    self.advance(begin + length.tag);
                    if length.strip {
                        self.skip_space();
                    }
                    self.raw_data()
                }
                None => {
                    self.push(Token::BlockBegin);
                    self.advance(begin);
                    self.inside(Token::BlockEnd)
                }
            },
        }
    }

    /// The data before a tag, without the white space that the tag strips.
    fn data(&mut self, length: usize, sign: Sign, lstrip: bool) {
        let text = &self.rest()[..length];
        let kept = match sign {
            Sign::Minus => trim_end(text),
            Sign::None if lstrip => {
                let line = text.rfind('\n').map_or(0, |at| at + 1);
                let only_space = line < text.len() && text[line..].chars().all(is_space);
                if only_space && (line > 0 || self.line_starting) { &text[..line] } else { text }
            }
            _ => text,
        };
        if !kept.is_empty() {
            self.push(Token::Data(kept.to_string()));
        }
        self.advance(length);
    }

    /// The text between `{% raw %}` and `{% endraw %}`.
    fn raw_data(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        for (at, _) in rest.match_indices("{%") {
            let sign = Sign::of(rest[at + 2..].chars().next());
            let begin = at + 2 + sign.len();
            let Some(length) = raw(&rest[begin..], "endraw") else { continue };
            self.data(at, sign, true);
            let tag = begin - at + length.tag;
            self.advance(tag + after_end(&self.rest()[tag..], length.strip, length.signed));
            return Ok(());
        }
        Err(Fault::syntax(self.line, "{% raw %} has no {% endraw %}"))
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.advance(rest.len() - trim_start(rest).len());
    }

    /// The tokens of a tag, up to its end.
    fn inside(&mut self, end: Token) -> Result<(), Fault> {
        let mut open = Vec::new();
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return Ok(());
            }
            if open.is_empty()
                && let Some(length) = self.tag_end(&end)
            {
                self.push(end);
                self.advance(length);
                return Ok(());
            }
            let c = rest.chars().next().unwrap_or(' ');
            if is_space(c) {
                self.skip_space();
            } else if c.is_ascii_digit() {
                let after_dot = self.source[..self.at].ends_with('.');
                let (token, length) = number(rest, after_dot).map_err(|why| Fault::syntax(self.line, why))?;
                self.push(token);
                self.advance(length);
            } else if c.is_alphanumeric() || c == '_' {
                let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                self.push(Token::Name(rest[..length].to_string()));
                self.advance(length);
            } else if (c == '"' || c == '\'')
                && let Some(length) = string(rest)
            {
                let text = unescape(&rest[1..length - 1]).map_err(|why| Fault::syntax(self.line, why))?;
                self.push(Token::Text(text));
                self.advance(length);
            } else {
                self.operator(&mut open)?;
            }
        }
    }

    fn operator(&mut self, open: &mut Vec<char>) -> Result<(), Fault> {
        let rest = self.rest();
        let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) else {
            let c = rest.chars().next().unwrap_or(' ');
            return Err(Fault::syntax(self.line, format!("the character {c:?} has no meaning here")));
        };
        match *operator {
            "(" => open.push(')'),
            "[" => open.push(']'),
            "{" => open.push('}'),
            ")" | "]" | "}" if open.pop().map(String::from).as_deref() != Some(operator) => {
                return Err(Fault::syntax(self.line, format!("\"{operator}\" closes nothing")));
            }
            _ => {}
        }
        self.push(Token::Operator(operator));
        self.advance(operator.len());
        Ok(())
    }

    /// The length of a tag's end, including the white space that it strips, if the tag ends here.
    fn tag_end(&self, end: &Token) -> Option<usize> {
        let rest = self.rest();
        let (text, block) = if *end == Token::BlockEnd { ("%}", true) } else { ("}}", false) };
        let sign = Sign::of(rest.chars().next()).min_for(block);
        let after = rest[sign.len()..].strip_prefix(text)?;
        let taken = match sign {
            Sign::Minus => after.len() - trim_start(after).len(),
            Sign::None if block && after.starts_with('\n') => 1,
            _ => 0,
        };
        Some(sign.len() + text.len() + taken)
    }
}

/// The sign next to a delimiter.
#[derive(Clone, Copy, PartialEq)]
enum Sign {
    None,
    Minus,
    Plus,
}

impl Sign {
    fn of(c: Option<char>) -> Sign {
        match c {
            Some('-') => Sign::Minus,
            Some('+') => Sign::Plus,
            _ => Sign::None,
        }
    }

    fn len(self) -> usize {
        usize::from(self != Sign::None)
    }

    /// `+}}` does not end a tag: only blocks and comments allow the plus sign.
    fn min_for(self, block: bool) -> Sign {
        if self == Sign::Plus && !block { Sign::None } else { self }
    }
}

/// The white space that the end of a comment or of `{% endraw %}` strips.
fn after_end(after: &str, strip: bool, signed: bool) -> usize {
    match (strip, signed) {
        (true, _) => after.len() - trim_start(after).len(),
        (false, false) => usize::from(after.starts_with('\n')),
        (false, true) => 0,
    }
}

fn signed(body: &str) -> bool {
    body.ends_with(['-', '+'])
}

/// The rest of a `raw` or `endraw` tag after its beginning.
struct RawTag {
    tag: usize,
    strip: bool,
    signed: bool,
}

fn raw(rest: &str, word: &str) -> Option<RawTag> {
    let after = trim_start(trim_start(rest).strip_prefix(word)?);
    let sign = Sign::of(after.chars().next());
    let sign = if word == "raw" && sign == Sign::Plus { return None } else { sign };
    let after = after[sign.len()..].strip_prefix("%}")?;
    Some(RawTag { tag: rest.len() - after.len(), strip: sign == Sign::Minus, signed: sign != Sign::None })
}

/// The length of the quoted string at the start of `rest`.
fn string(rest: &str) -> Option<usize> {
    let quote = rest.chars().next()?;
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// `str.isspace` of one character: Unicode's white space and the four information separators.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}
