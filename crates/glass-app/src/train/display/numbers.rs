//! The numbers of a run, each with its recent history.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Stylize as _};
use ratatui::text::{Line, Span, Text};

use glass::train::log;

use super::super::seen::Seen;
use super::look::{FAINT, HELD_OUT, LEARNED, titled};
use crate::draw::columns::{fit, spark, width};
use crate::out::{duration, number};

/// The width of a number and its name, in columns.
const NAMED: usize = 30;

/// A number: its name, its text, its colour, and its history.
struct Number<'a> {
    name: &'a str,
    value: String,
    colour: Color,
    moved: Option<fn(&log::LoggedStep) -> f64>,
}

/// Draws them one below another.
pub fn draw(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let columns = usize::from(area.width);
    let lines: Vec<Line<'_>> = numbers(seen).iter().map(|number| row(number, seen, columns)).collect();
    let block = titled("now".into());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    frame.render_widget(Text::from(lines), inner);
}

fn row(number: &Number<'_>, seen: &Seen, columns: usize) -> Line<'static> {
    let room = columns.min(NAMED).saturating_sub(width(&number.value) + 1);
    let name = Span::from(fit(number.name, room)).fg(FAINT);
    let value = Span::from(format!(" {}", number.value)).fg(number.colour);
    let moved = number.moved.filter(|_| columns > NAMED + 2);
    let moved = moved.map(|of| spark(seen.recent.iter().map(of), columns - NAMED - 2)).unwrap_or_default();
    Line::from(vec![name, value, "  ".into(), moved.fg(number.colour)])
}

fn numbers(seen: &Seen) -> Vec<Number<'static>> {
    let Some(line) = seen.line() else { return Vec::new() };
    let number = |name, value, colour, moved| Number { name, value, colour, moved };
    let plain = |name, value| number(name, value, Color::Reset, None);
    let mut numbers =
        vec![number("training loss", format!("{:.4}", line.loss), LEARNED, Some(|line| line.loss))];
    let evaluations = seen.history.evaluations();
    if let Some(last) = evaluations.last() {
        numbers.push(number("validation loss", format!("{:.4}", last.loss), HELD_OUT, None));
        if let Some(best) = evaluations.iter().min_by(|one, other| one.loss.total_cmp(&other.loss)) {
            let best = format!("{:.4} at {}", best.loss, crate::out::number(best.step));
            numbers.push(number("  best", best, HELD_OUT, None));
        }
        if let Some(bits) = last.bits_per_byte {
            numbers.push(number("bits per byte", format!("{bits:.4}"), HELD_OUT, None));
        }
    }
    let speed = seen.speed();
    let share = line.mfu.map(|share| format!("{:.0} %", 100.0 * share)).unwrap_or_default();
    numbers.push(number("learning rate", rate(line.lr), Color::Reset, Some(|line| line.lr.into())));
    let norm = format!("{:.3}", line.grad_norm);
    numbers.push(number("gradient norm", norm, Color::Reset, Some(|line| line.grad_norm)));
    let per_second = crate::out::number(speed as u64);
    numbers.push(number(
        "tokens/s",
        per_second,
        Color::Reset,
        Some(|line| line.tokens_per_second.unwrap_or(0.0)),
    ));
    numbers.push(plain("GFLOP/s", format!("{:.0}", seen.gflops(speed))));
    numbers.push(plain("of the FMA peak", share));
    numbers.push(plain("time so far", duration(line.seconds.unwrap_or(0.0))));
    numbers
}

/// The most important numbers in one line.
pub fn line(seen: &Seen) -> Line<'static> {
    let Some(line) = seen.line() else { return Line::default() };
    let loss = format!("loss {:.3}", line.loss).fg(LEARNED);
    let held_out = seen.history.evaluations().last();
    let held_out = held_out.map(|last| format!("  val {:.3}", last.loss)).unwrap_or_default().fg(HELD_OUT);
    let others = format!("  {} tokens/s  lr {}", number(seen.speed() as u64), rate(line.lr));
    Line::from(vec![loss, held_out, others.into()])
}

fn rate(rate: f32) -> String {
    format!("{rate:.2e}")
}
