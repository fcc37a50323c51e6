//! The layout of the display, for any size of the terminal. Less important parts are left out first if there is
//! little room.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Stylize as _};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Wrap};

use super::super::seen::Seen;
use super::look::{FAINT, HELD_OUT, titled};
use super::{chart, numbers};
use crate::draw::columns::{bar, width};
use crate::out::{duration, number};

/// Draws the display.
pub fn draw(frame: &mut Frame<'_>, seen: &Seen, stopping: bool) {
    let area = frame.area();
    let header = u16::from(area.height >= 8);
    let footer = u16::from(area.height >= 4);
    let texts = match area.height {
        0..16 => 0,
        16..30 => 6,
        more => (more / 3).min(16),
    };
    let rows = [Constraint::Length(header), Constraint::Fill(1), Constraint::Length(texts)];
    let below = [Constraint::Length(1), Constraint::Length(footer)];
    let [top, middle, words, progress, bottom] = Layout::vertical([&rows[..], &below].concat()).areas(area);
    draw_header(frame, top, seen);
    draw_middle(frame, middle, seen);
    if texts > 0 {
        draw_words(frame, words, seen);
    }
    frame.render_widget(progress_line(seen, progress.width), progress);
    frame.render_widget(footer_line(seen, bottom.width, stopping), bottom);
}

fn draw_header(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let tokens = seen.line().map_or(0, |line| line.tokens);
    let right = format!("{} tokens seen, epoch {:.2}", number(tokens), seen.epochs);
    let room = usize::from(area.width).saturating_sub(width(&right) + 2);
    let title = format!("glass train {}", seen.folder);
    let title = if width(&title) <= room { title } else { String::new() };
    let gap = " ".repeat(usize::from(area.width).saturating_sub(width(&title) + width(&right)));
    frame.render_widget(Line::from(vec![title.bold(), gap.into(), right.fg(FAINT)]), area);
}

/// The curve, with the numbers next to it; if there is no room, a line of numbers below.
fn draw_middle(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let beside = match area.width {
        0..64 => 0,
        64..110 => 30,
        _ => 44,
    };
    if beside > 0 && area.height >= 6 {
        let [left, right] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Length(beside)]).spacing(1).areas(area);
        chart::draw(frame, left, seen);
        numbers::draw(frame, right, seen);
    } else {
        let [above, below] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
        chart::draw(frame, above, seen);
        frame.render_widget(numbers::line(seen), below);
    }
}

/// The latest sample, and the remarks.
fn draw_words(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let says = |(step, text): &(u64, String)| (format!("step {} says", number(*step)), text.clone());
    let sample = seen.sample.as_ref().map(says);
    let halves = if sample.is_some() { 2 } else { 1 };
    let areas = Layout::horizontal(vec![Constraint::Fill(1); halves]).spacing(1).split(area);
    if let Some((title, text)) = sample {
        let text = Paragraph::new(text).wrap(Wrap { trim: false });
        frame.render_widget(text.block(titled(title)), areas[0]);
    }
    let room = usize::from(area.height.saturating_sub(1));
    let across = usize::from(areas[halves - 1].width);
    let folded = seen.remarks.iter().flat_map(|remark| fold(remark, across));
    let lines: Vec<Line<'_>> = folded.map(Line::from).collect();
    let last = lines.into_iter().rev().take(room).rev().collect::<Vec<_>>();
    frame.render_widget(Paragraph::new(Text::from(last)).block(titled("remarks".into())), areas[halves - 1]);
}

/// Wraps a text into lines of at most this many columns, all but the first indented.
fn fold(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("  {word}")),
            None => lines.push(word.into()),
        }
    }
    lines
}

fn progress_line(seen: &Seen, columns: u16) -> Line<'static> {
    let step = seen.at_step();
    let share = step as f64 / seen.steps.max(1) as f64;
    let percent = format!("{:3.0} %", 100.0 * share);
    let left = match seen.taken() {
        0 => String::new(),
        _ => format!("   {} left", duration(seen.left())),
    };
    let long = format!("  step {} of {}{left}", number(step), number(seen.steps));
    let short = format!("  {} / {}", number(step), number(seen.steps));
    let columns = usize::from(columns);
    let words = if columns >= width(&long) + 16 { long } else { short };
    let room = columns.saturating_sub(width(&words) + width(&percent) + 1);
    let bar = Span::from(bar(share, room)).fg(Color::Green).bg(FAINT);
    Line::from(vec![bar, " ".into(), percent.bold(), words.into()])
}

fn footer_line(seen: &Seen, columns: u16, stopping: bool) -> Line<'static> {
    if stopping {
        let text = "stopping after this step, with a checkpoint; Ctrl-C again stops at once";
        return Line::from(text.fg(HELD_OUT).bold());
    }
    let next = match seen.taken() {
        0 => vec!["the first step is running".into()],
        _ => seen
            .next()
            .into_iter()
            .map(|(what, seconds)| format!("{what} in {}", duration(seconds)))
            .collect(),
    };
    let (left, right) = (next.join("   "), "Ctrl-C stops, with a checkpoint");
    match usize::from(columns).checked_sub(width(&left) + width(right)) {
        Some(gap) if gap >= 3 => Line::from(vec![left.into(), " ".repeat(gap).into(), right.fg(FAINT)]),
        _ => Line::from(left),
    }
}

#[cfg(test)]
mod tests {
    use glass::train::objective::Details;

    use super::*;
    use crate::train::work::Work;
    use glass::train::log;
    use glass::train::settings::Settings;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn seen(steps: u64) -> Seen {
        let settings = Settings { steps: 100, eval_every: 25, sample_every: 30, ..Settings::default() };
        let mut seen = Seen::new("mine".into(), &settings, true, Work::even(1000), None);
        seen.begin(0, Default::default());
        for step in 1..=steps {
            let line = log::LoggedStep {
                step,
                loss: 2.0 + 6.0 / step as f64,
                details: Details::default(),
                val_loss: step.is_multiple_of(25).then_some(3.0),
                val_accuracy: None,
                bits_per_byte: step.is_multiple_of(25).then_some(1.2),
                val_losses: Default::default(),
                lr: 1e-3,
                grad_norm: 1.0,
                tokens_per_second: Some(1234.0),
                mfu: Some(0.5),
                tokens: 64 * step,
                seconds: Some(step as f64),
            };
            seen.step(&line, step as f64 / 64.0);
        }
        if steps > 30 {
            seen.sample = Some((30, "Once upon a time 日本語\nthere was".into()));
            seen.remark("step 25: validation loss 3.0000 (1.2000 bits per byte), the best so far");
        }
        seen
    }

    fn picture(seen: &Seen, columns: u16, rows: u16) -> TestBackend {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| draw(frame, seen, false)).unwrap();
        terminal.backend().clone()
    }

    #[test]
    fn every_size_can_be_drawn() {
        for seen in [seen(0), seen(1), seen(40)] {
            for columns in (0..24).chain([40, 63, 64, 80, 109, 110, 200]) {
                for rows in (0..32).chain([50]) {
                    picture(&seen, columns, rows);
                }
            }
        }
    }

    #[test]
    fn a_usual_terminal_shows_everything() {
        let picture = picture(&seen(40), 80, 24).to_string();
        let shown = [
            "glass train mine",
            "training",
            "validation",
            "2.1500",
            "1,234",
            "50 %",
            "step 40 of 100",
            "step 30 says",
            "日本語",
            "best so far",
            "evaluation in",
            "Ctrl-C",
        ];
        shown.iter().for_each(|text| assert!(picture.contains(text), "{text} is missing:\n{picture}"));
    }
}
