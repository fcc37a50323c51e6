//! Scores a file's documents, each from an end-of-text token.

use std::fs;
use std::path::Path;

use glass::Error;
use glass::tokens::Special;
use glass::train::data::{Documents, Reading};

use super::Report;
use crate::args::ScoreArgs;
use crate::fail::{Fail, say};
use crate::input;
use crate::model_arg::NamedModel;
use crate::out::number;
use crate::progress::ProgressLine;

/// Scores every token of every document once.
pub fn run(
    args: &ScoreArgs,
    model: &NamedModel,
    beside: Option<&NamedModel>,
    file: &Path,
) -> Result<(), Fail> {
    let tokenizer = model.tokenizer()?;
    let start = model.document_start();
    if start.is_empty() && !args.start.no_start {
        let name = &model.name;
        return Err(Fail::asked(format!(
            "{name}: the model has no token for a document to begin with; with --no-start its first token is not scored"
        )));
    }
    let documents = read(args, file)?;
    let mut runner = model.runner()?;
    let mut beside = beside.map(|beside| beside.runner()).transpose()?;
    let mut report = Report::new(args, model, args.each);
    let mut line = ProgressLine::default();
    let mut bytes = 0;
    for text in documents.texts() {
        let mut ids = start.clone();
        ids.extend(tokenizer.encode(text, Special::Plain));
        if ids.is_empty() {
            continue;
        }
        report.text(&mut runner, beside.as_mut(), &ids)?;
        bytes += text.len();
        let tokens = report.total.tokens;
        let rate = tokens as f64 / line.seconds().max(1e-3);
        let said = format!("{} tokens scored, {rate:.0} tokens/s", number(tokens));
        line.show_part(&said, bytes as f64 / documents.bytes() as f64);
    }
    line.end();
    report.end(Some(documents.len()))
}

fn read(args: &ScoreArgs, file: &Path) -> Result<Documents, Fail> {
    let reading =
        Reading { separator: args.separator.clone(), field: args.field.clone(), ..Reading::default() };
    let bytes = match file.as_os_str() {
        name if name == "-" => input::text(name)?,
        _ => fs::read(file).map_err(|error| Error::io("cannot read", file, error))?,
    };
    let mut documents = Documents::default();
    let remarks = documents.add(file, bytes, &reading)?;
    if documents.is_empty() {
        return Err(Fail::failed(format!("{}: it is empty; give a file with text", file.display())));
    }
    remarks.iter().for_each(|remark| say(&remark.to_string()));
    Ok(documents)
}
