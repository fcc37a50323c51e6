//! Tokens per second, and the cost of learning merges, compared with the `tokenizers` crate: same text, same
//! pre-split, same number of threads, in turns. Each turn of learning is a separate process, so that its peak
//! memory is measured separately.
//!
//! `cargo bench -p glass --bench tokens -- [--record FILE.json] [FILE…]` reads the files; without any, the novels
//! and stories in `$GLASS_DATA`; without these it generates a text.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use glass::tokens::{Learn, Special, Tokenizer, learn};
use glass::train::data::Reading;
use glass::train::files;
use glass::train::pieces::{Pieces, Sizes};
use serde_json::{Map, Value, json};
use tokenizers::Tokenizer as Reference;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

const ROUNDS: usize = 3;
/// Bytes to encode, and to learn from.
const ENCODED: usize = 10_000_000;
const LEARNED: usize = 20_000_000;
const MERGES: usize = 8192;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench").peekable();
    if let Some(side) = arguments.next_if(|argument| argument.starts_with("learn-")) {
        return turn(&side, Path::new(&arguments.next().expect("a file")));
    }
    let record = arguments.next_if(|argument| argument == "--record").and_then(|_| arguments.next());
    let text = text(arguments.map(PathBuf::from).collect());
    opening();
    let mut results = Map::new();
    encoding(cut(&text, ENCODED)[0], &mut results);
    adversarial();
    learning(cut(&text, LEARNED)[0], &mut results);
    if let Some(file) = record {
        let record = serde_json::to_string_pretty(&about(results)).expect("JSON");
        fs::write(file, record + "\n").expect("a place for the record");
    }
}

fn text(mut named: Vec<PathBuf>) -> String {
    if named.is_empty() {
        let data = std::env::var_os("GLASS_DATA").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
            PathBuf::from,
        );
        named = ["text/novels", "tinystories"].map(|folder| data.join(folder)).into();
        named.retain(|path| path.exists());
    }
    let (named, _) = files::find(&named, &["txt"]).expect("files");
    let text: String = named.iter().map(|path| fs::read_to_string(path).expect("a text file")).collect();
    if !text.is_empty() {
        return text;
    }
    println!("a made-up text: its figures are not those of English");
    (0..800_000).map(|n: u64| format!("{} word's {n}, ", n.wrapping_mul(0x9E37_79B9) >> 20)).collect()
}

/// The conditions of the measurement.
fn about(results: Map<String, Value>) -> Value {
    let line = |file: &str, begins: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(begins)).unwrap_or_default();
        line.split(": ").last().unwrap_or_default().to_string()
    };
    let load: Vec<f64> =
        line("/proc/loadavg", "").split(' ').take(3).filter_map(|load| load.parse().ok()).collect();
    let commit = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let commit = commit.map(|done| String::from_utf8_lossy(&done.stdout).trim().to_string());
    json!({
        "cpu": line("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "load": load,
        "commit": commit.unwrap_or_default(),
        "packages": {"tokenizers": "0.23"},
        "rounds": ROUNDS,
        "what": "encoding with GPT-2's vocabulary on one thread, MB/s; learning 8,192 merges, seconds and peak memory of a \
                 process in MB; medians",
        "results": results,
    })
}

/// The result of `work`, and the seconds it took.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn opening() {
    let (_, seconds) = timed(Tokenizer::gpt2);
    println!("opening the built-in vocabulary    {:>8.2} ms", seconds * 1e3);
}

fn encoding(text: &str, results: &mut Map<String, Value>) {
    let gpt2 = Tokenizer::gpt2();
    let reference = Reference::from_bytes(gpt2.to_json()).expect("our tokenizer.json");
    let documents = cut(text, 10_000);
    let ours = |text: &str| gpt2.encode(text, Special::Plain);
    let theirs = |text: &str| reference.encode_fast(text, false).expect("no failure");
    assert_eq!(ours(text), theirs(text).get_ids(), "the same ids");
    for (what, texts) in [("one text", vec![text]), ("documents of 10 kB", documents)] {
        let (mut mine, mut others) = (vec![], vec![]);
        for _ in 0..ROUNDS {
            mine.push(timed(|| texts.iter().map(|text| ours(text).len()).sum::<usize>()).1);
            others.push(timed(|| texts.iter().map(|text| theirs(text).len()).sum::<usize>()).1);
        }
        let [ours, theirs] = [mine, others].map(|seconds| text.len() as f64 / 1e6 / median(seconds));
        println!("{what:<34} {ours:>8.2} MB/s   tokenizers {theirs:>6.2} MB/s   × {:.1}", ours / theirs);
        results.insert(
            format!("encode {what}"),
            json!({"glass": ours, "tokenizers": theirs, "ratio": ours / theirs}),
        );
    }
    let (ids, seconds) = timed(|| gpt2.encode_parallel(text.as_bytes(), Special::Plain));
    println!("one text, all threads              {:>8.2} MB/s", text.len() as f64 / seconds / 1e6);
    let (_, seconds) = timed(|| gpt2.decode(&ids).expect("known ids"));
    println!("back to text                       {:>8.2} MB/s", text.len() as f64 / seconds / 1e6);
    println!("the ids of {} bytes are equal: {} tokens", text.len(), ids.len());
}

fn cut(mut text: &str, size: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let (part, rest) = text.split_at(text.floor_char_boundary(size.min(text.len())));
        parts.push(part);
        text = rest;
    }
    parts
}

fn adversarial() {
    let gpt2 = Tokenizer::gpt2();
    for letters in ["a", "ab", " ", "!?", "é"] {
        let text = letters.repeat(1_000_000 / letters.len());
        let (ids, seconds) = timed(|| gpt2.encode(&text, Special::Plain));
        println!("a megabyte of {letters:<4?} {:>8.1} ms, {} tokens", seconds * 1e3, ids.len());
    }
}

fn learning(text: &str, results: &mut Map<String, Value>) {
    let file = std::env::temp_dir().join(format!("glass-tokens-{}.txt", std::process::id()));
    fs::write(&file, text).expect("room for the text");
    for threads in ["1", "2"] {
        let (mut seconds, mut memory) = ([vec![], vec![]], [vec![], vec![]]);
        for _ in 0..ROUNDS {
            for (at, side) in ["learn-glass", "learn-tokenizers"].into_iter().enumerate() {
                let [took, held] = measured(side, threads, &file);
                seconds[at].push(took);
                memory[at].push(held);
            }
        }
        let ([ours, theirs], [held, others]) = (seconds.map(median), memory.map(median));
        println!(
            "{MERGES} merges from {:.1} MB, {threads} threads {ours:>6.2} s {held:>6.0} MB   tokenizers {theirs:>6.2} s \
             {others:>6.0} MB   × {:.1}, memory × {:.2}",
            text.len() as f64 / 1e6,
            theirs / ours,
            held / others
        );
        let side = |seconds, megabytes| json!({"seconds": seconds, "megabytes": megabytes});
        results.insert(
            format!("learn, {threads} threads"),
            json!({"bytes": text.len(), "glass": side(ours, held), "tokenizers": side(theirs, others),
                   "ratio": theirs / ours, "memory": held / others}),
        );
    }
    let _ = fs::remove_file(file);
}

/// Seconds and megabytes of one program.
fn measured(side: &str, threads: &str, file: &Path) -> [f64; 2] {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg(side).arg(file).env("RAYON_NUM_THREADS", threads);
    let done = command.output().expect("this program runs");
    let said = String::from_utf8_lossy(&done.stdout);
    let numbers: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{side}: {said}{}", String::from_utf8_lossy(&done.stderr)))
}

/// One turn of learning, including reading the file: prints seconds, and megabytes at the peak.
fn turn(side: &str, file: &Path) {
    let (merges, seconds) = if side == "learn-glass" { timed(|| ours(file)) } else { timed(|| theirs(file)) };
    assert_eq!(merges, MERGES);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let kilobytes: f64 = peak.and_then(|peak| peak.parse().ok()).unwrap_or(f64::NAN);
    println!("{seconds} {}", kilobytes * 1024.0 / 1e6);
}

fn ours(file: &Path) -> usize {
    let reading = Reading { separator: String::new(), ..Reading::default() };
    let texts = Pieces::of_files(&[file.into()], &reading, Sizes::default()).map(|piece| Ok(piece?.text));
    let settings = Learn { vocabulary: MERGES + 256, specials: vec![], ..Learn::default() };
    learn(texts, &settings, &mut |_| {}).expect("enough text").vocabulary_size() - 256
}

fn theirs(file: &Path) -> usize {
    let mut reference = Reference::new(BPE::default());
    reference.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    let alphabet = ByteLevel::alphabet().into_iter().collect();
    let trainer =
        BpeTrainerBuilder::new().vocab_size(MERGES + 256).initial_alphabet(alphabet).show_progress(false);
    let mut trainer = TrainerWrapper::from(trainer.build());
    let file = file.to_str().expect("a name in UTF-8").to_string();
    reference.train_from_files(&mut trainer, vec![file]).expect("enough text");
    reference.get_vocab_size(false) - 256
}
