//! Parts of a model by themselves: what its heads do, what one is made to do, where a neuron fires.

use std::io::Write as _;
use std::path::Path;

use glass::inspect::Inspector;
use glass::inspect::circuits::{self, Pair};
use glass::inspect::heads;
use glass::inspect::neurons::{Firing, Firings};
use glass::tokens::Special;
use glass::train::data::Reading;
use glass::train::pieces::{Pieces, Sizes};
use serde_json::json;

use crate::args::LookArgs;
use crate::draw::columns::{bar, fit};
use crate::fail::Fail;
use crate::model_arg::Model;
use crate::out::{Out, number};
use crate::progress::Line;
use crate::tokens::{lossy, visible};

/// Columns of a token, and of a bar.
const PIECE: usize = 18;
const BAR: usize = 20;

/// What every head does on a text.
pub fn heads(args: &LookArgs, model: &Model, ids: &[u32]) -> Result<(), Fail> {
    let found = heads::heads(&mut Inspector::new(model, ids.len(), 1)?, ids)?;
    let mut out = Out::new();
    if args.json {
        out.json(&json!({"heads": found}))?;
        return out.done();
    }
    let columns = ["previous", "first", "same token", "induction", "entropy"];
    let heading: String = columns.iter().map(|column| format!("{column:>12}")).collect();
    writeln!(out, "{}", out.bold(&format!("{:<18}{heading}", "head")))?;
    for (layer, heads) in found.iter().enumerate() {
        for (number, head) in heads.iter().enumerate() {
            let shares = [head.previous, head.first, head.duplicate, head.induction];
            let shares: String = shares.iter().map(|share| format!("{:>10.1} %", 100.0 * share)).collect();
            writeln!(out, "{:<18}{shares}{:>12.2}", format!("block {layer} head {number}"), head.entropy)?;
        }
    }
    let explained = "shares of attention, averaged over the positions that have such a place to look at: the position before, the \
                     first, the same token before, and what came behind it; entropy in nats";
    writeln!(out, "{}", out.dim(explained))?;
    out.done()
}

/// What a head is made to do.
pub fn circuits(args: &LookArgs, model: &Model, head: &str) -> Result<(), Fail> {
    let config = model.config();
    let (layer, head) = two_numbers("--circuits", head, "BLOCK.HEAD", [config.layers, config.heads.query])?;
    let found = circuits::circuits(&mut Inspector::new(model, 1, 1)?, layer, head, args.top.into())?;
    let mut out = Out::new();
    if args.json {
        let token = |id: u32| json!({"id": id, "text": lossy(model.bytes(id))});
        let pair =
            |pair: &Pair| json!({"from": token(pair.from), "to": token(pair.to), "strength": pair.strength});
        let list = |pairs: &[Pair]| pairs.iter().map(pair).collect::<Vec<_>>();
        out.json(&json!({"looks": list(&found.looks), "says": list(&found.says)}))?;
        return out.done();
    }
    let name = format!("block {layer} head {head}");
    let looks =
        ("looks", "which token looks at which, most strongly, by queries and keys", "looks at", &found.looks);
    let says = (
        "says",
        "and what it says of a token that it finds, by values and the unembedding",
        "calls for",
        &found.says,
    );
    for (title, explained, verb, pairs) in [looks, says] {
        writeln!(out, "{}  {}", out.bold(&format!("{name} {title}")), out.dim(explained))?;
        let most = pairs.first().map_or(1.0, |pair| f64::from(pair.strength));
        for Pair { from, to, strength } in pairs {
            let piece = |id: &u32| fit(&visible(model.bytes(*id)), PIECE);
            let bar = bar(f64::from(*strength) / most, BAR);
            let line = format!("{}{verb}  {}{strength:7.2}  {bar}", piece(from), piece(to));
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    let explained =
        "tokens as the block's norm makes them of their vectors alone, without positions and other blocks";
    writeln!(out, "{}", out.dim(explained))?;
    out.done()
}

/// Where a neuron fires the most.
pub fn neuron(args: &LookArgs, model: &Model, neuron: &str, data: &Path) -> Result<(), Fail> {
    let config = model.config();
    let (layer, neuron) = two_numbers("--neuron", neuron, "BLOCK.NEURON", [config.layers, config.hidden])?;
    let tokenizer = model.tokenizer()?;
    let mut inspector = Inspector::new(model, config.context.min(512), 1)?;
    let mut firings = Firings::new(layer, neuron, args.top.into());
    let (mut line, mut tokens) = (Line::default(), 0);
    for piece in Pieces::of_files(&[data.into()], &Reading::default(), Sizes::default()) {
        let ids = tokenizer.encode_bytes(&piece?.text, Special::Plain);
        if !ids.is_empty() {
            firings.read(&mut inspector, &ids)?;
            tokens += ids.len();
            let rate = tokens as f64 / line.seconds().max(1e-3);
            line.show(&format!("{} tokens read, {rate:.0} tokens/s", number(tokens as u64)));
        }
    }
    line.end();
    let split = |firing: &Firing| {
        let text = |ids: &[u32]| ids.iter().flat_map(|&id| model.bytes(id)).copied().collect::<Vec<u8>>();
        let (before, last) = firing.ids.split_at(firing.ids.len() - 1);
        (text(before), text(last))
    };
    let mut out = Out::new();
    if args.json {
        let firing = |firing: &Firing| {
            let (before, token) = split(firing);
            json!({"value": firing.value, "text": firing.text, "position": firing.position,
                   "before": lossy(&before), "token": lossy(&token)})
        };
        out.json(&firings.strongest().iter().map(firing).collect::<Vec<_>>())?;
        return out.done();
    }
    let explained = format!("where block {layer} neuron {neuron} fires the most, at most once a text");
    writeln!(out, "{}  {}", out.bold("fires"), out.dim(&explained))?;
    for firing in firings.strongest() {
        let (before, token) = split(firing);
        let line = |bytes: &[u8]| visible(bytes).replace('␣', " ");
        writeln!(
            out,
            "{:7.2}  {}{}",
            firing.value,
            out.dim(&line(&before)),
            out.yellow(&format!("[{}]", line(&token)))
        )?;
    }
    out.done()
}

/// `3.17`
pub fn two_numbers(option: &str, asked: &str, what: &str, most: [usize; 2]) -> Result<(usize, usize), Fail> {
    let numbers = asked.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    numbers.filter(|&(first, second)| first < most[0] && second < most[1]).ok_or_else(|| {
        let [first, second] = most.map(|count| count - 1);
        Fail::asked(format!("{option}: {asked:?} is none; give {what}, from 0.0 to {first}.{second}"))
    })
}
