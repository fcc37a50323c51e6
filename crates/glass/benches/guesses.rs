//! How much guessing ahead brings: every text is generated without guesses and with them, one way after another, so that a busy
//! moment of the machine affects all of them.
//!
//! `cargo bench -p glass --bench guesses -- MODEL DRAFT PROMPTS TEMPERATURE TOP_P TOKENS [text|chat]`: MODEL a folder or file, or
//! `built-in`; DRAFT a draft, `own` for the one in the model's folder, or `none`; PROMPTS a file with a prompt on every line. `--json FILE`
//! at the end writes what was measured.
//!
//! Ways: off; from the text itself; from the draft; from both, which is what programs do by default; and from both with a fixed number of
//! guesses in every pass. All texts are compared: a difference ends the bench.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use glass::backend::Cpu;
use glass::generate::{GenerateOptions, Generated, Runner, generate};
use glass::guess::{Costs, Draft};
use glass::next_token::Sampling;
use glass::text_model::TextModel;
use glass::tokens::Special;
use glass::tokens::chat::Message;
use glass::weights::folder::Folder;
use serde_json::json;

const USAGE: &str = "usage: MODEL DRAFT PROMPTS TEMPERATURE TOP_P TOKENS [text|chat] [--json FILE]";

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

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let (arguments, file) = match arguments.iter().position(|a| a == "--json") {
        Some(at) => (arguments[..at].to_vec(), arguments.get(at + 1).cloned()),
        None => (arguments, None),
    };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [model, draft, prompts, temperature, top_p, tokens, ref form @ ..] = arguments[..] else {
        return println!("{USAGE}");
    };
    let number = |text: &str| text.parse::<f32>().expect(USAGE);
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
    let text = std::fs::read_to_string(prompts).expect("prompts");
    let prompts: Vec<Vec<u32>> = text.lines().map(|line| ids(&engine, line, form == ["chat"])).collect();
    let sampling = Sampling { temperature: number(temperature), top_p: number(top_p), ..Sampling::default() };
    let most = tokens.parse().expect(USAGE);
    let mut ways = vec![Way::new("off", 0, false, None), Way::new("text", LOOKUP, false, None)];
    if engine.draft().is_some() {
        ways.push(Way::new("draft", 0, true, None));
        ways.push(Way::new("both", LOOKUP, true, None));
    }
    let drafted = engine.draft().is_some();
    ways.extend(FIXED.map(|fixed| Way::new(&format!("{fixed} always"), LOOKUP, drafted, Some(fixed))));
    let mut runner = engine.runner().expect("memory");
    for (number, prompt) in prompts.iter().enumerate() {
        let mut first: Option<Vec<u32>> = None;
        for way in &mut ways {
            let sampling = Sampling { seed: number as u64, ..sampling.clone() };
            let options = GenerateOptions {
                tokens: usize::min(most, engine.config().context - prompt.len()),
                sampling,
                ends: ends(&engine),
                lookup: way.lookup,
                draft: way.draft,
                ..GenerateOptions::default()
            };
            let ids = one(&mut runner, prompt, &options, way);
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
        let [model, draft] =
            [model, draft].map(|path| Path::new(path).file_name().map(|name| name.to_string_lossy()));
        let found = json!({"model": model, "draft": draft, "temperature": temperature, "top_p": top_p,
            "ways": ways.iter().map(way).collect::<Vec<_>>(), "rows": rows, "costs": costs});
        std::fs::write(file, found.to_string() + "\n").expect("a file to write");
    }
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
