//! Files to documents to ids: what is accepted, and the errors for the rest.

use std::fs;
use std::path::{Path, PathBuf};

use glass::tokens::Tokenizer;
use glass::train::corpus::{Corpus, Source};
use glass::train::data::{Documents, Reading};
use glass::train::files;
use glass::train::ids::{Ids, Width};
use glass::train::pieces::{Pieces, Sizes};
use glass::train::prepare::{Encoding, in_memory};
use glass::train::set::{Samples, Set};
use glass::train::shards;

use crate::scratch::Scratch;

fn add(name: &str, bytes: &[u8]) -> Result<(Documents, Vec<String>), String> {
    let mut documents = Documents::default();
    let remarks = documents
        .add(Path::new(name), bytes.to_vec(), &Reading::default())
        .map_err(|error| error.to_string())?;
    Ok((documents, remarks.iter().map(ToString::to_string).collect()))
}

fn texts(name: &str, bytes: &[u8]) -> Vec<String> {
    add(name, bytes).unwrap().0.texts().map(String::from).collect()
}

#[test]
fn text_is_cut_at_separators_and_the_line_breaks_beside_them_belong_to_them() {
    assert_eq!(texts("a.txt", b"one\n<|endoftext|>\n\ntwo<|endoftext|>three\n"), ["one", "two", "three\n"]);
    assert_eq!(texts("a.txt", b"\n whole \n"), ["\n whole \n"]);
    assert_eq!(texts("a.txt", b"<|endoftext|>\n<|endoftext|>a<|endoftext|>"), ["a"]);
}

#[test]
fn marks_and_line_ends_are_remarked() {
    let (documents, remarks) = add("a.txt", b"\xef\xbb\xbfone\r\ntwo\rthree\r\n").unwrap();
    assert_eq!(documents.texts().next().unwrap(), "one\ntwo\rthree\n");
    assert_eq!(
        remarks,
        ["a.txt: the byte-order mark at its start is dropped", "a.txt: 2 line ends \\r\\n are read as \\n"]
    );
    assert_eq!(add("a.txt", b"").unwrap().1, ["a.txt: empty, skipped"]);
    assert_eq!(add("a.jsonl", b"\n\n").unwrap().1, ["a.jsonl: empty, skipped"]);
}

#[test]
fn what_is_no_text_is_refused_with_its_place() {
    let refused = |name: &str, bytes: &[u8]| add(name, bytes).unwrap_err();
    assert_eq!(
        refused("a.txt", b"abc\xffd"),
        "a.txt: not UTF-8: byte 0xff at offset 3; it may be in another encoding, or not text at all; convert it to UTF-8 first"
    );
    assert!(refused("a.txt", b"\xff\xfea\0").contains("offset 0; it looks like UTF-16"));
    assert!(refused("a.jsonl", b"{\"text\":\"a\"}\n{\"text\"\n").starts_with("a.jsonl:2: not a JSON object"));
    assert!(refused("a.jsonl", b"[1]").starts_with("a.jsonl:1: not a JSON object"));
    let missing = refused("a.jsonl", b"{\"text\":\"a\"}\n\n{\"body\":\"a\",\"id\":1}");
    assert!(
        missing.starts_with("a.jsonl:3: no field \"text\" in this object, which has \"body\", \"id\""),
        "{missing}"
    );
    assert!(refused("a.jsonl", b"{\"text\":3}").contains("a.jsonl:1: the field \"text\" is not a string"));
}

#[test]
fn json_lines_are_documents_as_they_stand() {
    let lines = b"\xef\xbb\xbf{\"text\":\"a\\r\\nb<|endoftext|>c\"}\r\n{\"text\":\"\"}\n{\"text\":\"d\"}";
    assert_eq!(texts("a.jsonl", lines), ["a\r\nb<|endoftext|>c", "d"]);
}

#[test]
fn folders_are_read_in_sorted_order() {
    let folder = Scratch::new("folders");
    for (name, text) in [("b.txt", "b"), ("a/z.txt", "z"), ("c.md", "c"), (".hidden.txt", "h")] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let (found, remarks) = files::find(&[folder.path().into()], &["txt", "jsonl"]).unwrap();
    let names: Vec<_> = found.iter().map(|path| path.strip_prefix(folder.path()).unwrap()).collect();
    assert_eq!(names, [Path::new("a/z.txt"), Path::new("b.txt")]);
    assert!(
        remarks[0].what.starts_with("1 file that does not end in .txt or .jsonl is skipped"),
        "{}",
        remarks[0]
    );

    let (kept, remarks) = files::without(found, &[folder.path().join("a/../b.txt")]);
    assert_eq!((kept.len(), remarks.len()), (1, 1));
    assert_eq!(fs::read_to_string(&kept[0]).unwrap(), "z");

    let missing = files::find(&[folder.path().join("none")], &["txt"]).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read "), "{missing}");
    let none = files::find(&[folder.path().join("a")], &["bin"]).unwrap_err();
    assert!(none.to_string().contains("no file in this folder ends in .bin"), "{none}");
    let device = files::find(&[PathBuf::from("/dev/null")], &["txt"]).unwrap_err();
    assert!(device.to_string().contains("neither a file nor a folder"), "{device}");
    fs::write(folder.path().join("empty.txt"), "").unwrap();
    let empty = Corpus::open(Source::of(vec![folder.path().join("empty.txt")])).unwrap();
    let empty = empty.parts(&mut |_| {}).err().unwrap();
    assert!(empty.to_string().contains("no text"), "{empty}");
}

#[test]
fn shards_are_ids_as_they_are() {
    let folder = Scratch::new("shards");
    let path = folder.path().join("a.bin");
    let read = |bytes: &[u8], width, vocabulary| {
        fs::write(&path, bytes).unwrap();
        shards::read(std::slice::from_ref(&path), width, vocabulary).map_err(|error| error.to_string())
    };
    let (ids, _) = read(&[1, 0, 2, 1], Width::U16, 300).unwrap();
    assert_eq!(ids, Ids::Short(vec![1, 258]));
    let (ids, _) = read(&[1, 0, 2, 0], Width::U32, 200_000).unwrap();
    assert_eq!(ids, Ids::Long(vec![131_073]));
    let odd = read(&[1, 0, 2], Width::U16, 300).unwrap_err();
    assert!(odd.contains("a.bin: 3 bytes of ids are not a multiple of 2"), "{odd}");
    let large = read(&[1, 0, 44, 1], Width::U16, 300).unwrap_err();
    assert!(large.contains("a.bin: id 300 at offset 2, but the vocabulary has 300 tokens"), "{large}");
    let mut headed = vec![0; 1024];
    headed[..4].copy_from_slice(&20_240_520u32.to_le_bytes());
    (headed[4], headed[8]) = (1, 1);
    headed.extend([5, 0]);
    let (ids, remarks) = read(&headed, Width::U16, 300).unwrap();
    assert_eq!((ids, remarks.len()), (Ids::Short(vec![5]), 1));
    let wrong = read(&headed, Width::U32, 300).unwrap_err();
    assert!(wrong.contains("llm.c"), "{wrong}");
    let (head, tail) = Set::split_ids(Ids::Short((0..10).collect()), 0.2);
    assert_eq!((head.len(), tail), (8, Ids::Short(vec![8, 9])));
}

#[test]
fn real_stories_come_back_from_their_ids() {
    let data = std::env::var_os("GLASS_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = data.join("tinystories/tinystories_10k_lines.txt");
    if !path.exists() {
        return println!("skipped: {} is missing", path.display());
    }
    let text = fs::read_to_string(&path).unwrap();
    let (documents, remarks) = {
        let mut documents = Documents::default();
        let remarks = documents.add(&path, text.clone().into_bytes(), &Reading::default()).unwrap();
        (documents, remarks)
    };
    assert_eq!((documents.len(), remarks), (1728, vec![]));
    let kept: String = documents.texts().collect();
    let breaks = |text: &str| text.replace('\n', "");
    assert!(breaks(&kept) == breaks(&text.replace("<|endoftext|>", "")), "only line breaks are dropped");

    let tokenizer = Tokenizer::gpt2();
    let end = tokenizer.end_of_text();
    let corpus = Corpus::open(Source { keep_duplicates: true, ..Source::of(vec![path]) }).unwrap();
    let parts = corpus.parts(&mut |_| {}).unwrap();
    let by = Encoding { tokenizer: &tokenizer, vocabulary: tokenizer.vocabulary_size() };
    let set = in_memory(&corpus, &parts, by, &mut |_| {}).unwrap().train;
    let Samples::Stream(ids) = &set.samples else { panic!() };
    let ids = ids.to_vec();
    let stories: Vec<&[u32]> = ids.split(|&id| Some(id) == end).filter(|story| !story.is_empty()).collect();
    assert_eq!(stories.len(), 1728);
    assert!(
        stories
            .iter()
            .zip(documents.texts())
            .all(|(ids, text)| tokenizer.decode(ids).unwrap() == text.as_bytes())
    );
    assert!((3.9..4.5).contains(&set.bytes_per_token().unwrap()));
}

#[test]
fn files_for_validation_are_known_by_their_names() {
    let folder = Scratch::new("roles");
    let make = |names: &[&str]| -> Vec<PathBuf> {
        let make = |name: &&str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "text").unwrap();
            path
        };
        names.iter().map(make).collect()
    };
    let names = |files: &[PathBuf]| -> Vec<String> {
        let name = |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
        files.iter().map(name).collect()
    };
    let all = make(&[
        "a/fineweb_train_000001.bin",
        "a/fineweb_val_000000.bin",
        "a/interval.bin",
        "b/0.txt",
        "b/Validation-00000-of-00001.txt",
        "b/contest.txt",
        "b/dev.txt",
        "b/my-test.txt",
        "b/valid/1.txt",
    ]);
    let folders = ["a", "b"].map(|name| folder.path().join(name));
    let roles = files::by_role(&folders, all.clone(), false).unwrap();
    let learned = ["a/fineweb_train_000001.bin", "a/interval.bin", "b/0.txt", "b/contest.txt"];
    assert_eq!(names(&roles.train), learned);
    let validated =
        ["a/fineweb_val_000000.bin", "b/Validation-00000-of-00001.txt", "b/dev.txt", "b/valid/1.txt"];
    assert_eq!(names(&roles.validation), validated);
    let said: Vec<_> = roles.remarks.iter().map(ToString::to_string).collect();
    assert!(said[0].ends_with("fineweb_val_000000.bin: by its name it is for validation: it is validated on and not learned (and so are 3 more files)"), "{said:?}");
    assert!(
        said[1].contains("my-test.txt: by its name it is a test: it is neither learned nor validated on"),
        "{said:?}"
    );

    let aside = files::by_role(&folders, all.clone(), true).unwrap();
    assert_eq!((names(&aside.train), aside.validation.len()), (learned.map(String::from).to_vec(), 0));
    assert!(aside.remarks[0].what.contains("not validated on either (and so are 4 more files)"));

    // Test files are used for validation if there are no others.
    let tests = files::by_role(&folders[1..], vec![all[3].clone(), all[7].clone()], false).unwrap();
    assert_eq!(
        (names(&tests.train), names(&tests.validation)),
        (vec!["b/0.txt".into()], vec!["b/my-test.txt".into()])
    );

    // Files named individually, as a shell does for *.bin.
    let both = files::by_role(&all[..2], all[..2].to_vec(), false).unwrap();
    assert_eq!((both.train.len(), names(&both.validation)), (1, vec!["a/fineweb_val_000000.bin".into()]));
    let alone = files::by_role(&all[1..3], all[1..3].to_vec(), false).unwrap();
    assert_eq!((alone.train.len(), alone.validation.len()), (2, 0));

    let nothing = files::by_role(&folders[..1], vec![all[1].clone()], false).unwrap_err();
    assert!(nothing.to_string().contains("no other file to train on"), "{nothing}");
}

#[test]
fn tables_and_arrays_are_documents_of_a_field() {
    let with = |name: &str, bytes: &[u8], field: &str, portion: usize| {
        let reading = Reading { field: field.into(), ..Reading::default() };
        let sizes = Sizes { portion, piece: 1 << 16 };
        let pieces = Pieces::of(Path::new(name), bytes, &reading, sizes);
        pieces
            .map(|piece| piece.map(|piece| String::from_utf8(piece.text).unwrap()))
            .collect::<glass::Result<Vec<_>>>()
    };
    let table = "\u{feff}id,text\r\n1,\"One, two\r\n\"\"three\"\"\"\r\n2,\r\n3,ü<|endoftext|>\n".as_bytes();
    let semicolons = b"a;story\n1,5;\"x;y\"\n";
    let array = r#" [{"id": 1, "text": "a]\"}"}, "b\u00fc", {"text": ""} ,{"text":"c","more":[{"x":"]"}]}]
"#;
    for portion in [1, 2, 3, 7, 1 << 20] {
        let texts = |name, bytes: &[u8], field| with(name, bytes, field, portion).unwrap();
        assert_eq!(texts("a.csv", table, "text"), ["One, two\r\n\"three\"", "ü<|endoftext|>"], "{portion}");
        assert_eq!(texts("a.csv", semicolons, "story"), ["x;y"]);
        assert_eq!(texts("a.tsv", b"story\tb\n1 2\t3\n", "story"), ["1 2"]);
        assert_eq!(texts("a.json", array.as_bytes(), "text"), ["a]\"}", "bü", "c"]);
        assert_eq!(texts("a.json", br#"{"text":"alone"}"#, "text"), ["alone"]);
        assert!(texts("a.csv", b"", "text").is_empty() && texts("a.json", b" [ ] ", "text").is_empty());
        let refused = |name, bytes: &[u8]| with(name, bytes, "text", portion).unwrap_err().to_string();
        let column = refused("a.csv", b"a,b\n1,2\n");
        assert!(
            column.starts_with("a.csv: no column \"text\" in its first line, which has \"a\", \"b\""),
            "{column}"
        );
        assert!(refused("a.csv", b"a,text\n1\n").contains("a.csv: not comma-separated values"));
        assert!(refused("a.csv", b"a,text\n1,\xff\n").contains("a.csv: not UTF-8: byte 0xff at offset 9"));
        assert!(
            refused("a.json", b"[{\"text\":\"a\"}, 3]")
                .contains("a.json, element 2: neither a string nor an object")
        );
        assert!(refused("a.json", b"[{\"text\":\"a\"").contains("it ends within an element"));
        assert!(refused("a.json", b"[\"a\"").contains("it ends within its array"));
        let lines = b"{\"text\":\"a\"}\n{\"text\":\"b\"}\n";
        assert_eq!(texts("a.json", lines, "text"), ["a", "b"], "JSON lines by another name");
        assert_eq!(texts("A.JSONL", lines, "text"), ["a", "b"]);
        assert_eq!(texts("A.CSV", b"\xef\xbb\xbf\"id\",\"text\"\r\n1,\"One\"\r\n", "text"), ["One"]);
        assert!(refused("a.json", b"{\"text\":\"a\"}[\"b\"]").contains("there is more text after"));
        assert!(refused("a.json", b"[\"b\"]{\"text\":\"a\"}").contains("there is more text after"));
        assert!(refused("a.json", b"[{\"body\":\"a\"}]").contains("element 1: no field \"text\""));
        assert!(refused("a.json", b"text").contains("neither an array nor an object"));
    }
}
