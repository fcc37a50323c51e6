//! Tokens per second, beside the `tokenizers` crate on the same text, vocabulary and thread, taken in turns.
//!
//! `cargo bench -p glass --bench tokens -- FILE…` reads the files; without any it makes up a text.

use std::time::Instant;

use glass::tokens::{Learn, Special, Tokenizer, learn};
use tokenizers::Tokenizer as Reference;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::BpeTrainerBuilder;

const ROUNDS: usize = 3;
const MOST: usize = 10_000_000;

fn main() {
    let files = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let mut text: String = files.map(|path| std::fs::read_to_string(path).expect("a text file")).collect();
    if text.is_empty() {
        text = (0..400_000)
            .map(|n: u64| format!("{} word's {n}, ", n.wrapping_mul(0x9E37_79B9) >> 20))
            .collect();
    }
    text.truncate(text.floor_char_boundary(MOST));
    opening();
    encoding(&text);
    adversarial();
    learning(&text);
}

/// What `work` gives, and how many seconds it took.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed().as_secs_f64())
}

fn report(what: &str, bytes: usize, ours: f64, theirs: f64) {
    let rate = |seconds: f64| bytes as f64 / seconds / 1e6;
    println!(
        "{what:<34} {:>8.2} MB/s   tokenizers {:>6.2} MB/s   × {:.1}",
        rate(ours),
        rate(theirs),
        theirs / ours
    );
}

fn opening() {
    let (_, seconds) = timed(Tokenizer::gpt2);
    println!("opening the built-in vocabulary    {:>8.2} ms", seconds * 1e3);
}

fn encoding(text: &str) {
    let gpt2 = Tokenizer::gpt2();
    let reference = Reference::from_bytes(gpt2.to_json()).expect("our tokenizer.json");
    let documents: Vec<&str> = cut(text, 10_000);
    let (mut whole, mut parts) = ([f64::MAX; 2], [f64::MAX; 2]);
    for _ in 0..ROUNDS {
        let (ours, seconds) = timed(|| gpt2.encode(text, Special::Plain));
        whole[0] = whole[0].min(seconds);
        let (theirs, seconds) = timed(|| reference.encode_fast(text, false).expect("no failure"));
        whole[1] = whole[1].min(seconds);
        assert_eq!(ours, theirs.get_ids(), "the same ids");

        let (_, seconds) =
            timed(|| documents.iter().map(|text| gpt2.encode(text, Special::Plain).len()).sum::<usize>());
        parts[0] = parts[0].min(seconds);
        let theirs = |text: &&str| reference.encode_fast(*text, false).expect("no failure").len();
        let (_, seconds) = timed(|| documents.iter().map(theirs).sum::<usize>());
        parts[1] = parts[1].min(seconds);
    }
    report("one text, one thread", text.len(), whole[0], whole[1]);
    report("documents of 10 kB, one thread", text.len(), parts[0], parts[1]);
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

fn learning(text: &str) {
    let settings = Learn { vocabulary: 8192 + 257, ..Learn::default() };
    let (ours, mine) = timed(|| learn([Ok(text)], &settings, &mut |_| {}).expect("enough text"));
    let mut reference = Reference::from_bytes(ours.to_json()).expect("our tokenizer.json");
    let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
    let trainer =
        BpeTrainerBuilder::new().vocab_size(8192 + 256).initial_alphabet(alphabet).show_progress(false);
    let mut trainer = TrainerWrapper::from(trainer.build());
    let (_, theirs) = timed(|| reference.train(&mut trainer, text.lines()).map(|_| ()).expect("enough text"));
    println!("learning 8,192 merges              {mine:>8.2} s      tokenizers {theirs:>6.2} s");
}
