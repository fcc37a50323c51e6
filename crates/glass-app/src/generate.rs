//! `glass generate`: continues a text, token by token.

mod show;

use std::io::Write as _;
use std::ops::ControlFlow;

use glass::backend::Cpu;
use glass::generate::{
    Finish, GenerateOptions, Generated, Guesses, Runner, Token, generate, generate_together,
};
use glass::tokens::TextStream;
use glass::weights::generation::GenerationConfig;
use serde_json::{Value, json};

use crate::args::GenerateArgs;
use crate::fail::{Fail, say};
use crate::input;
use crate::model_arg::NamedModel;
use crate::out::{Out, count};
use crate::stream::Stream;
use show::Show;

/// Runs `glass generate`.
pub fn run(args: &GenerateArgs) -> Result<(), Fail> {
    let model = NamedModel::open(args.model.as_deref(), &args.machine, &args.running)?
        .starting(&args.start)?
        .guessing(&args.guess)?;
    let (ids, text) = prompt(args, &model)?;
    let sampling = args.sampling.sampling(model.folder.generation(), model.config().vocabulary)?;
    let tokens = args.tokens.unwrap_or_else(|| advised_tokens(model.folder.generation(), ids.len()));
    if tokens == 0 || args.samples == 0 {
        return Err(Fail::asked("--tokens and --samples: 0 was given; ask for at least 1"));
    }
    if args.stop.iter().any(String::is_empty) {
        return Err(Fail::asked("--stop: the text is empty; give the text before which to stop"));
    }
    let mut certain = TextStream::default();
    let text = certain.push(&text).to_string();
    let before = certain.held().to_vec();
    let lookup = args.guess.lookup.into();
    let ends = if args.ignore_end { Vec::new() } else { model.end_tokens() };
    let options =
        GenerateOptions { tokens, sampling, stop: args.stop.clone(), ends, before, lookup, draft: true };
    if args.batch > 1 {
        return together(args, &model, &options, &ids, &text);
    }
    let mut runner = model.runner_within(ids.len().saturating_add(options.tokens))?;
    let mut out = Out::new();
    for sample in 0..args.samples {
        runner.prompt(&ids)?;
        if args.samples > 1 && !args.json {
            let heading = format!("sample {}", sample + 1);
            writeln!(out, "{}", out.bold(&heading))?;
        }
        let done = one(&mut out, args, &model, &mut runner, &options, sample, &text)?;
        remark(&model, &done, args.show);
    }
    out.done()
}

/// The maximum number of tokens, if the command does not give it.
fn advised_tokens(advice: &GenerationConfig, prompt: usize) -> usize {
    let whole = advice.max_length.map(|length| (length as usize).saturating_sub(prompt));
    // A limit on the total length is ignored if the prompt already reaches it.
    let left = whole.filter(|&left| left > 0);
    let least = advice.min_new_tokens.unwrap_or(0) as usize;
    advice.max_new_tokens.map(|most| most as usize).or(left).unwrap_or(200).max(least).max(1)
}

/// Generates some samples at a time, one token of each per pass.
fn together(
    args: &GenerateArgs,
    model: &NamedModel,
    options: &GenerateOptions,
    ids: &[u32],
    text: &str,
) -> Result<(), Fail> {
    let most = args.samples.min(args.batch.into());
    let mut batch = model.batch(most as usize, ids.len().saturating_add(options.tokens))?;
    let mut out = Out::new();
    for first in (0..args.samples).step_by(most as usize) {
        let samples = first..args.samples.min(first + most);
        let prompts = vec![ids; (samples.end - samples.start) as usize];
        let mut each = |_: usize, _: &Token<'_>| ControlFlow::Continue(());
        let tokenizer = model.tokenizer.as_ref();
        let all = generate_together(&mut batch, tokenizer, options, first, &prompts, &mut each)?;
        for (sample, done) in samples.zip(&all) {
            if args.json {
                out.json(&document(options, sample, done))?;
            } else {
                let heading = out.bold(&format!("sample {}", sample + 1));
                writeln!(out, "{heading}")?;
                let mut stream = Stream::fitting(&out, model.tokenizer.is_none());
                stream.begin(&mut out, text)?;
                if model.tokenizer.is_none() {
                    done.ids.iter().try_for_each(|id| stream.id(&mut out, *id))?;
                }
                stream.end(&mut out, done)?;
            }
            remark(model, done, false);
        }
    }
    out.done()
}

fn remark(model: &NamedModel, done: &Generated, show: bool) {
    let Guesses { all, right } = done.guesses;
    if show && all > 0 {
        say(&format!("{right} of {} guessed ahead were right; each saved a pass", count(all, "token")));
    }
    if done.finish == Finish::Context {
        let context = model.config().context;
        say(&format!(
            "the context of {} is full, so the text ends after {}",
            count(context, "token"),
            count(done.ids.len(), "new token")
        ));
    }
}

/// One sample as JSON; numbered from 1, as in the text output.
fn document(options: &GenerateOptions, sample: u64, done: &Generated) -> Value {
    json!({"text": done.text, "ids": done.ids, "finish": finish(done.finish), "seed": options.sampling.seed, "sample": sample + 1})
}

/// The prompt's ids, and its text if there is one.
fn prompt(args: &GenerateArgs, model: &NamedModel) -> Result<(Vec<u32>, Vec<u8>), Fail> {
    let text = input::text_or_file(args.text.as_deref(), args.file.as_deref())?;
    let (ids, text) = match (&args.ids, text) {
        (Some(ids), _) => {
            let ids = input::ids("--ids", ids)?;
            let text = ids.iter().flat_map(|&id| model.bytes(id).to_vec()).collect();
            (ids, text)
        }
        (None, Some(text)) => (model.ids(&text, args.special)?, text),
        (None, None) => Default::default(),
    };
    if !ids.is_empty() {
        return Ok((ids, text));
    }
    let start = model.start().ok_or_else(|| {
        Fail::asked("TEXT: it is empty, and this model has no end-of-text token to begin with; give a text")
    })?;
    Ok((vec![start], Vec::new()))
}

fn one(
    out: &mut Out,
    args: &GenerateArgs,
    model: &NamedModel,
    runner: &mut Runner<'_, Cpu>,
    options: &GenerateOptions,
    sample: u64,
    text: &str,
) -> Result<Generated, Fail> {
    let mut show = Show::new(model, out.columns())?;
    let mut stream = Stream::fitting(out, model.tokenizer.is_none());
    let (streams, mut tokens, mut failed) = (!args.json && !args.show, Vec::new(), None);
    if streams {
        stream.begin(out, text)?;
    } else if args.show && !args.json {
        show.begin(out)?;
    }
    let mut each = |token: &Token<'_>| {
        let shown = match (args.json, args.show) {
            (true, false) => Ok(()),
            (true, true) => show.json(token).map(|token| tokens.push(token)),
            (false, true) => show.line(out, token),
            (false, false) => stream.token(out, token),
        };
        failed = shown.err();
        if failed.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let done = generate(runner, model.tokenizer.as_ref(), options, sample, &mut each)?;
    if let Some(failed) = failed {
        return Err(failed);
    }
    if streams {
        stream.end(out, &done)?;
    } else if args.show && !args.json {
        show.end(out, text, &done.text)?;
    }
    if args.json {
        let mut document = document(options, sample, &done);
        if args.show {
            document["tokens"] = Value::Array(tokens);
        }
        out.json(&document)?;
    }
    out.show()?;
    Ok(done)
}

/// Its name in JSON.
pub fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Length | Finish::Context | Finish::Left => "length",
        Finish::Stop => "stop",
        Finish::End => "end",
    }
}
