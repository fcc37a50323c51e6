//! How much guessing ahead brings: every text is generated without guesses and with them, one way after another, so that a busy
//! moment of the machine affects all of them.
//!
//! `cargo bench -p glass --bench guesses -- MODEL DRAFT PROMPTS TEMPERATURE TOP_P TOKENS [text|chat]`: MODEL a folder or file, or
//! `built-in`; DRAFT a draft, `own` for the one in the model's folder, or `none`; PROMPTS a file with a prompt on every line. `--json FILE`
//! at the end writes what was measured.
//!
//! Ways: off; from the text itself; from the draft; from both, which is what programs do by default; and from both with a fixed number of
//! guesses in every pass. All texts are compared: a difference ends the bench.
//!
//! `-- draws MODEL DRAFT COUNT [TEMPERATURE TOP_P]` draws so many tokens (at temperature 1), in texts that fill the context, without guesses
//! and with them, and says whether both are the same list; if not, it ends with status 1.
//!
//! `-- turns` with the first arguments does one text for every line `WAY NUMBER` on standard input, and answers with a list of its seconds,
//! tokens, passes, guesses and ids; to a line `prompt NUMBER` with the prompt's ids.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Instant;

use glass::backend::Cpu;
use glass::generate::{GenerateOptions, Generated, Guesses, Runner, generate};
use glass::guess::{Costs, Draft};
use glass::next_token::Sampling;
use glass::text_model::TextModel;
use glass::tokens::Special;
use glass::tokens::chat::Message;
use glass::weights::folder::Folder;
use serde_json::json;

const USAGE: &str = "usage: [turns] MODEL DRAFT PROMPTS TEMPERATURE TOP_P TOKENS [text|chat] [--json FILE]
       draws MODEL DRAFT COUNT [TEMPERATURE TOP_P]";

/// Fixed numbers of guesses.
const FIXED: [usize; 6] = [1, 2, 3, 5, 7, 11];

/// Tokens in a row from the text itself.
const LOOKUP: usize = 32;

fn clock() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// A way to generate.
struct Way {
    name: String,
    lookup: usize,
    draft: bool,
    fixed: Option<usize>,
    /// What passes cost, from text to text.
    costs: Costs,
    /// Of every text: seconds, tokens, passes, guesses.
    texts: Vec<(f64, usize, usize, usize)>,
}

impl Way {
    fn new(name: &str, lookup: usize, draft: bool, fixed: Option<usize>) -> Way {
        let costs = fixed.map_or_else(|| Costs::new(Some(clock)), Costs::fixed);
        Way { name: name.to_string(), lookup, draft, fixed, costs, texts: Vec::new() }
    }

    fn seconds(&self) -> f64 {
        self.texts.iter().map(|text| text.0).sum()
    }

    fn sums(&self) -> [usize; 3] {
        self.texts.iter().fold([0; 3], |[a, b, c], text| [a + text.1, b + text.2, c + text.3])
    }
}

/// What is generated: a model, prompts, and how.
struct Work {
    engine: TextModel<Cpu>,
    prompts: Vec<Vec<u32>>,
    sampling: Sampling,
    tokens: usize,
}

impl Work {
    /// From the arguments of the command.
    fn new(arguments: &[&str]) -> Work {
        let [model, draft, prompts, temperature, top_p, tokens, ref form @ ..] = *arguments else {
            panic!("{USAGE}");
        };
        let engine = engine(model, draft);
        let text = std::fs::read_to_string(prompts).expect("prompts");
        let prompts = text.lines().map(|line| ids(&engine, line, form == ["chat"])).collect();
        let sampling =
            Sampling { temperature: number(temperature), top_p: number(top_p), ..Sampling::default() };
        Work { engine, prompts, sampling, tokens: tokens.parse().expect(USAGE) }
    }

    /// How a way generates the text of a prompt.
    fn options(&self, number: usize, way: &Way) -> GenerateOptions {
        GenerateOptions {
            tokens: usize::min(self.tokens, self.engine.config().context - self.prompts[number].len()),
            sampling: Sampling { seed: number as u64, ..self.sampling.clone() },
            ends: ends(&self.engine),
            lookup: way.lookup,
            draft: way.draft,
            ..GenerateOptions::default()
        }
    }
}

fn number(text: &str) -> f32 {
    text.parse().expect(USAGE)
}

fn engine(model: &str, draft: &str) -> TextModel<Cpu> {
    let folder = match model {
        "built-in" => glass::built_in::model().expect("a built-in model").expect("its files"),
        path => Folder::open(path.as_ref()).expect("a model"),
    };
    let mut engine = TextModel::new(Cpu::new(2), folder).expect("a model");
    match draft {
        "own" => engine.open_draft().expect("its draft"),
        "none" => {}
        path => {
            let draft = Draft::open(path.as_ref(), engine.config().vocabulary, engine.config().width);
            let draft = draft.expect("a draft").expect("a draft in the folder");
            engine.guess_from(Some(draft)).expect("memory");
        }
    }
    engine
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let (arguments, file) = match arguments.iter().position(|a| a == "--json") {
        Some(at) => (arguments[..at].to_vec(), arguments.get(at + 1).cloned()),
        None => (arguments, None),
    };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        // As without arguments by `cargo bench`.
        [] => println!("{USAGE}"),
        ["draws", model, draft, count] => return draws(&engine(model, draft), count, 1.0, 1.0),
        ["draws", model, draft, count, temperature, top_p] => {
            return draws(&engine(model, draft), count, number(temperature), number(top_p));
        }
        ["turns", ref arguments @ ..] => turns(&Work::new(arguments)),
        ref arguments => measure(arguments, file),
    }
    ExitCode::SUCCESS
}

fn measure(arguments: &[&str], file: Option<String>) {
    let work = Work::new(arguments);
    let drafted = work.engine.draft().is_some();
    let mut ways = vec![Way::new("off", 0, false, None), Way::new("text", LOOKUP, false, None)];
    if drafted {
        ways.push(Way::new("draft", 0, true, None));
        ways.push(Way::new("both", LOOKUP, true, None));
    }
    ways.extend(FIXED.map(|fixed| Way::new(&format!("{fixed} always"), LOOKUP, drafted, Some(fixed))));
    let mut runner = work.engine.runner().expect("memory");
    for (number, prompt) in work.prompts.iter().enumerate() {
        let mut first: Option<Vec<u32>> = None;
        for way in &mut ways {
            let ids = one(&mut runner, prompt, &work.options(number, way), way);
            assert!(first.get_or_insert_with(|| ids.clone()) == &ids, "{}: another text", way.name);
        }
    }
    show(&ways);
    if let Some(file) = file {
        let way = |way: &Way| json!({"way": way.name, "fixed": way.fixed, "texts": way.texts});
        let rows = [1, 2, 3, 4, 6, 8, 12, 16];
        let costs = &ways[if drafted { 3 } else { 1 }].costs;
        let costs: Vec<f64> = rows.iter().map(|&rows| costs.of(rows, 0) / costs.of(1, 0)).collect();
        // Names alone: where the files lie belongs to one machine.
        let [model, draft] = [arguments[0], arguments[1]]
            .map(|path| Path::new(path).file_name().map(|name| name.to_string_lossy()));
        let found = json!({"model": model, "draft": draft, "temperature": arguments[3], "top_p": arguments[4],
            "ways": ways.iter().map(way).collect::<Vec<_>>(), "rows": rows, "costs": costs});
        std::fs::write(file, found.to_string() + "\n").expect("a file to write");
    }
}

/// A text for every line.
fn turns(work: &Work) {
    let mut runner = work.engine.runner().expect("memory");
    let mut ways = HashMap::new();
    for line in std::io::stdin().lines() {
        let line = line.expect("a line");
        let (name, at) = line.split_once(' ').expect("WAY NUMBER");
        let at: usize = at.parse().expect("the number of a prompt");
        let prompt = &work.prompts[at];
        if name == "prompt" {
            println!("{}", json!(prompt));
            continue;
        }
        let way = ways.entry(name.to_string()).or_insert_with(|| match name {
            "off" => Way::new(name, 0, false, None),
            "text" => Way::new(name, LOOKUP, false, None),
            "draft" => Way::new(name, 0, true, None),
            "both" => Way::new(name, LOOKUP, true, None),
            fixed => Way::new(name, LOOKUP, true, Some(fixed.parse().expect("a way"))),
        });
        let ids = one(&mut runner, prompt, &work.options(at, way), way);
        let (seconds, tokens, passes, guesses) = way.texts[way.texts.len() - 1];
        println!("{}", json!([seconds, tokens, passes, guesses, ids]));
    }
}

/// Draws the same tokens without guesses and with those of all sources.
fn draws(engine: &TextModel<Cpu>, count: &str, temperature: f32, top_p: f32) -> ExitCode {
    let count: usize = count.parse().expect(USAGE);
    let mut runner = engine.runner().expect("memory");
    let start = match engine.start_tokens() {
        start if start.is_empty() => vec![engine.end_tokens().first().copied().unwrap_or(0)],
        start => start,
    };
    let sampling = Sampling { temperature, top_p, ..Sampling::default() };
    let (mut drawn, mut texts, mut different) = (0, 0, 0);
    let mut guessed = Guesses::default();
    while drawn < count {
        let mut text = |lookup: usize, draft: bool| {
            let tokens = count - drawn;
            let sampling = sampling.clone();
            let options = GenerateOptions { tokens, sampling, lookup, draft, ..GenerateOptions::default() };
            runner.truncate(0);
            runner.prompt(&start).expect("a start");
            generate(&mut runner, None, &options, texts, &mut |_| ControlFlow::Continue(())).expect("a text")
        };
        let (plain, ahead) = (text(0, false), text(LOOKUP, true));
        (guessed.all, guessed.right) = (guessed.all + ahead.guesses.all, guessed.right + ahead.guesses.right);
        different += plain.ids.iter().zip(&ahead.ids).filter(|(a, b)| a != b).count()
            + plain.ids.len().abs_diff(ahead.ids.len());
        drawn += plain.ids.len();
        texts += 1;
    }
    println!("{drawn} draws in {texts} texts at temperature {temperature}, top-p {top_p}");
    println!("{} guesses, {} of them right", guessed.all, guessed.right);
    match different {
        0 => println!("without guesses and with them: the same list"),
        _ => println!("without guesses and with them: {different} draws differ"),
    }
    ExitCode::from(u8::from(different > 0))
}

fn ids(engine: &TextModel<Cpu>, line: &str, is_chat: bool) -> Vec<u32> {
    let tokenizer = engine.tokenizer.as_ref().expect("a tokenizer");
    // Of a model that chats, a request is a question, and what is no request the beginning of a text.
    let template = engine.folder.template().expect("a template");
    match template.filter(|_| is_chat || line.starts_with("Tell me")) {
        Some(template) => template.prompt(&[Message::new("user", line)], tokenizer).expect("a prompt"),
        None => engine.start_tokens().into_iter().chain(tokenizer.encode(line, Special::Plain)).collect(),
    }
}

fn ends(engine: &TextModel<Cpu>) -> Vec<u32> {
    let mut ends = engine.end_tokens();
    if let (Ok(Some(template)), Some(tokenizer)) = (engine.folder.template(), &engine.tokenizer) {
        ends.extend(tokenizer.special(&template.closing().expect("what closes a turn")));
    }
    ends
}

fn one(runner: &mut Runner<'_, Cpu>, prompt: &[u32], options: &GenerateOptions, way: &mut Way) -> Vec<u32> {
    runner.truncate(0);
    runner.prompt(prompt).expect("a prompt that fits");
    std::mem::swap(&mut runner.costs, &mut way.costs);
    let begun = Instant::now();
    let done = generate(runner, None, options, 0, &mut |_| ControlFlow::Continue(())).expect("a text");
    let seconds = begun.elapsed().as_secs_f64();
    std::mem::swap(&mut runner.costs, &mut way.costs);
    let Generated { ids, guesses, .. } = done;
    way.texts.push((seconds, ids.len(), ids.len() - guesses.right.min(ids.len()), guesses.all));
    ids
}

fn show(ways: &[Way]) {
    println!("{:10} {:>9} {:>7} {:>12} {:>9}", "way", "tokens/s", "times", "tokens/pass", "guessed");
    for way in ways {
        let ([tokens, passes, guesses], seconds) = (way.sums(), way.seconds());
        let (rate, each) = (tokens as f64 / seconds, tokens as f64 / passes.max(1) as f64);
        let times = ways[0].seconds() / seconds;
        println!(
            "{:10} {rate:>9.1} {times:>7.2} {each:>12.2} {:>9.2}",
            way.name,
            guesses as f64 / passes.max(1) as f64
        );
    }
    // Of every text: how the choice compares with off, and with the best fixed number.
    let chosen = ways.iter().rfind(|way| way.fixed.is_none()).expect("a way that chooses");
    let of = |way: &Way, text: usize| way.texts[text].0;
    let (mut slower, mut to_best) = (Vec::new(), Vec::new());
    for text in 0..chosen.texts.len() {
        let fixed = ways.iter().filter(|way| way.fixed.is_some()).map(|way| of(way, text));
        let best = fixed.fold(of(&ways[0], text), f64::min);
        slower.push(of(chosen, text) / of(&ways[0], text));
        to_best.push(of(chosen, text) / best);
    }
    for times in [&mut slower, &mut to_best] {
        times.sort_by(f64::total_cmp);
    }
    let line =
        |times: &[f64]| format!("median {:.2}, worst {:.2}", times[times.len() / 2], times[times.len() - 1]);
    println!("time of {:?}, of each text, as a share of off: {}", chosen.name, line(&slower));
    println!("as a share of the best of off and the fixed numbers: {}", line(&to_best));
}
