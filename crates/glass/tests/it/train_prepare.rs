//! Text to tokens in portions: the same for any sizes, without duplicates, stopped and continued anywhere.

use std::fs;
use std::path::{Path, PathBuf};

use glass::tokens::{Learn, Special, Tokenizer, learn, word_cut};
use glass::train::corpus::{Corpus, Parts, Source, Subset};
use glass::train::data::Reading;
use glass::train::ids::Ids;
use glass::train::pieces::{Piece, Pieces, Sizes};
use glass::train::prepare::{Encoding, Prepared, Shards, in_memory};
use glass::train::set::{Samples, Set};

use crate::scratch::Scratch;

const SMALL: Sizes = Sizes { portion: 7, piece: 5 };

/// The documents of a file, joined from their pieces.
fn documents(name: &str, bytes: &[u8], reading: &Reading, sizes: Sizes) -> Result<Vec<String>, String> {
    let mut documents = Vec::<Vec<u8>>::new();
    let mut ended = true;
    for piece in Pieces::of(Path::new(name), bytes, reading, sizes) {
        let Piece { document, offset, text, ends } = piece.map_err(|error| error.to_string())?;
        if ended {
            documents.push(Vec::new());
        }
        assert_eq!(
            (document as usize, offset as usize),
            (documents.len() - 1, documents[document as usize].len())
        );
        documents[document as usize].extend(text);
        ended = ends;
    }
    assert!(ended, "the last piece ends its document");
    Ok(documents.into_iter().map(|text| String::from_utf8(text).unwrap()).collect())
}

#[test]
fn documents_are_the_same_for_any_portions() {
    let separators = ["<|endoftext|>", "\n\n", "\n---\n", "aab", "é", ""];
    let mut seed = 5u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for turn in 0..300 {
        let separator = separators[turn % separators.len()];
        let parts =
            [separator, "a", "aa", " b", "\n", "\r\n", "\r", "é", "日本", "😀 x", "word word ", "\u{feff}"];
        let text: String = (0..random(40)).map(|_| parts[random(parts.len())]).collect();
        let reading = Reading { separator: separator.into(), ..Reading::default() };
        let whole = Sizes { portion: 1 << 20, piece: usize::MAX };
        let expected = documents("a.txt", text.as_bytes(), &reading, whole).unwrap();
        assert_eq!(expected, plainly(&text, separator), "{text:?} at {separator:?}");
        for portion in [1, 2, 3, 5, 8, 13] {
            let sizes = Sizes { portion, piece: 1 + random(9) };
            let found = documents("a.txt", text.as_bytes(), &reading, sizes).unwrap();
            assert_eq!(found, expected, "{text:?} at {separator:?}, {sizes:?}");
        }
    }
}

/// The expected documents, computed without portions.
fn plainly(text: &str, separator: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let parts: Vec<&str> = match separator {
        "" => vec![&text],
        separator => text.split(separator).collect(),
    };
    let breaks = ['\n', '\r'];
    let last = parts.len() - 1;
    let trimmed = parts.iter().enumerate().map(|(at, part)| {
        let part = if at > 0 { part.trim_start_matches(breaks) } else { part };
        if at < last { part.trim_end_matches(breaks) } else { part }
    });
    trimmed.filter(|part| !part.is_empty()).map(String::from).collect()
}

#[test]
fn json_lines_and_errors_are_the_same_for_any_portions() {
    let lines = "\u{feff}{\"text\":\"one two three four\"}\r\n\n{\"text\":\"\"}\n{\"text\":\"é\\r\\n\"}";
    let reading = Reading::default();
    for portion in 1..20 {
        let sizes = Sizes { portion, piece: 4 };
        let found = documents("a.jsonl", lines.as_bytes(), &reading, sizes).unwrap();
        assert_eq!(found, ["one two three four", "é\r\n"]);
        let broken = documents("a.jsonl", b"{\"text\":\"a\"}\n\n{\"text\"\n", &reading, sizes).unwrap_err();
        assert!(broken.starts_with("a.jsonl:3: not a JSON object"), "{broken}");
        let latin = documents("a.txt", b"abc \xc3\xa9 d\xffe", &reading, sizes).unwrap_err();
        assert!(latin.starts_with("a.txt: not UTF-8: byte 0xff at offset 8"), "{latin}");
        let cut = documents("a.txt", b"abc \xc3", &reading, sizes).unwrap_err();
        assert!(cut.starts_with("a.txt: not UTF-8: byte 0xc3 at offset 4"), "{cut}");
    }
    let any = Reading { any_bytes: true, ..reading };
    let bytes = Pieces::of(Path::new("a.txt"), &b"\xff\xe9 \xc3"[..], &any, SMALL);
    assert_eq!(bytes.map(|piece| piece.unwrap().text).collect::<Vec<_>>().concat(), b"\xff\xe9 \xc3");
    let wide = Pieces::of(Path::new("a.txt"), &b"\xff\xfea\0"[..], &any, SMALL).next().unwrap().unwrap_err();
    assert!(wide.to_string().contains("it looks like UTF-16"), "{wide}");
}

/// A corpus of texts, one file each; `.jsonl` if it begins with a brace.
fn corpus(folder: &Path, texts: &[&str], change: impl FnOnce(&mut Source)) -> Corpus {
    let files: Vec<PathBuf> = (0..texts.len()).map(|n| folder.join(format!("{n}.txt"))).collect();
    files.iter().zip(texts).for_each(|(file, text)| fs::write(file, text).unwrap());
    let mut source = Source { sizes: SMALL, ..Source::of(files) };
    change(&mut source);
    Corpus::open(source).unwrap()
}

fn parts(corpus: &Corpus) -> Parts {
    corpus.parts(&mut |_| {}).unwrap()
}

fn texts(parts: &Parts, subset: Subset) -> Vec<String> {
    let mut texts = vec![String::new()];
    for piece in parts.pieces(subset, SMALL).map(Result::unwrap) {
        *texts.last_mut().unwrap() += std::str::from_utf8(&piece.text).unwrap();
        if piece.ends {
            texts.push(String::new());
        }
    }
    assert_eq!(texts.pop().unwrap(), "");
    texts
}

fn sides(parts: &Parts) -> [Vec<String>; 2] {
    [Subset::Train, Subset::Validation].map(|subset| texts(parts, subset))
}

#[test]
fn validation_takes_whole_documents_or_a_tail() {
    let scratch = Scratch::new("parts");
    let many: String = (0..100).map(|n| format!("document {n:02}<|endoftext|>")).collect();
    let split = |text: &str, fraction, seed| {
        sides(&parts(&corpus(scratch.path(), &[text], |source| {
            (source.fraction, source.seed) = (fraction, seed);
        })))
    };
    let [train, validation] = split(&many, 0.1, 7);
    assert_eq!((train.len(), validation.len()), (90, 10));
    let mut all = [train, validation.clone()].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 100);
    assert_eq!(split(&many, 0.1, 7)[1], validation);
    assert_ne!(split(&many, 0.1, 8)[1], validation);

    let [train, validation] = split(&"éé".repeat(25), 0.13, 7);
    assert_eq!(train[0].clone() + &validation[0], "éé".repeat(25));
    assert_eq!(validation[0].len(), 12, "13 bytes, cut between characters");
    let long = "a word and a ".repeat(20);
    for hundredth in 1..100 {
        let [train, validation] = split(&long, f64::from(hundredth) / 100.0, 7);
        assert_eq!(train.concat() + &validation.concat(), long);
        assert_eq!(validation.concat().len(), 260 * hundredth as usize / 100);
        assert_eq!((train.len(), validation.len()), (1, 1));
    }
    let [train, validation] = split("one document", 0.0, 7);
    assert_eq!((train.len(), validation.len()), (1, 0));
}

#[test]
fn what_stands_twice_is_dropped_and_counted() {
    let scratch = Scratch::new("duplicates");
    let files = [
        "a\n<|endoftext|>bb bb bb bb<|endoftext|>\n<|endoftext|>c",
        "c<|endoftext|>bb bb bb bb<|endoftext|>d",
    ];
    let all = parts(&corpus(scratch.path(), &files, |_| {}));
    assert_eq!(sides(&all)[0], ["a", "bb bb bb bb", "c", "d"]);
    assert_eq!((all.dropped.duplicates, all.dropped.validating, all.dropped.empty), (2, 0, 1));
    let kept = parts(&corpus(scratch.path(), &files, |source| source.keep_duplicates = true));
    assert_eq!(sides(&kept)[0].len(), 6);
    assert_eq!(kept.dropped.duplicates, 0);

    // Validation documents are not learned, with and without duplicates.
    for keep_duplicates in [false, true] {
        let held_out = scratch.path().join("held-out.txt");
        fs::write(&held_out, "c<|endoftext|>e<|endoftext|>e").unwrap();
        let given = parts(&corpus(scratch.path(), &files, |source| {
            source.validation = vec![held_out];
            source.keep_duplicates = keep_duplicates;
        }));
        let [train, validation] = sides(&given);
        assert!(!train.contains(&"c".into()) && train.contains(&"a".into()));
        assert_eq!(given.dropped.validating, 2);
        assert_eq!(validation, if keep_duplicates { vec!["c", "e", "e"] } else { vec!["c", "e"] });

        let twice: String = (0..40).map(|n| format!("text {}<|endoftext|>", n % 20)).collect();
        let drawn = parts(&corpus(scratch.path(), &[&twice], |source| {
            (source.fraction, source.keep_duplicates) = (0.2, keep_duplicates);
        }));
        let [train, validation] = sides(&drawn);
        assert!(!validation.is_empty() && validation.iter().all(|text| !train.contains(text)));
        let counted = train.len() + validation.len();
        assert_eq!(counted as u64 + drawn.dropped.duplicates + drawn.dropped.validating, 40);
    }
    let none = corpus(scratch.path(), &["a"], |source| source.validation = source.files.clone());
    let none = none.parts(&mut |_| {}).err().unwrap().to_string();
    assert!(none.ends_with("nothing is left to learn from"), "{none}");
}

/// Twenty documents, some of them long, some duplicated, with every kind of character; and a vocabulary of their
/// words.
fn stories() -> (Vec<String>, Tokenizer) {
    let story = |n: usize| {
        format!("Story {n}: é the cat\nsaw the dog — {} 😀\n", "again and again ".repeat(n * n % 23))
    };
    let file = |from: usize| (from..from + 10).map(story).collect::<Vec<_>>().join("<|endoftext|>\r\n");
    let texts = vec![file(0), file(7), String::new()];
    let settings = Learn { vocabulary: 300, ..Learn::default() };
    let tokenizer = learn(texts.iter().map(Ok), &settings, &mut |_| {}).unwrap();
    (texts, tokenizer)
}

fn ids(set: &Set) -> &Ids {
    match &set.samples {
        Samples::Stream(ids) => ids,
        _ => panic!("a stream"),
    }
}

fn same(one: &Prepared, other: &Prepared) -> bool {
    let parts = |prepared: &Prepared| [ids(&prepared.train).to_vec(), ids(&prepared.validation).to_vec()];
    parts(one) == parts(other)
        && one.card == other.card
        && one.train.fingerprint() == other.train.fingerprint()
}

#[test]
fn ids_are_those_of_whole_documents() {
    let scratch = Scratch::new("ids");
    let (files, tokenizer) = stories();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let corpus = corpus(scratch.path(), &files, |source| source.fraction = 0.2);
    let parts = parts(&corpus);
    let by = Encoding { tokenizer: &tokenizer, vocabulary: 300 };
    let prepared = in_memory(&corpus, &parts, by, &mut |_| {}).unwrap();
    let end = tokenizer.end_of_text().unwrap();
    for (subset, set) in [(Subset::Train, &prepared.train), (Subset::Validation, &prepared.validation)] {
        let mut expected = vec![end];
        let texts = texts(&parts, subset);
        for text in &texts {
            expected.extend(tokenizer.encode(text, Special::Plain));
            expected.push(end);
        }
        assert_eq!(ids(set).to_vec(), expected);
        assert_eq!((set.documents, set.bytes), (texts.len(), Some(texts.concat().len() as u64)));
        assert_eq!(parts.bytes(subset), set.bytes.unwrap());
    }
    // Of three duplicates, one is at the end of the first file, with its line break.
    assert_eq!(prepared.card.dropped.duplicates, 2);
    assert_eq!(parts.remarks.len(), 3, "line ends twice, and an empty file");

    let few = Encoding { tokenizer: &tokenizer, vocabulary: 257 };
    let few = in_memory(&corpus, &parts, few, &mut |_| {}).unwrap_err().to_string();
    assert!(few.contains("but the model's vocabulary has 257 tokens"), "{few}");
}

#[test]
fn shards_stopped_anywhere_are_as_never_stopped() {
    let scratch = Scratch::new("stopped");
    let (files, tokenizer) = stories();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let corpus = corpus(scratch.path(), &files, |source| source.fraction = 0.2);
    let parts = parts(&corpus);
    let by = Encoding { tokenizer: &tokenizer, vocabulary: 300 };
    let folder = scratch.path().join("shards");
    let open = || {
        let mut shards = Shards::open(&folder, &corpus, by, &mut |_| {}).unwrap();
        shards.size = 50;
        shards
    };
    let expected = in_memory(&corpus, &parts, by, &mut |_| {}).unwrap();
    assert!(open().finished().unwrap().is_none());
    let whole = open().finish(&parts, &mut |_| {}).unwrap();
    assert!(same(&whole, &expected) && same(&open().finished().unwrap().unwrap(), &expected));

    let own = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let read = |name: &str| fs::read(own.join(name)).unwrap();
    let state = read("data.json");
    let mut names: Vec<String> =
        fs::read_dir(&own).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".bin"));
    assert!(names.len() > 10, "{names:?}");
    for name in &names {
        // A damaged shard, and then everything that existed until it was written.
        let bytes = read(name);
        let mut wrong = bytes.clone();
        wrong[0] ^= 1;
        fs::write(own.join(name), wrong).unwrap();
        let mut again = open();
        assert!(again.finished().unwrap().is_none(), "{name}");
        assert!(same(&again.finish(&parts, &mut |_| {}).unwrap(), &expected), "{name}");
        assert!(read(name) == bytes && read("data.json") == state);
    }
    // A list of shards that was never written, and a file that is not a list.
    fs::remove_file(own.join("data.json")).unwrap();
    assert!(same(&open().finish(&parts, &mut |_| {}).unwrap(), &expected));
    fs::write(own.join("data.json"), "{").unwrap();
    assert!(same(&open().finish(&parts, &mut |_| {}).unwrap(), &expected));
    assert!(read("data.json") == state);
}

#[test]
fn shards_are_used_again_only_for_the_same() {
    let scratch = Scratch::new("again");
    let (files, tokenizer) = stories();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let folder = scratch.path().join("shards");
    let is_there = |corpus: &Corpus, tokenizer: &Tokenizer, vocabulary| {
        let by = Encoding { tokenizer, vocabulary };
        let mut shards = Shards::open(&folder, corpus, by, &mut |_| {}).unwrap();
        let there = shards.finished().unwrap().is_some();
        if !there {
            shards.finish(&parts(corpus), &mut |_| {}).unwrap();
        }
        there
    };
    let first = corpus(scratch.path(), &files, |_| {});
    assert!(!is_there(&first, &tokenizer, 300));
    let moved = scratch.path().join("moved");
    fs::create_dir(&moved).unwrap();
    assert!(
        is_there(&corpus(&moved, &files, |_| {}), &tokenizer, 400),
        "where the files stand does not matter"
    );
    assert!(!is_there(&first, &tokenizer, 70_000), "four bytes an id");
    assert!(!is_there(&first, &tokenizer.clone().with_specials(&["<|x|>"]).unwrap(), 301));
    assert!(!is_there(&corpus(scratch.path(), &files[..2], |_| {}), &tokenizer, 300));
    assert!(!is_there(&corpus(scratch.path(), &files, |source| source.fraction = 0.1), &tokenizer, 300));
    assert!(!is_there(
        &corpus(scratch.path(), &files, |source| source.keep_duplicates = true),
        &tokenizer,
        300
    ));
    let separator = |source: &mut Source| source.reading.separator = "again".into();
    assert!(!is_there(&corpus(scratch.path(), &files, separator), &tokenizer, 300));
    let changed = [files[0], &files[1].replace("cat", "cow"), files[2]];
    assert!(!is_there(&corpus(scratch.path(), &changed, |_| {}), &tokenizer, 300));
    assert!(is_there(&corpus(scratch.path(), &files, |_| {}), &tokenizer, 300));
}

#[test]
fn a_file_that_changes_meanwhile_is_refused() {
    let scratch = Scratch::new("changed");
    let corpus = corpus(scratch.path(), &["one<|endoftext|>two"], |_| {});
    let parts = parts(&corpus);
    for text in [
        "one<|endoftext|>twoo",
        "one<|endoftext|>tw",
        "on<|endoftext|>two",
        "one<|endoftext|>two<|endoftext|>x",
    ] {
        fs::write(scratch.path().join("0.txt"), text).unwrap();
        let refused = parts.pieces(Subset::Train, SMALL).find_map(Result::err).unwrap().to_string();
        assert!(refused.contains("changed while it was read"), "{text}: {refused}");
    }
}

#[test]
fn tokens_never_reach_over_a_word_cut() {
    let (files, tokenizer) = stories();
    assert!(tokenizer.cuts_at_words() && Tokenizer::gpt2().cuts_at_words());
    let text = files.concat();
    let whole = tokenizer.encode(&text, Special::Plain);
    for at in 0..text.len() {
        let Some(cut) = word_cut(text.as_bytes(), at) else { continue };
        let [left, right] = [&text[..cut], &text[cut..]].map(|part| tokenizer.encode(part, Special::Plain));
        assert!([left, right].concat() == whole, "{at}");
    }
}

#[test]
fn mapped_ids_are_read_as_one_row() {
    let scratch = Scratch::new("mapped");
    let files: Vec<PathBuf> = (0..4).map(|n| scratch.path().join(format!("{n}.bin"))).collect();
    let all: Vec<u32> = (0..60).collect();
    for (file, range) in files.iter().zip([0..7, 7..7, 7..40, 40..60]) {
        let bytes: Vec<u8> = range.flat_map(u16::to_le_bytes).collect();
        fs::write(file, bytes).unwrap();
    }
    let (mut ids, _) = glass::train::shards::read(&files, glass::train::ids::Width::U16, 60).unwrap();
    assert_eq!(ids.to_vec(), all);
    for start in 0..60 {
        for end in start..=60 {
            let mut copied = Vec::new();
            ids.copy(start..end, &mut copied);
            assert_eq!(copied, all[start..end]);
        }
    }
    let rest = ids.split_off(33);
    assert_eq!((ids.to_vec(), rest.to_vec()), (all[..33].to_vec(), all[33..].to_vec()));
    let mut copied = Vec::new();
    rest.copy(5..9, &mut copied);
    assert_eq!(copied, all[38..42]);
    let mut written = Vec::new();
    rest.write(&mut written).unwrap();
    assert_eq!(written.len(), 2 * 27);
    assert_eq!(rest, Ids::Short((33..60).collect()));
}
