//! `glass` without arguments: what it is, how a text flows through it, and what to try.

use std::io::Write as _;

use crate::fail::Fail;
use crate::out::Out;

const FLOW: [&str; 4] = [
    "  text ─ tokens ─▶ embedding ─▶ ┌ block × N ─────────────────┐ ─▶ unembedding ─▶ next token ─▶ text",
    "                                │ x += attention(norm x)     │",
    "                                │ x += mlp(norm x)           │",
    "                                └────────────────────────────┘",
];

/// The same from top to bottom, for a narrow terminal.
const FLOW_DOWN: [&str; 6] = [
    "  text ─▶ tokens ─▶ embedding",
    "    ┌ block × N ────────────────┐",
    "  ─▶│ x += attention(norm x)    │",
    "    │ x += mlp(norm x)          │",
    "    └───────────────────────────┘",
    "  ─▶ unembedding ─▶ next token ─▶ text",
];

const NEXT: [(&str, &str); 7] = [
    ("glass chat", "talk to the small built-in model"),
    ("glass serve", "the same in a browser, and for clients of OpenAI's API"),
    ("glass look \"The dog lost the ball. The sad\"", "see what happens inside it"),
    ("glass train --data sample --out first", "train your own on a built-in text (2 min)"),
    ("glass tokens --vocab gpt2 \"Hello, world\"", "text as a model sees it"),
    ("glass weights gpt3-175b", "where 175 billion weights are"),
    ("glass help", "all commands; glass help train: one of them"),
];

/// The minimum width at which a command and its meaning are on one line.
const WIDE: usize = 100;

/// Prints a few lines on standard output.
pub fn show() -> Result<(), Fail> {
    let mut out = Out::new();
    let is_wide = out.columns() >= WIDE;
    writeln!(out, "{}: a GPT you can see through.\n", out.bold("glass"))?;
    let flow: &[&str] = if is_wide { &FLOW } else { &FLOW_DOWN };
    writeln!(out, "{}\n\nTry next:", flow.join("\n"))?;
    for (command, meaning) in NEXT {
        match is_wide {
            true => writeln!(out, "  {command:<45} {}", out.dim(meaning))?,
            false => writeln!(out, "  {command}\n      {}", out.dim(meaning))?,
        }
    }
    out.done()
}
