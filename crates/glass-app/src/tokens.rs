//! `glass tokens`: text to tokens and back.

mod merges;

use std::io::Write as _;

use glass::tokens::{Special, Tokenizer};
use serde_json::json;

use crate::args::TokensArgs;
use crate::draw::columns::fit;
use crate::fail::Fail;
use crate::out::{Out, number};
use crate::{input, model_arg};

/// Cuts, or joins, and shows.
pub fn run(args: &TokensArgs) -> Result<(), Fail> {
    let tokenizer = match &args.vocab {
        Some(vocabulary) => model_arg::vocabulary("--vocab", vocabulary)?,
        None => model_arg::tokenizer(args.model.as_deref())?,
    };
    let mut out = Out::new();
    match (&args.decode, &args.text) {
        (Some(ids), _) => decode(&mut out, args, &tokenizer, &input::ids("--decode", ids)?)?,
        (None, text) => {
            encode(&mut out, args, &tokenizer, &input::text(text.as_deref().unwrap_or_default())?)?
        }
    }
    out.done()
}

fn decode(out: &mut Out, args: &TokensArgs, tokenizer: &Tokenizer, ids: &[u32]) -> Result<(), Fail> {
    let bytes = tokenizer.decode(ids)?;
    if args.json {
        return out.json(&json!({"text": lossy(&bytes), "bytes": bytes, "count": ids.len()}));
    }
    out.write_all(&bytes)?;
    // A pipe gets exactly the bytes.
    if out.is_terminal() {
        writeln!(out)?;
    }
    Ok(())
}

fn encode(out: &mut Out, args: &TokensArgs, tokenizer: &Tokenizer, text: &[u8]) -> Result<(), Fail> {
    let special = if args.special { Special::Allowed } else { Special::Plain };
    if args.merges {
        merges::short(tokenizer, text, special)?;
    }
    let ids = tokenizer.encode_parallel(text, special);
    let bytes = |id: u32| tokenizer.token(id).unwrap_or_default();
    if args.json {
        let tokens: Vec<_> =
            ids.iter().map(|&id| json!({"id": id, "text": lossy(bytes(id)), "bytes": bytes(id)})).collect();
        let mut document = json!({"tokens": tokens, "count": ids.len()});
        if args.merges {
            document["merges"] = merges::json(tokenizer, text, special);
        }
        return out.json(&document);
    }
    if args.merges {
        return merges::show(out, tokenizer, text, special);
    }
    writeln!(out, "{}", out.bold(&format!("{:>7}  {:<24} bytes", "id", "piece")))?;
    for &id in &ids {
        let hex: Vec<String> = bytes(id).iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "{id:>7}  {} {}", fit(&quoted(bytes(id)), 24), out.dim(&hex.join(" ")))?;
    }
    let (count, length) = (ids.len() as u64, text.len() as u64);
    write!(out, "{} tokens, {} bytes", number(count), number(length))?;
    match ids.is_empty() {
        true => writeln!(out)?,
        false => writeln!(out, ", {:.2} bytes per token", length as f64 / count as f64)?,
    }
    Ok(())
}

/// Bytes as characters, where they are some.
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes between quotes, on one line: `" world\n"`; what is no character as `\xE2`.
pub fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", escaped(bytes))
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // A quote or an accent is shown as it is; what would move the cursor is escaped.
            match c {
                '\n' | '\r' | '\t' | '\\' => text.extend(c.escape_default()),
                c if c.is_control() => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02X}")));
    }
    text
}

/// What [`visible`] stands for.
pub const VISIBLE: &str = "␣ is a space, ↵ a new line, ⇥ a tab, \\xE6 a byte that is no whole character";

/// Bytes without quotes, on one line, their spaces visible: `␣world↵`.
pub fn visible(bytes: &[u8]) -> String {
    escaped(bytes).replace("\\n", "↵").replace("\\t", "⇥").replace(' ', "␣")
}
