//! `glass` alone: what this is, how it flows, what to type next.

use std::io::Write as _;

use crate::fail::Fail;
use crate::out::Out;

const FLOW: [&str; 4] = [
    "  text ─ tokens ─▶ embedding ─▶ ┌ block × N ─────────────────┐ ─▶ unembedding ─▶ next token ─▶ text",
    "                                │ x += attention(norm x)     │",
    "                                │ x += mlp(norm x)           │",
    "                                └────────────────────────────┘",
];

const NEXT: [(&str, &str); 5] = [
    ("glass tokens --vocab gpt2 \"Hello, world\"", "text as a model sees it"),
    ("glass weights gpt3-175b", "where 175 billion weights are"),
    ("glass chat", "talk to the small model inside"),
    ("glass train --data book.txt --out mine", "one of your own"),
    ("glass --help", "everything else"),
];

/// A few lines on standard output.
pub fn show() -> Result<(), Fail> {
    let mut out = Out::new();
    writeln!(out, "{}: a GPT you can see through.\n", out.bold("glass"))?;
    writeln!(out, "{}\n", FLOW.join("\n"))?;
    writeln!(out, "Type next:")?;
    for (command, what) in NEXT {
        writeln!(out, "  {:<42} {}", command, out.dim(what))?;
    }
    out.done()
}
