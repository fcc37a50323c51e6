//! Expressions, from the lowest precedence to the highest.

use super::super::ast::{Arguments, Binary, Compare, Const, Expr};
use super::{Parsed, Parser, Token};

/// The longest chain of operators.
const LONGEST: usize = 300;

impl Parser {
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.deeper(|parser| parser.choice())
    }

    /// Counts the parts of a chain such as `a + b + c`: each is one level of the tree.
    fn longer(&self, length: &mut usize) -> Parsed<()> {
        *length += 1;
        if *length > LONGEST {
            self.fail(format!("an expression chains over {LONGEST} parts"))
        } else {
            Ok(())
        }
    }

    fn choice(&mut self) -> Parsed<Expr> {
        let mut value = self.or()?;
        let mut length = 0;
        while self.skip_name("if") {
            self.longer(&mut length)?;
            let test = self.or()?;
            let otherwise = if self.skip_name("else") { Some(Box::new(self.expression()?)) } else { None };
            value = Expr::Choice { test: Box::new(test), then: Box::new(value), otherwise };
        }
        Ok(value)
    }

    fn or(&mut self) -> Parsed<Expr> {
        let mut left = self.and()?;
        let mut length = 0;
        while self.skip_name("or") {
            self.longer(&mut length)?;
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed<Expr> {
        let mut left = self.not()?;
        let mut length = 0;
        while self.skip_name("and") {
            self.longer(&mut length)?;
            left = Expr::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Parsed<Expr> {
        if self.skip_name("not") {
            return Ok(Expr::Not(Box::new(self.deeper(|parser| parser.not())?)));
        }
        self.compare()
    }

    fn compare(&mut self) -> Parsed<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let compare = match self.token() {
                Token::Operator("==") => Compare::Equal,
                Token::Operator("!=") => Compare::NotEqual,
                Token::Operator("<") => Compare::Less,
                Token::Operator("<=") => Compare::LessEqual,
                Token::Operator(">") => Compare::Greater,
                Token::Operator(">=") => Compare::GreaterEqual,
                Token::Name(name) if name == "in" => Compare::In,
                Token::Name(name) if name == "not" && *self.look() == Token::Name("in".into()) => {
                    self.at += 1;
                    Compare::NotIn
                }
                _ => break,
            };
            self.at += 1;
            rest.push((compare, self.sum()?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Compare(Box::new(first), rest) })
    }

    fn sum(&mut self) -> Parsed<Expr> {
        let mut left = self.concat()?;
        let mut length = 0;
        loop {
            self.longer(&mut length)?;
            let binary = match self.token() {
                Token::Operator("+") => Binary::Add,
                Token::Operator("-") => Binary::Sub,
                _ => return Ok(left),
            };
            self.at += 1;
            left = Expr::Binary(binary, Box::new(left), Box::new(self.concat()?));
        }
    }

    fn concat(&mut self) -> Parsed<Expr> {
        let mut parts = vec![self.product()?];
        while self.skip_operator("~") {
            parts.push(self.product()?);
        }
        Ok(if parts.len() > 1 { Expr::Concat(parts) } else { parts.remove(0) })
    }

    fn product(&mut self) -> Parsed<Expr> {
        let mut left = self.power()?;
        let mut length = 0;
        loop {
            self.longer(&mut length)?;
            let binary = match self.token() {
                Token::Operator("*") => Binary::Mul,
                Token::Operator("/") => Binary::Div,
                Token::Operator("//") => Binary::FloorDiv,
                Token::Operator("%") => Binary::Mod,
                _ => return Ok(left),
            };
            self.at += 1;
            left = Expr::Binary(binary, Box::new(left), Box::new(self.power()?));
        }
    }

    /// From left to right, unlike in Python, but as in `jinja2`.
    fn power(&mut self) -> Parsed<Expr> {
        let mut left = self.unary(true)?;
        let mut length = 0;
        while self.skip_operator("**") {
            self.longer(&mut length)?;
            left = Expr::Binary(Binary::Pow, Box::new(left), Box::new(self.unary(true)?));
        }
        Ok(left)
    }

    fn unary(&mut self, with_filters: bool) -> Parsed<Expr> {
        let value = if self.skip_operator("-") {
            Expr::Negative(Box::new(self.deeper(|parser| parser.unary(false))?))
        } else if self.skip_operator("+") {
            Expr::Positive(Box::new(self.deeper(|parser| parser.unary(false))?))
        } else {
            self.primary()?
        };
        let value = self.postfix(value)?;
        if with_filters { self.filters_and_tests(value) } else { Ok(value) }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let token = self.token().clone();
        let constant = match token {
            Token::Name(name) => match name.as_str() {
                "true" | "True" => Const::Bool(true),
                "false" | "False" => Const::Bool(false),
                "none" | "None" => Const::None,
                _ => {
                    self.at += 1;
                    return Ok(Expr::Name(self.name(&name)));
                }
            },
            Token::Int(number) => Const::Int(number),
            Token::Float(number) => Const::Float(number),
            Token::Text(mut text) => {
                while let Token::Text(more) = self.look() {
                    text.push_str(more);
                    self.at += 1;
                }
                Const::Text(text)
            }
            Token::Operator("(") => {
                self.at += 1;
                let value = self.deeper(|parser| parser.tuple_in(true, &[], true))?;
                self.expect_operator(")")?;
                return Ok(value);
            }
            Token::Operator("[") => return Ok(Expr::List(self.list()?)),
            Token::Operator("{") => return self.dict(),
            _ => return self.expected("an expression"),
        };
        self.at += 1;
        Ok(Expr::Const(constant))
    }

    /// An expression, or several separated by commas.
    pub(super) fn tuple(&mut self, with_choice: bool, ends: &[&str]) -> Parsed<Expr> {
        self.tuple_in(with_choice, ends, false)
    }

    fn tuple_in(&mut self, with_choice: bool, ends: &[&str], parentheses: bool) -> Parsed<Expr> {
        let (mut items, mut many) = (Vec::new(), false);
        loop {
            let ended = matches!(self.token(), Token::VariableEnd | Token::BlockEnd | Token::Operator(")"))
                || ends.iter().any(|end| self.is_name(end));
            if ended {
                break;
            }
            items.push(if with_choice { self.expression()? } else { self.deeper(|parser| parser.or())? });
            if !self.skip_operator(",") {
                break;
            }
            many = true;
        }
        match items.pop() {
            Some(only) if !many => Ok(only),
            None if !parentheses => self.expected("an expression"),
            last => {
                items.extend(last);
                Ok(Expr::Tuple(items))
            }
        }
    }

    fn list(&mut self) -> Parsed<Vec<Expr>> {
        let mut items = Vec::new();
        self.expect_operator("[")?;
        while !self.is_operator("]") {
            items.push(self.expression()?);
            if !self.is_operator("]") {
                self.expect_operator(",")?;
            }
        }
        self.expect_operator("]")?;
        Ok(items)
    }

    fn dict(&mut self) -> Parsed<Expr> {
        let mut pairs = Vec::new();
        self.expect_operator("{")?;
        while !self.is_operator("}") {
            let key = self.expression()?;
            self.expect_operator(":")?;
            pairs.push((key, self.expression()?));
            if !self.is_operator("}") {
                self.expect_operator(",")?;
            }
        }
        self.expect_operator("}")?;
        Ok(Expr::Dict(pairs))
    }

    fn postfix(&mut self, mut value: Expr) -> Parsed<Expr> {
        let mut length = 0;
        loop {
            self.longer(&mut length)?;
            let line = self.line();
            value = match self.token() {
                Token::Operator(".") => {
                    self.at += 1;
                    let token = self.token().clone();
                    self.at += 1;
                    match token {
                        Token::Name(name) => Expr::Attribute(Box::new(value), name),
                        Token::Int(index) => {
                            Expr::Item(Box::new(value), Box::new(Expr::Const(Const::Int(index))))
                        }
                        _ => {
                            self.at -= 1;
                            return self.expected("a name or a number after the dot");
                        }
                    }
                }
                Token::Operator("[") => self.subscript(value)?,
                Token::Operator("(") => Expr::Call(Box::new(value), self.arguments()?, line),
                _ => return Ok(value),
            };
        }
    }

    fn subscript(&mut self, value: Expr) -> Parsed<Expr> {
        self.expect_operator("[")?;
        let mut bounds = [None, None, None];
        let mut colons = 0;
        while !self.is_operator("]") {
            if self.skip_operator(":") {
                colons += 1;
                if colons > 2 {
                    return self.fail("a slice has at most two colons");
                }
            } else if bounds[colons].is_none() {
                bounds[colons] = Some(Box::new(self.expression()?));
            } else if self.is_operator(",") {
                return self.fail("several indices in one pair of brackets are not available");
            } else {
                return self.expected("\"]\"");
            }
        }
        self.expect_operator("]")?;
        let [first, ..] = &mut bounds;
        match (colons, first.take()) {
            (0, Some(index)) => Ok(Expr::Item(Box::new(value), index)),
            (0, None) => self.expected("an index"),
            (_, start) => {
                bounds[0] = start;
                Ok(Expr::Slice(Box::new(value), bounds))
            }
        }
    }

    fn filters_and_tests(&mut self, mut value: Expr) -> Parsed<Expr> {
        let mut length = 0;
        loop {
            self.longer(&mut length)?;
            let line = self.line();
            value = match self.token() {
                Token::Operator("|") => match self.filters(Some(value), false)? {
                    Some(value) => value,
                    None => return self.expected("a filter"),
                },
                Token::Name(name) if name == "is" => self.test(value)?,
                Token::Operator("(") => Expr::Call(Box::new(value), self.arguments()?, line),
                _ => return Ok(value),
            };
        }
    }

    /// Filters with a bar before each; with `inline`, the first has no bar.
    pub(super) fn filters(&mut self, mut value: Option<Expr>, mut inline: bool) -> Parsed<Option<Expr>> {
        let mut length = 0;
        while inline || self.skip_operator("|") {
            self.longer(&mut length)?;
            inline = false;
            let line = self.line();
            let name = self.dotted_name()?;
            let arguments = if self.is_operator("(") { self.arguments()? } else { Arguments::default() };
            value = Some(Expr::Filter { value: value.map(Box::new), name, arguments, line });
        }
        Ok(value)
    }

    fn test(&mut self, value: Expr) -> Parsed<Expr> {
        let line = self.line();
        self.at += 1;
        let negated = self.skip_name("not");
        let name = self.dotted_name()?;
        let argument = match self.token() {
            Token::Operator("[" | "{") | Token::Text(_) | Token::Int(_) | Token::Float(_) => true,
            Token::Name(name) if name == "is" => {
                return self.fail("tests with \"is\" cannot follow each other");
            }
            Token::Name(name) => !matches!(name.as_str(), "else" | "or" | "and"),
            _ => false,
        };
        let arguments = if self.is_operator("(") {
            self.arguments()?
        } else if argument {
            let value = self.primary()?;
            Arguments { positional: vec![self.postfix(value)?], ..Arguments::default() }
        } else {
            Arguments::default()
        };
        let test = Expr::Test { value: Box::new(value), name, arguments, line };
        Ok(if negated { Expr::Not(Box::new(test)) } else { test })
    }

    fn dotted_name(&mut self) -> Parsed<String> {
        let mut name = self.expect_name()?;
        while self.skip_operator(".") {
            name = format!("{name}.{}", self.expect_name()?);
        }
        Ok(name)
    }

    fn arguments(&mut self) -> Parsed<Arguments> {
        let mut arguments = Arguments::default();
        self.expect_operator("(")?;
        while !self.is_operator(")") {
            let after_spread = arguments.spread.is_some() || arguments.spread_named.is_some();
            if self.skip_operator("**") {
                if arguments.spread_named.is_some() {
                    return self.fail("two ** in one call");
                }
                arguments.spread_named = Some(Box::new(self.expression()?));
            } else if self.skip_operator("*") {
                if after_spread {
                    return self.fail("two * in one call, or * after **");
                }
                arguments.spread = Some(Box::new(self.expression()?));
            } else if let Token::Name(name) = self.token()
                && *self.look() == Token::Operator("=")
            {
                let name = name.clone();
                if arguments.spread_named.is_some() || arguments.named.iter().any(|(known, _)| *known == name)
                {
                    return self.fail(format!("the argument {name} is given twice, or after **"));
                }
                self.at += 2;
                arguments.named.push((name, self.expression()?));
            } else {
                if after_spread || !arguments.named.is_empty() {
                    return self.fail("a positional argument follows a named one");
                }
                arguments.positional.push(self.expression()?);
            }
            if !self.is_operator(")") {
                self.expect_operator(",")?;
            }
        }
        self.expect_operator(")")?;
        Ok(arguments)
    }
}
