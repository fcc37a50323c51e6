//! The gallery of wrong input: commands, and their exit statuses.

use std::fs;
use std::path::Path;

use crate::program::{TALK, book, glass, put_model};

/// A command with wrong input.
pub struct Case {
    pub what: &'static str,
    pub arguments: &'static [&'static str],
    pub stdin: &'static str,
    pub status: i32,
}

const fn case(what: &'static str, arguments: &'static [&'static str], status: i32) -> Case {
    Case { what, arguments, stdin: "", status }
}

/// A word of 260 bytes.
const ENDLESS: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
                       aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
                       aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
                       aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// One machine.
const MACHINES: &str = "\
name = \"a machine\"
nodes = 1
device = { per_node = 2, flops = { f32 = 1e12 }, memory = 16e9, memory_bandwidth = 50e9 }
node = { bandwidth = 10e9 }
software = { name = \"Glass\", efficiency = 0.7 }
";

/// Wrong usage: status 2. Failure: status 1.
pub const CASES: &[(&str, &[Case])] = &[
    (
        "The command line",
        &[
            case("an unknown option", &["weights", "gpt2", "--jsn"], 2),
            case("an unknown command", &["wieghts"], 2),
            case("a missing subcommand", &["tokenizer"], 2),
            case("missing arguments", &["tokenizer", "learn"], 2),
            case("a word instead of a number", &["weights", "gpt2", "--context", "many"], 2),
            case("no threads", &["generate", "-m", "m", "--threads", "0", "The"], 2),
        ],
    ),
    (
        "Adapters",
        &[
            case("no model", &["train", "--lora", "4", "--data", "book.txt", "--out", "x"], 2),
            case(
                "a rank of 0",
                &["train", "--from", "m", "--lora", "0", "--data", "book.txt", "--out", "x"],
                2,
            ),
            case(
                "matrices that do not exist",
                &[
                    "train",
                    "--from",
                    "m",
                    "--lora",
                    "2",
                    "--lora-on",
                    "q_proj",
                    "--data",
                    "book.txt",
                    "--out",
                    "x",
                ],
                2,
            ),
            case(
                "a gate that the model does not have",
                &[
                    "train",
                    "--from",
                    "m",
                    "--lora",
                    "2",
                    "--lora-on",
                    "gate",
                    "--data",
                    "book.txt",
                    "--out",
                    "x",
                ],
                2,
            ),
            case("an adapter without a name", &["serve", "m", "--adapter", "tuned/poet", "--port", "0"], 2),
            case("an adapter that is none", &["serve", "m", "--adapter", "poet=m", "--port", "0"], 1),
        ],
    ),
    (
        "Serving",
        &[
            case("another address without a key", &["serve", "--host", "0.0.0.0", "--port", "0"], 2),
            case("an address that is none", &["serve", "--host", "no where", "--port", "0"], 2),
            case(
                "an address of another machine",
                &["serve", "--host", "192.0.2.1", "--api-key", "k", "--port", "0"],
                2,
            ),
            case("an origin with a path", &["serve", "--cors", "https://example.org/page", "--port", "0"], 2),
            case("a key with a space", &["serve", "--api-key", "a b", "--port", "0"], 2),
            case("a file without keys", &["serve", "--api-keys", "empty.txt", "--port", "0"], 2),
            case("a certificate without its key", &["serve", "--tls-cert", "book.txt", "--port", "0"], 2),
            case(
                "a certificate that is none",
                &["serve", "--tls-cert", "book.txt", "--tls-key", "book.txt", "--port", "0"],
                1,
            ),
            case("a model that does not exist", &["serve", "nowhere", "--port", "0"], 2),
        ],
    ),
    (
        "Tokens",
        &[
            case("an id outside the vocabulary", &["tokens", "--vocab", "gpt2", "--decode", "50257"], 2),
            case("something that is not an id", &["tokens", "--vocab", "gpt2", "--decode", "12,x"], 2),
            case("a word too long to be shown", &["tokens", "--vocab", "gpt2", "--merges", ENDLESS], 2),
            case("a vocabulary that does not exist", &["tokens", "--vocab", "gpt9", "Hello"], 2),
            case("a vocabulary that is not JSON", &["tokens", "--vocab", "book.txt", "Hello"], 1),
            case("a folder without a vocabulary", &["tokens", "--vocab", "folder", "Hello"], 1),
            case("merges without their tokens", &["tokens", "--vocab", "half/merges.txt", "Hello"], 1),
            case("a rank file with a wrong line", &["tokens", "--vocab", "broken.tiktoken", "Hello"], 1),
            case("a rank file of another split", &["tokens", "--vocab", "other.tiktoken", "Hello"], 1),
            case("a report on an empty file", &["tokenizer", "report", "empty.txt"], 1),
            case(
                "a report by a vocabulary that does not exist",
                &["tokenizer", "report", "--vocab", "gpt9", "book.txt"],
                2,
            ),
            case("a vocabulary of another kind", &["tokens", "--vocab", "wordpiece.json", "Hello"], 1),
            case(
                "a vocabulary too small to learn",
                &["tokenizer", "learn", "--vocab", "100", "--out", "t", "book.txt"],
                2,
            ),
            case(
                "too little memory",
                &["tokenizer", "learn", "--vocab", "300", "--memory", "1k", "--out", "t", "book.txt"],
                2,
            ),
            case(
                "something that is not a size",
                &["tokenizer", "learn", "--vocab", "300", "--memory", "much", "--out", "t", "book.txt"],
                2,
            ),
            case("a missing file", &["tokenizer", "learn", "--vocab", "300", "--out", "t", "none.txt"], 1),
            case("an empty file", &["tokenizer", "learn", "--vocab", "300", "--out", "t", "empty.txt"], 1),
            case(
                "a folder without text",
                &["tokenizer", "learn", "--vocab", "300", "--out", "t", "folder"],
                1,
            ),
            case(
                "a result that exists already",
                &["tokenizer", "learn", "--vocab", "300", "--out", "m", "book.txt"],
                2,
            ),
            case("a full disk", &["tokenizer", "learn", "--vocab", "300", "--out", "full", "book.txt"], 1),
        ],
    ),
    (
        "Plans for many machines",
        &[
            case("a file that does not exist", &["plan", "gpt2", "--machines", "none.toml"], 2),
            case("a file that is not TOML", &["plan", "gpt2", "--machines", "book.txt"], 1),
            case("a misspelled name", &["plan", "gpt2", "--machines", "misspelled.toml"], 1),
            case("a negative number", &["plan", "gpt2", "--machines", "negative.toml"], 1),
            case("nodes without a network", &["plan", "gpt2", "--machines", "m.toml", "--nodes", "2"], 1),
            case(
                "a precision of which nothing is said",
                &["plan", "gpt2", "--machines", "m.toml", "--precision", "mixed"],
                2,
            ),
            case(
                "heads that cannot be divided",
                &["plan", "gpt2", "--machines", "m.toml", "--tensor", "5"],
                2,
            ),
            case("a model that does not fit", &["plan", "gpt3-175b", "--machines", "m.toml"], 2),
        ],
    ),
    (
        "Models",
        &[
            case("a model that does not exist", &["weights", "gpt5"], 2),
            case("a context longer than the model's", &["weights", "gpt2", "--context", "4096"], 2),
            case("a preset where weights are needed", &["generate", "-m", "gpt2", "The"], 2),
            case("a file that is not a checkpoint", &["weights", "book.txt"], 1),
            case("a checkpoint that would run code", &["generate", "-m", "runs.pt", "The"], 1),
            case("a checkpoint of an old PyTorch", &["weights", "old.pt"], 1),
            case("a truncated .bin", &["weights", "short.bin"], 1),
            case("a text for a checkpoint without a vocabulary", &["generate", "-m", "f32.bin", "The"], 2),
            case("an empty folder", &["weights", "folder"], 1),
            case("truncated weights", &["generate", "-m", "truncated", "The"], 1),
            case("empty weights", &["generate", "-m", "hollow", "The"], 1),
            case("wrong shapes", &["generate", "-m", "misshapen", "The"], 1),
            case("a missing block", &["generate", "-m", "shortened", "The"], 1),
            case("another architecture", &["weights", "llama"], 1),
            case("a config that is not JSON", &["weights", "scribbled"], 1),
            case("a tokenizer of another model", &["generate", "-m", "mismatched", "The"], 1),
            case("a text for a model without a tokenizer", &["generate", "-m", "mute", "The"], 2),
        ],
    ),
    (
        "Fetching",
        &[
            case("a name without an owner", &["fetch", "gpt2"], 2),
            case("no such repository", &["fetch", "me/nothing"], 1),
            case("a private repository", &["fetch", "me/private"], 1),
            case("a gated repository", &["fetch", "me/gated"], 1),
            case("no model", &["fetch", "me/notes"], 1),
            case("several files that are each a model", &["fetch", "me/several"], 2),
            case("no such file", &["fetch", "me/several", "--file", "tiny-q5.gguf"], 2),
            case("a file of another size", &["fetch", "me/cut"], 1),
            case("a file of another content", &["fetch", "me/changed"], 1),
            case("too many requests", &["fetch", "me/busy"], 1),
            case("a model that was not fetched", &["generate", "-m", "me/mine", "The"], 2),
        ],
    ),
    (
        "Generating",
        &[
            case("temperature -1", &["generate", "-m", "m", "--temperature", "-1", "The"], 2),
            case("temperature NaN", &["generate", "-m", "m", "--temperature", "NaN", "The"], 2),
            case("temperature 3", &["generate", "-m", "m", "--temperature", "3", "The"], 2),
            case("top-p 1.5", &["generate", "-m", "m", "--top-p", "1.5", "The"], 2),
            case("a bias without a number", &["generate", "-m", "m", "--logit-bias", "5", "The"], 2),
            case(
                "a bias outside the vocabulary",
                &["generate", "-m", "m", "--logit-bias", "5000=1", "The"],
                2,
            ),
            case("top-k -1", &["generate", "-m", "m", "--top-k", "-1", "The"], 2),
            case("no tokens", &["generate", "-m", "m", "--tokens", "0", "The"], 2),
            case("a prompt longer than the context", &["generate", "-m", "m", LONG], 2),
            case("an id outside the vocabulary", &["generate", "-m", "m", "--ids", "5,300"], 2),
        ],
    ),
    (
        "Chatting",
        &[
            case(
                "a system prompt longer than the context",
                &["chat", "-m", "m", "--system", LONG, "--once", "Hi"],
                2,
            ),
            case("a question longer than the context", &["chat", "-m", "m", "--once", LONG], 2),
            case(
                "an answer longer than the context",
                &["chat", "-m", "m", "--tokens", "600", "--once", "Hi"],
                2,
            ),
            case("no answer", &["chat", "-m", "m", "--tokens", "0", "--once", "Hi"], 2),
            case("an empty question", &["chat", "-m", "m", "--once", ""], 2),
            case("a model without a chat template", &["chat", "-m", "untuned", "--once", "Hi"], 2),
        ],
    ),
    (
        "Looking inside",
        &[
            case("nothing", &["look", "-m", "m"], 2),
            case("an empty text", &["look", "-m", "m", ""], 2),
            case("a text longer than the context", &["look", "-m", "m", ENDLESS], 2),
            case("a next token that is several tokens", &["look", "-m", "m", "The dog", "--next", "xyz"], 2),
            case("no such part", &["look", "-m", "m", "The dog", "--ablate", "block.0.head.1"], 2),
            case("no such head", &["look", "-m", "m", "The dog", "--ablate", "block.0.attention.head.7"], 2),
            case("no such position", &["look", "-m", "m", "The dog", "--ablate", "block.0.mlp@90"], 2),
            case("no such edge", &["look", "-m", "m", "The dog", "--cut", "1:0"], 2),
            case(
                "a cut in a block that does not exist",
                &["look", "-m", "m", "The dog", "--cut", "block.4@0:1"],
                2,
            ),
            case(
                "a steering argument in a wrong form",
                &["look", "-m", "m", "The dog", "--steer", "0:happy"],
                2,
            ),
            case(
                "a patch from a longer text",
                &[
                    "look",
                    "-m",
                    "m",
                    "The dog",
                    "--patch",
                    "block.0.mlp.out",
                    "--from",
                    "The dog found a ball",
                ],
                2,
            ),
            case("no such site", &["look", "-m", "m", "The dog", "--record", "block.0.mpl", "--out", "f"], 2),
            case(
                "no such block",
                &["look", "-m", "m", "The dog", "--record", "block.9.mlp.out", "--out", "f"],
                2,
            ),
            case(
                "a head to draw that does not exist",
                &["look", "-m", "m", "The dog", "--svg", "f.svg", "--head", "5"],
                2,
            ),
            case("a head to draw without a picture", &["look", "-m", "m", "The dog", "--head", "0.1"], 2),
            case("a picture of an unknown kind", &["look", "-m", "m", "The dog", "--png", "f.jpg"], 2),
            case(
                "a position to hide that does not exist",
                &["look", "-m", "m", "The dog", "--cut", "1:90"],
                2,
            ),
            case("two results at once", &["look", "-m", "m", "--circuits", "0.1", "--heads"], 2),
            case("a sweep without a second text", &["look", "-m", "m", "The dog", "--sweep", "heads"], 2),
            case("a word without a question", &["look", "-m", "m", "The dog", "--word", "dog"], 2),
            case(
                "a word that is not in the text",
                &["look", "-m", "m", "The dog", "--word", "cat", "--of", "The"],
                2,
            ),
            case(
                "a word that comes later in the text",
                &["look", "-m", "m", "The dog", "--word", "The", "--of", "dog"],
                2,
            ),
            case("no such circuit", &["look", "-m", "m", "--circuits", "0.9"], 2),
            case("a neuron without texts", &["look", "-m", "m", "--neuron", "0.1"], 2),
            case("texts that nothing reads", &["look", "-m", "m", "The dog", "--data", "book.txt"], 2),
            case("a lens of no texts", &["look", "-m", "m", "--fit-lens"], 2),
            case(
                "a lens that would have no position",
                &["look", "-m", "m", "--fit-lens", "--data", "book.txt", "--tokens", "9"],
                2,
            ),
            case("a lens that is not there", &["look", "-m", "m", "The dog", "--lens", "jacobian"], 2),
            case("a lens that is no file", &["look", "-m", "m", "The dog", "--lens", "none.safetensors"], 2),
            case("a folder without a training run", &["look", "--train", "folder"], 2),
        ],
    ),
    (
        "Scoring",
        &[
            case("nothing", &["score", "-m", "m"], 2),
            case("an empty text", &["score", "-m", "m", ""], 2),
            case("an id outside the vocabulary", &["score", "-m", "m", "--ids", "5,300"], 2),
            case("a missing file", &["score", "-m", "m", "--file", "none.txt"], 1),
            case("an empty file", &["score", "-m", "m", "--file", "empty.txt"], 1),
            case("a folder instead of a file", &["score", "-m", "m", "--file", "folder"], 1),
            case("text that is not UTF-8", &["score", "-m", "m", "--file", "latin1.txt"], 1),
            case(
                "a comparison with a model of another vocabulary",
                &["score", "--against", "m", "The dog"],
                2,
            ),
            case("a line that is not a task", &["score", "-m", "m", "--tasks", "talk.jsonl"], 1),
            case("no tasks", &["score", "-m", "m", "--tasks", "empty.txt"], 1),
            case("a folder instead of tasks", &["score", "-m", "m", "--tasks", "folder"], 1),
            case(
                "an answer that is not among the choices",
                &["score", "-m", "m", "--tasks", "gold.jsonl"],
                1,
            ),
            case(
                "a continuation longer than the context",
                &["score", "-m", "m", "--tasks", "endless.jsonl"],
                1,
            ),
        ],
    ),
    (
        "Packing",
        &[
            case("no --to", &["quantise", "m", "--out", "p"], 2),
            case("an unknown number of bits", &["quantise", "m", "--to", "q5", "--out", "p"], 2),
            case("a preset", &["quantise", "gpt2", "--to", "q8", "--out", "p"], 2),
            case("an output folder that holds a model", &["quantise", "m", "--to", "q8", "--out", "m"], 2),
            case("a model that is packed already", &["quantise", "packed", "--to", "q4", "--out", "p"], 2),
            case("packed weights of a wrong shape", &["generate", "-m", "mispacked", "The"], 1),
            case("a width that GGUF cannot pack", &["quantise", "m", "--to", "q8", "--out", "p.gguf"], 2),
            case("an output file that exists", &["convert", "m", "book.txt"], 2),
            case("weights to keep that are not quantised", &["convert", "m", "p", "--packed"], 2),
            case("a packed model in a .gguf", &["convert", "packed", "p.gguf", "--packed"], 2),
            case("a matrix without a packing", &["generate", "-m", "unsaid", "The"], 1),
            case("a matrix in a packing that is unknown", &["generate", "-m", "missaid", "The"], 1),
            case("a truncated .gguf", &["generate", "-m", "short.gguf", "The"], 1),
            case("a packing for a model that is packed already", &["verify", "packed", "--packing", "q4"], 2),
            case("a model to verify that does not exist", &["verify", "nowhere"], 2),
            case("a prompt of no tokens", &["bench", "m", "--tokens", "0"], 2),
            case("a batch of 0", &["generate", "-m", "m", "--batch", "0", "The"], 2),
            case("too many guessed tokens", &["generate", "-m", "m", "--lookup", "64", "The"], 2),
            case("a draft that does not exist", &["generate", "-m", "m", "--draft", "nowhere", "The"], 2),
            case("a folder without a draft or a model", &["generate", "-m", "m", "--draft", ".", "The"], 1),
            case("a draft that is none", &["generate", "-m", "m", "--draft", "book.txt", "The"], 1),
            case(
                "a draft for a preset",
                &["train", "--draft-for", "gpt2", "--data", "book.txt", "--out", "d"],
                2,
            ),
            case(
                "no time for a draft",
                &["train", "--draft-for", "m", "--data", "book.txt", "--out", "d", "--minutes", "0"],
                2,
            ),
            case(
                "a draft to make from another start",
                &["train", "--draft-for", "m", "--from", "m", "--data", "book.txt", "--out", "d"],
                2,
            ),
        ],
    ),
    (
        "Pages",
        &[
            case("no --out for a page", &["page", "m"], 2),
            case("a model for a page that does not exist", &["page", "nowhere", "--out", "p.html"], 2),
            case("a page of a preset", &["page", "gpt2", "--out", "p.html"], 2),
            case("a page in the place of another file", &["page", "m", "--out", "book.txt"], 2),
            case("a page in a folder that does not exist", &["page", "m", "--out", "none/p.html"], 1),
            case("a page of a packed model of a wrong shape", &["page", "mispacked", "--out", "p.html"], 1),
        ],
    ),
    (
        "Training",
        &[
            case("no data", &["train", "--out", "r"], 2),
            case("a missing file", &["train", "--data", "none.txt", "--out", "r"], 1),
            case("an empty file", &["train", "--data", "empty.txt", "--out", "r"], 1),
            case(
                "an unknown precision",
                &["train", "--data", "book.txt", "--precision", "half", "--out", "r"],
                2,
            ),
            case(
                "a text shorter than one window",
                &["train", "--data", "short.txt", "--context", "1024", "--out", "r"],
                1,
            ),
            case("text that is not UTF-8", &["train", "--data", "latin1.txt", "--out", "r"], 1),
            case(
                "a vocabulary too small",
                &["train", "--data", "book.txt", "--vocab", "200", "--out", "r"],
                2,
            ),
            case(
                "a vocabulary smaller than the tokenizer",
                &["train", "--data", "book.txt", "--tokenizer", "gpt2", "--vocab", "1000", "--out", "r"],
                2,
            ),
            case(
                "heads that do not divide the width",
                &["train", "--data", "book.txt", "--width", "100", "--heads", "3", "--out", "r"],
                2,
            ),
            case("a learning rate of 0", &["train", "--data", "book.txt", "--lr", "0", "--out", "r"], 2),
            case("dropout of 1", &["train", "--data", "book.txt", "--dropout", "1", "--out", "r"], 2),
            case(
                "more warm-up than steps",
                &[
                    "train", "--data", "book.txt", "--steps", "5", "--warmup", "10", "--vocab", "300",
                    "--out", "r",
                ],
                2,
            ),
            case("an absurd size", &["train", "--data", "book.txt", "--layers", "1000000", "--out", "r"], 2),
            case(
                "training data that is all in the validation set",
                &["train", "--data", "book.txt", "--val", "copy.txt", "--vocab", "300", "--out", "r"],
                1,
            ),
            case(
                "shards of conversations",
                &["train", "--chat", "talk.jsonl", "--shards", "s", "--out", "r"],
                2,
            ),
            case("JSON without the field", &["train", "--data", "talk.jsonl", "--out", "r"], 1),
            case("a broken line of JSON", &["train", "--data", "broken.jsonl", "--out", "r"], 1),
            case("standard input to learn from", &["train", "--data", "-", "--out", "r"], 2),
            case("a misspelt role", &["train", "--chat", "misspelt.jsonl", "--out", "r"], 1),
            case("a text instead of conversations", &["train", "--chat", "book.txt", "--out", "r"], 1),
            case(
                "shards of half an id",
                &["train", "--data", "odd.bin", "--bin", "u16", "--vocab", "300", "--out", "r"],
                1,
            ),
            case(
                "an id outside the vocabulary",
                &["train", "--data", "even.bin", "--bin", "u16", "--vocab", "300", "--out", "r"],
                1,
            ),
            case(
                "shards of an unknown vocabulary",
                &["train", "--data", "even.bin", "--bin", "u16", "--out", "r"],
                2,
            ),
            case(
                "shards without a known width",
                &["train", "--data", "even.bin", "--vocab", "300", "--out", "r"],
                2,
            ),
            case(
                "shards shorter than their header says",
                &["train", "--data", "less.bin", "--vocab", "300", "--out", "r"],
                1,
            ),
            case(
                "a checkpoint instead of shards",
                &["train", "--data", "f32.bin", "--vocab", "300", "--out", "r"],
                1,
            ),
            case(
                "a folder that holds a model",
                &["train", "--data", "book.txt", "--vocab", "300", "--out", "m"],
                2,
            ),
            case("nothing to resume", &["train", "--data", "book.txt", "--resume", "--out", "r"], 2),
            case("no such preset", &["train", "--data", "book.txt", "--preset", "gpt5", "--out", "r"], 2),
        ],
    ),
];

/// Longer than 48 tokens of any vocabulary of 300.
pub const LONG: &str =
    "Zq1 Zq2 Zq3 Zq4 Zq5 Zq6 Zq7 Zq8 Zq9 Xw1 Xw2 Xw3 Xw4 Xw5 Xw6 Xw7 Xw8 Xw9 Yv1 Yv2 Yv3 Yv4 Yv5";

/// Creates the files that the cases name.
pub fn put_files(folder: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    write("book.txt", book().as_bytes());
    write("copy.txt", book().as_bytes());
    write("short.txt", b"Too short.");
    write("empty.txt", b"");
    write("latin1.txt", b"Caf\xe9 is not UTF-8.\n");
    write("talk.jsonl", TALK.as_bytes());
    write("broken.jsonl", b"{\"text\":\"fine\"}\n{\"text\":\n");
    write("gold.jsonl", b"{\"query\":\"The\",\"choices\":[\"dog\",\"ball\"],\"gold\":2}\n");
    let endless = format!("{{\"context\":\"The\",\"continuation\":\"{LONG}\"}}\n");
    write("endless.jsonl", endless.as_bytes());
    write("odd.bin", &[1, 0, 2]);
    write("even.bin", &[1, 0, 255, 255]);
    write("wordpiece.json", br###"{"model":{"type":"WordPiece","vocab":{"[UNK]":0},"unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100}}"###);
    fs::create_dir(folder.join("folder")).unwrap();
    fs::create_dir(folder.join("full")).unwrap();
    #[cfg(target_os = "linux")]
    std::os::unix::fs::symlink("/dev/full", folder.join("full/.tokenizer.json.part")).unwrap();
    let ranks: String =
        ["Ow==", "Cg==", "OwoK"].iter().zip(0..).map(|(token, rank)| format!("{token} {rank}\n")).collect();
    write("other.tiktoken", ranks.as_bytes());
    write("broken.tiktoken", b"Ow== 0\n;\n");
    fs::create_dir(folder.join("half")).unwrap();
    write("half/merges.txt", "Ġ t\n".as_bytes());
    let mut less = [20_240_520u32, 1, 3].map(u32::to_le_bytes).concat();
    less.resize(1024 + 2, 0);
    write("less.bin", &less);
    write("m.toml", MACHINES.as_bytes());
    write("misspelled.toml", MACHINES.replace("efficiency", "eficiency").as_bytes());
    write("negative.toml", MACHINES.replace("16e9", "-16e9").as_bytes());
    put_checkpoints(folder);
    put_models(folder);
}

/// Checkpoints from the library's tests.
fn put_checkpoints(folder: &Path) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../glass/tests/golden/checkpoints");
    for name in ["runs.pt", "old.pt", "f32.bin"] {
        fs::copy(golden.join(name), folder.join(name)).unwrap();
    }
    fs::write(folder.join("short.bin"), &fs::read(golden.join("f32.bin")).unwrap()[..5000]).unwrap();
}

/// The tiny model, and damaged copies of it.
fn put_models(folder: &Path) {
    put_model(folder, "m");
    let weights = |name: &str| put_model(folder, name).join("model.safetensors");
    let file = weights("truncated");
    let bytes = fs::read(&file).unwrap();
    fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    fs::write(weights("hollow"), b"").unwrap();
    let replace = |name: &str, from: &str, to: &str| {
        let file = put_model(folder, name).join("config.json");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(file, text.replace(from, to)).unwrap();
    };
    let whole = glass(folder, &["convert", "m", "whole.gguf"], b"");
    assert_eq!(whole.status, 0, "{}", whole.stderr);
    let bytes = fs::read(folder.join("whole.gguf")).unwrap();
    fs::write(folder.join("short.gguf"), &bytes[..bytes.len() / 2]).unwrap();
    for name in ["packed", "mispacked", "unsaid", "missaid"] {
        let packed = glass(folder, &["quantise", "m", "--to", "q8", "--out", name], b"");
        assert_eq!(packed.status, 0, "{}", packed.stderr);
    }
    let [embedding, query] = ["embedding.token.weight", "block.0.attention.query.weight"];
    for (name, packing) in [
        ("mispacked", "\"q4\"".to_string()),
        ("unsaid", format!("{{\"{embedding}\": \"q8\"}}")),
        ("missaid", format!("{{\"{embedding}\": \"q8\", \"{query}\": \"q9\"}}")),
    ] {
        let file = folder.join(name).join("config.json");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, text.replace("\"packing\": \"q8\"", &format!("\"packing\": {packing}"))).unwrap();
    }
    replace("misshapen", "\"n_positions\": 48", "\"n_positions\": 64");
    replace("shortened", "\"n_layer\": 1", "\"n_layer\": 2");
    replace("llama", "\"model_type\": \"gpt2\"", "\"model_type\": \"mamba\"");
    fs::write(put_model(folder, "scribbled").join("config.json"), b"{n_layer: 1}").unwrap();
    fs::remove_file(put_model(folder, "mute").join("tokenizer.json")).unwrap();
    let line = "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"asistant\",\"content\":\"Ho\"}]}\n";
    fs::write(folder.join("misspelt.jsonl"), line).unwrap();
    fs::remove_file(put_model(folder, "untuned").join("chat_template.jinja")).unwrap();
    let file = put_model(folder, "mismatched").join("tokenizer.json");
    let mut tokenizer: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let mut more = tokenizer["added_tokens"][0].clone();
    (more["id"], more["content"]) = (5000.into(), "<|more|>".into());
    tokenizer["added_tokens"].as_array_mut().unwrap().push(more);
    fs::write(file, tokenizer.to_string()).unwrap();
}
