//! `glass tokens`: text to tokens and back.

mod merges;

use std::io::Write as _;

use glass::tokens::{Special, Tokenizer};
use serde_json::json;

use crate::args::TokensArgs;
use crate::draw::columns::fit;
use crate::fail::Fail;
use crate::out::{Out, count, wrapped};
use crate::printable::{lossy, quoted};
use crate::{input, model_arg};

/// Columns before the bytes of a token.
const ROW: usize = 34;

/// Cuts, or joins, and shows.
pub fn run(args: &TokensArgs) -> Result<(), Fail> {
    let tokenizer = match &args.vocab {
        Some(vocabulary) => model_arg::vocabulary("--vocab", vocabulary)?,
        None => model_arg::tokenizer(args.model.as_deref())?,
    };
    let tokenizer = if args.start.no_start { tokenizer.with_start(&[])? } else { tokenizer };
    let mut out = Out::new();
    match (&args.decode, &args.text) {
        (Some(ids), _) => decode(&mut out, args, &tokenizer, &input::ids("--decode", ids)?)?,
        (None, text) => encode(
            &mut out,
            args,
            &tokenizer,
            &input::text_or_file(text.as_deref(), args.file.as_deref())?.unwrap_or_default(),
        )?,
    }
    out.done()
}

fn decode(out: &mut Out, args: &TokensArgs, tokenizer: &Tokenizer, ids: &[u32]) -> Result<(), Fail> {
    let bytes = tokenizer.decode(ids)?;
    if args.json {
        return out.json(&json!({"text": lossy(&bytes), "bytes": bytes, "count": ids.len()}));
    }
    out.write_all(&bytes)?;
    // A pipe gets exactly these bytes.
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
    model_arg::unknown_bytes(tokenizer, text, special);
    let ids = tokenizer.encode_whole(text, special);
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
        let piece = format!("{id:>7}  {} ", fit(&quoted(bytes(id)), 24));
        let row = wrapped(&format!("{piece}{}", hex.join(" ")), ROW);
        match row.strip_prefix(&piece) {
            Some(hex) => writeln!(out, "{piece}{}", out.dim(hex))?,
            None => writeln!(out, "{row}")?,
        }
    }
    // The tokens around the text, as the start token, stand for none of its bytes.
    let around = tokenizer.start().len() + tokenizer.end().len();
    let own = ids.len().saturating_sub(around);
    let each = match own {
        0 => String::new(),
        own => format!(", {:.2} bytes per token", text.len() as f64 / own as f64),
    };
    let which = if around > 0 && own > 0 { " of the text" } else { "" };
    out.prose(&format!("{}, {}{each}{which}", count(ids.len(), "token"), count(text.len(), "byte")))
}
