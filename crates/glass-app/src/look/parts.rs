//! Parts of a model: what its heads do, what one head does according to its weights, where a neuron is active.

use std::io::Write as _;
use std::path::Path;

use glass::inspect::Inspector;
use glass::inspect::circuits::{self, Circuits, Pair};
use glass::inspect::heads::{self, Head};
use glass::inspect::neurons::{Firing, Firings};
use glass::tokens::Special;
use glass::train::data::Reading;
use glass::train::pieces::{Pieces, Sizes};
use serde_json::json;

use super::options::two_numbers;
use super::page::{self, Page};
use super::pictures::Picture;
use super::{charts, lines, names};
use crate::args::LookArgs;
use crate::draw::columns::{bar_room, bars, fit, percent, width};
use crate::fail::Fail;
use crate::model_arg::NamedModel;
use crate::out::{Out, count, number};
use crate::printable::{lossy, on_one_line, visible};
use crate::progress::ProgressLine;

/// The widths of a token and of a bar, in columns.
const PIECE: usize = 18;
const BAR: usize = 20;

/// What every head does on a text.
pub fn heads(args: &LookArgs, model: &NamedModel, ids: &[u32]) -> Result<(), Fail> {
    let found = heads::heads(&mut Inspector::new(model, ids.len(), 1)?, ids)?;
    if args.has_picture() {
        heads_drawn(args, model, ids, &found)?;
    }
    let mut out = Out::new();
    if args.json {
        out.json(&json!({"heads": found}))?;
    }
    if args.json || args.has_picture() {
        return out.done();
    }
    const COLUMNS: [(&str, usize); 5] =
        [("previous", 9), ("first", 8), ("same token", 11), ("induction", 10), ("entropy", 8)];
    let taken: usize = COLUMNS.iter().map(|(_, wide)| wide).sum();
    let most = format!("block {} head {}", found.len() - 1, found[0].len() - 1).len();
    let short = most + taken > out.columns();
    let room = if short { 8 } else { most.max(14) };
    let heading: String = COLUMNS.iter().map(|(column, wide)| format!("{column:>wide$}")).collect();
    writeln!(out, "{}", out.bold(&format!("{:<room$}{heading}", "head")))?;
    for (layer, heads) in found.iter().enumerate() {
        for (number, head) in heads.iter().enumerate() {
            let shares = [head.previous, head.first, head.duplicate, head.induction];
            let shares =
                shares.iter().zip(COLUMNS).map(|(share, (_, wide))| format!("{:>wide$}", percent(*share)));
            let shares: String = shares.collect();
            let names = args.names.into();
            let name =
                if short { names::short(names, layer, number) } else { names::head(names, layer, number) };
            writeln!(out, "{name:<room$}{shares}{:>8.2}", head.entropy)?;
        }
    }
    let explained = "shares of attention, averaged over the positions that have such a place to look at: the position before, the \
                     first, the same token before, and the token after that one; entropy in nats";
    lines::note(&mut out, explained)?;
    out.done()
}

fn heads_drawn(args: &LookArgs, model: &NamedModel, ids: &[u32], found: &[Vec<Head>]) -> Result<(), Fail> {
    // The largest possible entropy: attention spread evenly over all positions.
    let widest = (1..=ids.len()).map(|keys| (keys as f64).ln()).sum::<f64>() / ids.len() as f64;
    let of = |share: &dyn Fn(&Head) -> f64| -> Vec<Vec<f64>> {
        found.iter().map(|heads| heads.iter().map(share).collect()).collect()
    };
    let panels = [
        ("previous", of(&|head| head.previous)),
        ("first", of(&|head| head.first)),
        ("same token", of(&|head| head.duplicate)),
        ("induction", of(&|head| head.induction)),
        ("entropy", of(&|head| head.entropy / widest.max(f64::MIN_POSITIVE))),
    ];
    let explained = "A disc's area is the share of a head's attention, averaged over the positions that have such a place: the position \
                     before, the first, the same token before, and the token after that one. Entropy is a share too, of the largest that \
                     is possible: 1 where all positions get the same. A disc of 1 fills its cell; a head without such positions has 0.";
    let picture = Picture::new("What every head does", explained, charts::panels(&panels));
    let (title, before) = ("What every head does".into(), page::tokens(model, ids));
    Page { title, before, pictures: vec![picture], after: String::new() }.write(args)
}

/// What a head does according to its weights.
pub fn circuits(args: &LookArgs, model: &NamedModel, head: &str) -> Result<(), Fail> {
    let config = model.config();
    let (layer, head) = two_numbers("--circuits", head, "BLOCK.HEAD", [config.layers, config.heads.query])?;
    let found = circuits::circuits(&mut Inspector::new(model, 1, 1)?, layer, head, args.top.into())?;
    let name = names::head(args.names.into(), layer, head);
    if args.has_picture() {
        circuits_drawn(args, model, &name, &found)?;
    }
    let mut out = Out::new();
    if args.json {
        let token = |id: u32| json!({"id": id, "text": lossy(model.bytes(id))});
        let pair =
            |pair: &Pair| json!({"from": token(pair.from), "to": token(pair.to), "strength": pair.strength});
        let list = |pairs: &[Pair]| pairs.iter().map(pair).collect::<Vec<_>>();
        out.json(&json!({"looks": list(&found.looks), "says": list(&found.says)}))?;
    }
    if args.json || args.has_picture() {
        return out.done();
    }
    let looks = ("looks", LOOKS, "looks at", &found.looks);
    let says = ("says", SAYS, "favours", &found.says);
    let room = if out.columns() < 76 { PIECE - 4 } else { PIECE };
    for (title, explained, verb, pairs) in [looks, says] {
        lines::heading(&mut out, &format!("{name} {title}"), explained)?;
        let bar_of = bars(
            pairs.iter().map(|pair| f64::from(pair.strength)),
            bar_room(out.columns(), 2 * room + 11 + verb.len(), BAR),
        );
        for Pair { from, to, strength } in pairs {
            let piece = |id: &u32| fit(&visible(model.bytes(*id)), room);
            let bar = bar_of(f64::from(*strength));
            let line = format!("{}{verb}  {}{strength:7.2}  {bar}", piece(from), piece(to));
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    lines::note(&mut out, TOKENS_ALONE)?;
    out.done()
}

const LOOKS: &str = "which token looks at which, most strongly, by queries and keys";
const SAYS: &str = "which token it makes more probable after finding another, by values and the unembedding";
const TOKENS_ALONE: &str =
    "tokens are represented by their embeddings as attention reads them, without positions and other blocks";

fn circuits_drawn(args: &LookArgs, model: &NamedModel, name: &str, found: &Circuits) -> Result<(), Fail> {
    let rows = |pairs: &[Pair]| -> Vec<(String, f64)> {
        let pair = |pair: &Pair| {
            (format!("{} → {}", model.piece(pair.from), model.piece(pair.to)), f64::from(pair.strength))
        };
        pairs.iter().map(pair).collect()
    };
    let all = model.config().vocabulary.pow(2);
    let picture = |title: &str, explained: &str, pairs: &[Pair]| {
        let left_out = charts::left_out(all, pairs.len(), "pair");
        Picture::new(
            format!("{name} {title}"),
            format!("{explained}; {TOKENS_ALONE}.{left_out}"),
            charts::bars(&rows(pairs)),
        )
    };
    let pictures = vec![picture("looks", LOOKS, &found.looks), picture("says", SAYS, &found.says)];
    Page { title: format!("What {name} does"), before: String::new(), pictures, after: String::new() }
        .write(args)
}

/// Where a neuron is most active.
pub fn neuron(args: &LookArgs, model: &NamedModel, neuron: &str, data: &Path) -> Result<(), Fail> {
    let config = model.config();
    let (layer, neuron) = two_numbers("--neuron", neuron, "BLOCK.NEURON", [config.layers, config.mlp_width])?;
    let tokenizer = model.tokenizer()?;
    let mut inspector = Inspector::new(model, config.context.min(512), 1)?;
    let mut firings = Firings::new(layer, neuron, args.top.into());
    let (mut line, mut tokens, mut texts) = (ProgressLine::default(), 0, 0);
    for piece in Pieces::of_files(&[data.into()], &Reading::default(), Sizes::default()) {
        let ids = tokenizer.encode_prompt(&piece?.text, Special::Plain);
        if !ids.is_empty() {
            firings.read(&mut inspector, &ids)?;
            tokens += ids.len();
            texts += 1;
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
    let name = format!("block {layer} neuron {neuron}");
    if args.has_picture() {
        let rows = firings.strongest().iter().map(|firing| {
            let (before, token) = split(firing);
            (f64::from(firing.value), on_one_line(&before), on_one_line(&token))
        });
        let explained = format!(
            "The neuron after its activation, in the texts where it is most active, at most once a text; the token that it is computed at \
             is in brackets. {} in {} were read.{}",
            count(tokens, "token"),
            count(texts, "text"),
            charts::left_out(texts, firings.strongest().len(), "text")
        );
        let svg = charts::contexts(&rows.collect::<Vec<_>>());
        let pictures = vec![Picture::new(format!("Where {name} is most active"), explained, svg)];
        Page { title: name.clone(), before: String::new(), pictures, after: String::new() }.write(args)?;
    }
    let mut out = Out::new();
    if args.json {
        let firing = |firing: &Firing| {
            let (before, token) = split(firing);
            json!({"value": firing.value, "text": firing.text, "position": firing.position,
                   "before": lossy(&before), "token": lossy(&token)})
        };
        out.json(&firings.strongest().iter().map(firing).collect::<Vec<_>>())?;
    }
    if args.json || args.has_picture() {
        return out.done();
    }
    lines::heading(&mut out, "active", &format!("where {name} is most active, at most once a text"))?;
    let room = out.columns().saturating_sub(9);
    for firing in firings.strongest() {
        let (before, token) = split(firing);
        let token = lines::cut(&format!("[{}]", on_one_line(&token)), room);
        // The end of what is before counts the most.
        let before = lines::end_of(&on_one_line(&before), room.saturating_sub(width(&token)));
        let (before, token) = (out.dim(&before), out.yellow(&token));
        writeln!(out, "{:7.2}  {before}{token}", firing.value)?;
    }
    out.done()
}
