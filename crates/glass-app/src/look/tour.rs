//! The tour in the terminal.

use std::io::Write as _;

use glass::inspect::attribute::Component;
use glass::next_token::{Drawn, Sampler, Sampling};

use super::seen::{Link, Seen};
use crate::draw::columns::{bar, fit, width};
use crate::fail::Fail;
use crate::out::{Out, count};
use crate::tokens::VISIBLE;

/// Columns of a token, and of a bar.
const PIECE: usize = 16;
const BAR: usize = 24;
/// The temperatures at which the next token is shown.
const TEMPERATURES: [f32; 3] = [0.5, 1.0, 1.5];

/// All of it, in the order of the flow.
pub fn show(out: &mut Out, seen: &Seen<'_>) -> Result<(), Fail> {
    tokens(out, seen)?;
    attention(out, seen)?;
    lens(out, seen)?;
    if seen.before.is_some() {
        changed(out, seen)?;
    }
    next(out, seen)?;
    decided(out, seen)?;
    writeln!(out, "\n{}", out.dim(VISIBLE))?;
    Ok(())
}

fn heading(out: &mut Out, title: &str, explained: &str) -> Result<(), Fail> {
    let (title, explained) = (out.bold(title), out.dim(explained));
    Ok(writeln!(out, "\n{title}  {explained}")?)
}

fn tokens(out: &mut Out, seen: &Seen<'_>) -> Result<(), Fail> {
    let title = out.bold(&count(seen.ids.len(), "token"));
    writeln!(out, "{title}  {}", out.dim("what the model reads, and each one's position"))?;
    let columns = out.columns();
    let mut line = String::new();
    for (position, &id) in seen.ids.iter().enumerate() {
        let token = format!("{position} {}   ", seen.model.piece(id));
        if width(&line) + width(&token) > columns && !line.is_empty() {
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
    for Link { layer, head, position, share } in &seen.links {
        let to = fit(&format!("{position} {}", seen.model.piece(seen.ids[*position])), PIECE);
        let head = fit(&format!("block {layer} head {head}"), PIECE + 2);
        writeln!(out, "{head}{to} {:5.1} %  {}", 100.0 * share, bar(*share, BAR).trim_end())?;
    }
    Ok(())
}

fn lens(out: &mut Out, seen: &Seen<'_>) -> Result<(), Fail> {
    heading(out, "lens", "what the last vector would say if the model ended there")?;
    let room = out.columns().saturating_sub(PIECE + 2) / (PIECE + 8);
    for (layer, reading) in seen.lens().enumerate() {
        let name = match layer {
            0 => "embedding".into(),
            _ => format!("after block {}", layer - 1),
        };
        let said = reading.top.iter().take(room.clamp(1, 4));
        let said: String = said
            .map(|drawn| format!("{}{}  ", fit(&seen.model.piece(drawn.id), PIECE - 2), percent(drawn)))
            .collect();
        writeln!(out, "{}{}", fit(&name, PIECE + 2), said.trim_end())?;
    }
    Ok(())
}

fn percent(drawn: &Drawn) -> String {
    format!("{:5.1} %", 100.0 * f64::from(drawn.logprob).exp())
}

fn changed(out: &mut Out, seen: &Seen<'_>) -> Result<(), Fail> {
    heading(out, "changed", "the next token before, and after what was changed")?;
    let before = seen.before.as_deref().unwrap_or_default();
    for (was, is) in before.iter().zip(&seen.next) {
        let side = |drawn: &Drawn| format!("{}{}", fit(&seen.model.piece(drawn.id), PIECE), percent(drawn));
        writeln!(out, "{}      {}", side(was), side(is))?;
    }
    Ok(())
}

fn next(out: &mut Out, seen: &Seen<'_>) -> Result<(), Fail> {
    let named = TEMPERATURES.map(|temperature| temperature.to_string()).join(", ");
    heading(out, "next token", &format!("by softmax at the temperatures {named}"))?;
    let mut columns = Vec::new();
    for temperature in TEMPERATURES {
        let sampling = Sampling { temperature, ..Sampling::default() };
        let mut probabilities = Sampler::new(&sampling, seen.logits.len(), 0)?.probabilities(&seen.logits)?;
        probabilities.sort_by_key(|&(id, _)| id);
        columns.push(probabilities);
    }
    for drawn in &seen.next {
        let share = |column: &Vec<(u32, f64)>| {
            let at = column.binary_search_by_key(&drawn.id, |&(id, _)| id);
            at.map_or(0.0, |at| column[at].1)
        };
        let logit = seen.logits[drawn.id as usize];
        let shares: Vec<String> = columns
            .iter()
            .map(|column| format!("{:5.1} % {}", 100.0 * share(column), bar(share(column), BAR / 2)))
            .collect();
        let line =
            format!("{}logit {logit:6.2}   {}", fit(&seen.model.piece(drawn.id), PIECE), shares.join("  "));
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
                "{:.2}, the logit of {} above that of {}",
                found.whole,
                seen.model.piece(token),
                seen.model.piece(other)
            )
        }
    };
    heading(out, "what decided", &format!("{name} is the sum of what every part of the model adds"))?;
    let mut parts = found.parts.clone();
    parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    let most = parts.first().map_or(1.0, |(_, value)| value.abs());
    for (component, value) in parts.iter().take(seen.top) {
        let line = format!(
            "{}{value:+7.2}  {}",
            fit(&component.to_string(), PIECE + 12),
            bar(value.abs() / most, BAR)
        );
        writeln!(out, "{}{}", line.trim_end(), looked_at(seen, *component))?;
    }
    // What was added on the way is nobody's part.
    let others = found.whole - parts.iter().take(seen.top).map(|(_, value)| value).sum::<f64>();
    writeln!(
        out,
        "{}{others:+7.2}",
        fit(&format!("{} others", parts.len().saturating_sub(seen.top)), PIECE + 12)
    )?;
    heading(
        out,
        "by word",
        "what heads brought straight from each position; at the last, its own vectors too",
    )?;
    let mut words: Vec<(usize, f64)> = found.by_position().into_iter().enumerate().collect();
    words.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    let most = words.first().map_or(1.0, |(_, value)| value.abs());
    for (position, value) in words.into_iter().take(seen.top) {
        let word = fit(&format!("{position} {}", seen.model.piece(seen.ids[position])), PIECE + 12);
        writeln!(out, "{}", format!("{word}{value:+7.2}  {}", bar(value.abs() / most, BAR)).trim_end())?;
    }
    Ok(())
}

/// Where a head brought the most from.
fn looked_at(seen: &Seen<'_>, component: Component) -> String {
    let Component::Head { layer, head } = component else { return String::new() };
    let sources = &seen.attribution.sources[layer * seen.model.config().heads.query + head];
    let most = (0..sources.len()).max_by(|&a, &b| sources[a].abs().total_cmp(&sources[b].abs()));
    most.map_or(String::new(), |most| {
        format!("   {:+.2} from {most} {}", sources[most], seen.model.piece(seen.ids[most]))
    })
}
