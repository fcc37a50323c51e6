//! Parses tokens into statements, by the grammar of `jinja2.parser`, with the loop controls and the `generation`
//! tag that `transformers` adds.

mod expression;

use super::Program;
use super::ast::{Body, Expr, Loop, Macro, Name, Statement, StatementKind, Target};
use super::error::Fault;
use super::lexer::tokens;
use super::token::Token;

/// The deepest nesting of statements and expressions.
const DEEPEST: usize = 100;

/// Compiles a template.
pub fn parse(source: &str) -> Result<Program, Fault> {
    let mut parser = Parser {
        tokens: tokens(source)?,
        at: 0,
        depth: 0,
        in_loop: false,
        program: Program { names: Vec::new(), root: Body::default(), loops: Vec::new(), macros: Vec::new() },
    };
    parser.program.root.body = parser.body(&[])?;
    Ok(parser.program)
}

pub(super) struct Parser {
    tokens: Vec<(u32, Token)>,
    at: usize,
    depth: usize,
    /// Whether `break` and `continue` are inside a loop.
    in_loop: bool,
    program: Program,
}

type Parsed<T> = Result<T, Fault>;

impl Parser {
    fn token(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)].1
    }

    fn look(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].1
    }

    fn line(&self) -> u32 {
        self.tokens[self.at.min(self.tokens.len() - 1)].0
    }

    fn fail<T>(&self, why: impl Into<String>) -> Parsed<T> {
        Err(Fault::syntax(self.line(), why))
    }

    /// An error: `expected` was not found here.
    fn expected<T>(&self, expected: &str) -> Parsed<T> {
        let found = match self.token() {
            Token::Data(_) => "text".into(),
            Token::BlockBegin => "\"{%\"".into(),
            Token::BlockEnd => "\"%}\"".into(),
            Token::VariableBegin => "\"{{\"".into(),
            Token::VariableEnd => "\"}}\"".into(),
            Token::Name(name) => format!("\"{name}\""),
            Token::Text(_) => "a string".into(),
            Token::Int(_) | Token::Float(_) => "a number".into(),
            Token::Operator(operator) => format!("\"{operator}\""),
            Token::End => "the end of the template".into(),
        };
        self.fail(format!("expected {expected}, found {found}"))
    }

    fn skip_operator(&mut self, operator: &str) -> bool {
        let found = matches!(self.token(), Token::Operator(found) if *found == operator);
        self.at += usize::from(found);
        found
    }

    fn expect_operator(&mut self, operator: &str) -> Parsed<()> {
        if self.skip_operator(operator) { Ok(()) } else { self.expected(&format!("\"{operator}\"")) }
    }

    fn is_operator(&self, operator: &str) -> bool {
        matches!(self.token(), Token::Operator(found) if *found == operator)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.token(), Token::Name(found) if found == name)
    }

    fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.at += usize::from(found);
        found
    }

    fn expect_name(&mut self) -> Parsed<String> {
        match self.token() {
            Token::Name(name) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => self.expected("a name"),
        }
    }

    fn expect(&mut self, token: &Token, name: &str) -> Parsed<()> {
        if self.token() != token {
            return self.expected(name);
        }
        self.at += 1;
        Ok(())
    }

    fn name(&mut self, name: &str) -> Name {
        let names = &mut self.program.names;
        let known = names.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            names.push(name.to_string());
            names.len() - 1
        });
        index as Name
    }

    /// Parses one level deeper, up to a limit.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEEPEST {
            return self.fail(format!("it is nested over {DEEPEST} deep"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Statements up to a tag named in `ends`, or to the end of the template if `ends` is empty.
    fn body(&mut self, ends: &[&str]) -> Parsed<Vec<Statement>> {
        self.deeper(|parser| parser.statements(ends))
    }

    fn statements(&mut self, ends: &[&str]) -> Parsed<Vec<Statement>> {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let kind = match self.token().clone() {
                Token::Data(text) => {
                    self.at += 1;
                    StatementKind::Text(text)
                }
                Token::VariableBegin => {
                    self.at += 1;
                    let value = self.tuple(true, &[])?;
                    self.expect(&Token::VariableEnd, "\"}}\"")?;
                    StatementKind::Output(value)
                }
                Token::BlockBegin => {
                    self.at += 1;
                    if ends.iter().any(|end| self.is_name(end)) {
                        return Ok(body);
                    }
                    let kinds = self.statement()?;
                    self.expect(&Token::BlockEnd, "\"%}\"")?;
                    body.extend(kinds.into_iter().map(|kind| Statement { line, kind }));
                    continue;
                }
                Token::End if ends.is_empty() => return Ok(body),
                _ => return self.expected(&format!("{{% {} %}}", ends.join(" %} or {% "))),
            };
            body.push(Statement { line, kind });
        }
    }

    /// The statements between a tag's end and one of `ends`, where it stops.
    fn until(&mut self, ends: &[&str]) -> Parsed<Vec<Statement>> {
        self.skip_operator(":");
        self.expect(&Token::BlockEnd, "\"%}\"")?;
        self.body(ends)
    }

    /// The same, and the name of the end.
    fn through(&mut self, end: &str) -> Parsed<Vec<Statement>> {
        let body = self.until(&[end])?;
        self.at += 1;
        Ok(body)
    }

    fn scope(&mut self, end: &str) -> Parsed<Body> {
        Ok(Body { body: self.through(end)?, unset: Vec::new() })
    }

    fn statement(&mut self) -> Parsed<Vec<StatementKind>> {
        let name = match self.token() {
            Token::Name(name) => name.clone(),
            _ => return self.expected("a tag's name"),
        };
        self.at += 1;
        Ok(vec![match name.as_str() {
            "set" => self.set()?,
            "for" => self.for_loop()?,
            "if" => self.condition()?,
            "with" => self.with()?,
            "macro" => {
                let name = self.expect_name()?;
                let name = self.name(&name);
                let (parameters, defaults) = self.signature()?;
                let index = self.macro_body(Some(name), parameters, defaults, "endmacro")?;
                StatementKind::Macro(index)
            }
            "call" => {
                let (parameters, defaults) =
                    if self.is_operator("(") { self.signature()? } else { Default::default() };
                let call = self.expression()?;
                if !matches!(call, Expr::Call(..)) {
                    return self.fail("{% call %} needs a call, as in {% call f() %}");
                }
                let index = self.macro_body(None, parameters, defaults, "endcall")?;
                StatementKind::CallBlock(call, index)
            }
            "filter" => {
                let filter = self.filters(None, true)?;
                let Some(filter) = filter else { return self.expected("a filter") };
                StatementKind::FilterBlock(filter, self.scope("endfilter")?)
            }
            "generation" => {
                let around = std::mem::replace(&mut self.in_loop, false);
                let body = self.scope("endgeneration")?;
                self.in_loop = around;
                StatementKind::Generation(body)
            }
            "print" => {
                let mut values = Vec::new();
                while *self.token() != Token::BlockEnd {
                    if !values.is_empty() {
                        self.expect_operator(",")?;
                    }
                    values.push(StatementKind::Output(self.expression()?));
                }
                return Ok(values);
            }
            "break" | "continue" if !self.in_loop => {
                return self.fail(format!("\"{name}\" outside of a loop"));
            }
            "break" => StatementKind::Break,
            "continue" => StatementKind::Continue,
            "block" | "extends" | "include" | "import" | "from" | "autoescape" => {
                return self.fail(format!("{{% {name} %}} is not available in chat templates"));
            }
            _ => return self.fail(format!("there is no tag {{% {name} %}}")),
        }])
    }

    fn set(&mut self) -> Parsed<StatementKind> {
        let target = self.target(&["="], true)?;
        if self.skip_operator("=") {
            return Ok(StatementKind::Set(target, self.tuple(true, &[])?));
        }
        let filter = self.filters(None, false)?;
        Ok(StatementKind::SetBlock { target, filter, body: self.scope("endset")? })
    }

    fn for_loop(&mut self) -> Parsed<StatementKind> {
        let target = self.target(&["in"], false)?;
        let mut names = Vec::new();
        super::scope::names_of(&target, &mut names);
        if names.iter().any(|&name| self.program.names[name as usize] == "loop") {
            return self.fail("the name loop cannot be set by a loop");
        }
        if !self.skip_name("in") {
            return self.expected("\"in\"");
        }
        let iterable = self.tuple(false, &["recursive"])?;
        let test = if self.skip_name("if") { Some(self.expression()?) } else { None };
        let recursive = self.skip_name("recursive");
        let around = std::mem::replace(&mut self.in_loop, true);
        let body = self.until(&["endfor", "else"])?;
        self.in_loop = around;
        let otherwise = if self.skip_name("else") {
            self.through("endfor")?
        } else {
            self.at += 1;
            Vec::new()
        };
        let block = |body| Body { body, unset: Vec::new() };
        let (body, otherwise) = (block(body), block(otherwise));
        self.program.loops.push(Loop { target, iterable, test, recursive, body, otherwise });
        Ok(StatementKind::For(self.program.loops.len() - 1))
    }

    fn condition(&mut self) -> Parsed<StatementKind> {
        let test = self.tuple(false, &[])?;
        let body = self.until(&["elif", "else", "endif"])?;
        let line = self.line();
        let otherwise = if self.skip_name("elif") {
            vec![Statement { line, kind: self.deeper(|parser| parser.condition())? }]
        } else if self.skip_name("else") {
            self.through("endif")?
        } else {
            self.at += 1;
            Vec::new()
        };
        Ok(StatementKind::If { test, body, otherwise })
    }

    fn with(&mut self) -> Parsed<StatementKind> {
        let mut targets = Vec::new();
        while *self.token() != Token::BlockEnd {
            if !targets.is_empty() {
                self.expect_operator(",")?;
            }
            let target = self.target(&["="], false)?;
            self.expect_operator("=")?;
            targets.push((target, self.expression()?));
        }
        Ok(StatementKind::With { targets, body: self.scope("endwith")? })
    }

    fn signature(&mut self) -> Parsed<(Vec<Name>, Vec<Expr>)> {
        let (mut parameters, mut defaults) = (Vec::new(), Vec::new());
        self.expect_operator("(")?;
        while !self.is_operator(")") {
            if !parameters.is_empty() {
                self.expect_operator(",")?;
            }
            let name = self.expect_name()?;
            if self.skip_operator("=") {
                defaults.push(self.expression()?);
            } else if !defaults.is_empty() {
                return self.fail("a parameter without a default follows one with a default");
            }
            let name = self.name(&name);
            parameters.push(name);
        }
        self.expect_operator(")")?;
        Ok((parameters, defaults))
    }

    fn macro_body(
        &mut self,
        name: Option<Name>,
        parameters: Vec<Name>,
        defaults: Vec<Expr>,
        end: &str,
    ) -> Parsed<usize> {
        let around = std::mem::replace(&mut self.in_loop, false);
        let body = self.scope(end)?;
        self.in_loop = around;
        let special = ["caller", "kwargs", "varargs"].map(|name| self.name(name));
        let [caller, kwargs, varargs] =
            special.map(|name| super::uses::reads(&self.program, &body.body, name));
        if caller
            && let Some(at) = parameters.iter().position(|&name| name == special[0])
            && at + defaults.len() < parameters.len()
        {
            return self.fail("the parameter caller needs a default");
        }
        self.program.macros.push(Macro {
            name,
            uses_caller: caller,
            uses_kwargs: kwargs && !parameters.contains(&special[1]),
            uses_varargs: varargs && !parameters.contains(&special[2]),
            parameters,
            defaults,
            body,
        });
        Ok(self.program.macros.len() - 1)
    }

    /// An assignment target: a name, several names, or, in `set`, an attribute of a namespace.
    fn target(&mut self, ends: &[&str], namespace: bool) -> Parsed<Target> {
        let mut targets = Vec::new();
        let mut many = false;
        loop {
            let ended = *self.token() == Token::BlockEnd
                || ends.iter().any(|end| self.is_operator(end) || self.is_name(end));
            if ended && many {
                break;
            }
            targets.push(self.one_target(namespace)?);
            if !self.skip_operator(",") {
                break;
            }
            many = true;
        }
        if many {
            Ok(Target::Tuple(targets))
        } else {
            targets.pop().map_or_else(|| self.expected("a name"), Ok)
        }
    }

    fn one_target(&mut self, namespace: bool) -> Parsed<Target> {
        if self.skip_operator("(") {
            let inner = self.deeper(|parser| parser.target(&[")"], false))?;
            self.expect_operator(")")?;
            return Ok(inner);
        }
        let name = self.expect_name()?;
        if matches!(name.as_str(), "true" | "false" | "none" | "True" | "False" | "None") {
            return self.fail(format!("{name} cannot be set"));
        }
        let name = self.name(&name);
        if namespace && self.skip_operator(".") {
            return Ok(Target::Attribute(name, self.expect_name()?));
        }
        Ok(Target::Name(name))
    }
}
