//! The tour in the terminal.

use std::io::Write as _;

use glass::inspect::attribute::Component;
use glass::next_token::{Drawn, Sampler, Sampling};

use super::seen::{Link, Seen};
use super::{lines, names};
use crate::draw::columns::{bar, bar_room, bars, fit, percent, signed, width};
use crate::fail::Fail;
use crate::out::{Out, count};
use crate::printable::VISIBLE;

/// Columns of a token, of a part's name, and of a bar at most.
const PIECE: usize = 16;
const NAME: usize = 32;
const BAR: usize = 24;
/// Columns of what a head adds from a position, at least.
const SOURCE: usize = 24;

/// Everything, in the order of the flow.
pub fn show(out: &mut Out, seen: &Seen<'_>) -> Result<(), Fail> {
    tokens(out, seen)?;
    attention(out, seen)?;
    lens(out, seen)?;
    if let Some(jacobian) = &seen.jacobian {
        let explained = format!(
            "what the last vector would lead to, by its average effect in {} (the Jacobian lens)",
            count(jacobian.texts as usize, "text")
        );
        heading(out, "jacobian", &explained)?;
        said(out, seen, jacobian.said.iter().map(|said| said.as_deref()))?;
    }
    if seen.before.is_some() {
        changed(out, seen)?;
    }
    next(out, seen)?;
    decided(out, seen)?;
    writeln!(out)?;
    lines::note(out, VISIBLE)
}

/// A heading below an empty line.
fn heading(out: &mut Out, title: &str, explained: &str) -> Result<(), Fail> {
    writeln!(out)?;
    lines::heading(out, title, explained)
}

fn tokens(out: &mut Out, seen: &Seen<'_>) -> Result<(), Fail> {
    lines::heading(out, &count(seen.ids.len(), "token"), "what the model reads, and each one's position")?;
    let columns = out.columns();
    let mut line = String::new();
    for (position, &id) in seen.ids.iter().enumerate() {
        let token = lines::cut(&format!("{position} {}", seen.model.piece(id)), columns) + "   ";
        if width(&line) + width(token.trim_end()) > columns && !line.is_empty() {
            writeln!(out, "{}", line.trim_end())?;
            line.clear();
        }
        line.push_str(&token);
    }
    Ok(writeln!(out, "{}", line.trim_end())?)
}

fn attention(out: &mut Out, seen: &Seen<'_>) -> Result<(), Fail> {
    let last = seen.model.piece(seen.ids[seen.ids.len() - 1]);
    heading(
        out,
        "attention",
        &format!("where {last} looks: the strongest links, of all heads of all blocks"),
    )?;
    let room = bar_room(out.columns(), 2 * PIECE + 12, BAR);
    for Link { layer, head, position, share } in &seen.links {
        let to = fit(&format!("{position} {}", seen.model.piece(seen.ids[*position])), PIECE);
        let head = fit(&names::head(seen.names, *layer, *head), PIECE + 2);
        writeln!(out, "{}", format!("{head}{to} {}  {}", percent(*share), bar(*share, room)).trim_end())?;
    }
    Ok(())
}

fn lens(out: &mut Out, seen: &Seen<'_>) -> Result<(), Fail> {
    heading(out, "lens", "what the last vector would say if the model ended there")?;
    said(out, seen, seen.lens().map(|reading| Some(&reading.top[..])))
}

/// What a lens says layer by layer; `None` where it says nothing.
fn said<'a>(
    out: &mut Out,
    seen: &Seen<'_>,
    layers: impl Iterator<Item = Option<&'a [Drawn]>>,
) -> Result<(), Fail> {
    // A token in 12 columns or in 14, and its probability.
    let piece = if out.columns() < 100 { PIECE - 4 } else { PIECE - 2 };
    let room = out.columns().saturating_sub(PIECE) / (piece + 9);
    for (layer, said) in layers.enumerate() {
        let name = names::stream(seen.names, layer, seen.model.config().layers);
        let said: String = said
            .unwrap_or_default()
            .iter()
            .take(room.clamp(1, 4))
            .map(|drawn| format!("{}{}  ", fit(&seen.model.piece(drawn.id), piece), probability(drawn)))
            .collect();
        writeln!(out, "{}{}", fit(&name, PIECE + 2), said.trim_end())?;
    }
    Ok(())
}

fn probability(drawn: &Drawn) -> String {
    percent(drawn.logprob.exp())
}

fn changed(out: &mut Out, seen: &Seen<'_>) -> Result<(), Fail> {
    heading(out, "changed", "the next token without and with the change")?;
    let before = seen.before.as_deref().unwrap_or_default();
    for (was, is) in before.iter().zip(&seen.next) {
        let side =
            |drawn: &Drawn| format!("{}{}", fit(&seen.model.piece(drawn.id), PIECE), probability(drawn));
        writeln!(out, "{}      {}", side(was), side(is))?;
    }
    Ok(())
}

fn next(out: &mut Out, seen: &Seen<'_>) -> Result<(), Fail> {
    let (temperatures, in_use) = seen.temperatures();
    let named = temperatures.map(|temperature| temperature.to_string()).join(", ");
    let used = format!("generate uses {}", temperatures[in_use]);
    heading(out, "next token", &format!("by softmax at the temperatures {named}; {used}"))?;
    let mut columns = Vec::new();
    for temperature in temperatures {
        let sampling = Sampling { temperature, ..Sampling::default() };
        let mut probabilities = Sampler::new(&sampling, seen.logits.len(), 0)?.probabilities(&seen.logits)?;
        probabilities.sort_by_key(|&(id, _)| id);
        columns.push(probabilities);
    }
    let room = bar_room(out.columns().saturating_sub(PIECE + 12 + 3 * 10) / 3, 0, BAR / 2);
    for drawn in &seen.next {
        let share = |column: &Vec<(u32, f64)>| {
            let at = column.binary_search_by_key(&drawn.id, |&(id, _)| id);
            at.map_or(0.0, |at| column[at].1)
        };
        let logit = seen.logits[drawn.id as usize];
        let shares: Vec<String> = columns
            .iter()
            .map(|column| format!("  {} {}", percent(share(column)), bar(share(column), room)))
            .collect();
        let line = format!("{}logit {logit:6.2}{}", fit(&seen.model.piece(drawn.id), PIECE), shares.concat());
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn decided(out: &mut Out, seen: &Seen<'_>) -> Result<(), Fail> {
    let (token, against) = seen.traced;
    let found = &seen.attribution;
    let name = match against {
        None => format!("the logit {:.2} of {}", found.whole, seen.model.piece(token)),
        Some(other) => {
            format!(
                "{:.2}, the logit of {} minus that of {}",
                found.whole,
                seen.model.piece(token),
                seen.model.piece(other)
            )
        }
    };
    heading(out, "what decided", &format!("{name} is the sum of what the parts of the model add"))?;
    let mut parts = found.parts.clone();
    parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    let line = |name: &str, value: f64| format!("{}{:>7}", fit(name, NAME), signed(value, 2));
    let shown = &parts[..parts.len().min(seen.top)];
    // Beside a bar, where a head's part comes from; in narrow terminals without the bar.
    let beside = out.columns().saturating_sub(NAME + 9);
    let room = bar_room(beside, SOURCE + 2, BAR);
    let source = if room > 0 { beside - room - 2 } else { beside };
    let bar_of = bars(shown.iter().map(|(_, value)| *value), room);
    for (component, value) in shown {
        let line = line(&names::component(seen.names, *component), *value);
        let (bar, gap) = (bar_of(*value), if room > 0 { "  " } else { "" });
        let source = lines::cut(&looked_at(seen, *component), source);
        writeln!(out, "{}", format!("{line}  {bar}{gap}{source}").trim_end())?;
    }
    let others = &parts[shown.len()..];
    if !others.is_empty() {
        let sum = others.iter().map(|(_, value)| value).sum();
        writeln!(out, "{}", line(&count(others.len(), "other"), sum))?;
    }
    if let Some((why, rest)) = seen.rest() {
        writeln!(out, "{}", line(why, rest))?;
    }
    heading(out, "by word", "what heads add directly from each position; the last includes its own vectors")?;
    let mut words: Vec<(usize, f64)> = found.by_position().into_iter().enumerate().collect();
    words.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    words.truncate(seen.top);
    let bar_of = bars(words.iter().map(|(_, value)| *value), bar_room(out.columns(), NAME + 9, BAR));
    for (position, value) in words.iter().copied() {
        let word = format!("{position} {}", seen.model.piece(seen.ids[position]));
        writeln!(out, "{}", format!("{}  {}", line(&word, value), bar_of(value)).trim_end())?;
    }
    Ok(())
}

/// The position from which a head adds the most.
fn looked_at(seen: &Seen<'_>, component: Component) -> String {
    let Component::Head { layer, head } = component else { return String::new() };
    let sources = &seen.attribution.sources[layer * seen.model.config().heads.query + head];
    let most = (0..sources.len()).max_by(|&a, &b| sources[a].abs().total_cmp(&sources[b].abs()));
    most.map_or(String::new(), |most| {
        let piece = seen.model.piece(seen.ids[most]);
        format!("{} from {most} {piece}", signed(sources[most], 2))
    })
}
