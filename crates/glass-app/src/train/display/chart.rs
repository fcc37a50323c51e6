//! The losses over the steps.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::canvas::{self, Canvas, Points};

use super::super::seen::Seen;
use super::look::{FAINT, HELD_OUT, LEARNED, titled};
use crate::draw::columns::width;
use crate::draw::scale::Scale;

/// Draws the losses and their axes.
pub fn draw(frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
    let title = titled("loss, nats per token".into());
    let legend = Line::from(vec!["━ training ".fg(LEARNED), "● validation".fg(HELD_OUT)]).right_aligned();
    let title = if area.width >= 48 { title.title(legend) } else { title };
    let inner = title.inner(area);
    frame.render_widget(title, area);
    if inner.height < 3 || inner.width < 16 || seen.line().is_none() {
        return;
    }
    let (low, high) = seen.history.range();
    let rows = Scale { low, high, from: f64::from(inner.bottom() - 2), to: f64::from(inner.top()) };
    let marks = rows.ticks(usize::from(inner.height / 3).max(2));
    let gutter = marks.iter().map(|(_, label)| width(label)).max().unwrap_or(0) as u16 + 2;
    let plot = Rect { x: inner.x + gutter, width: inner.width - gutter, height: inner.height - 1, ..inner };
    let columns = Scale {
        low: 0.0,
        high: seen.at_step().max(2) as f64,
        from: f64::from(plot.left()),
        to: f64::from(plot.right() - 1),
    };
    axes(frame.buffer_mut(), plot, rows, columns, &marks);
    frame.render_widget(losses(seen, columns, rows), plot);
    evaluations(frame.buffer_mut(), plot, seen, columns, rows);
}

/// Round numbers next to and below the plot, and faint grid lines.
fn axes(buffer: &mut Buffer, plot: Rect, rows: Scale, columns: Scale, marks: &[(f64, String)]) {
    let faint = Style::new().fg(FAINT);
    for y in plot.top()..plot.bottom() {
        buffer.set_string(plot.x - 1, y, "│", faint);
    }
    for (value, label) in marks {
        let y = rows.at(*value).round() as u16;
        buffer.set_string(plot.x - 1, y, "┤", faint);
        buffer.set_string(plot.x.saturating_sub(width(label) as u16 + 1), y, label, Style::new());
        buffer.set_string(plot.x, y, "·".repeat(plot.width.into()), faint);
    }
    let (mut free, y) = (plot.x.saturating_sub(1), plot.bottom());
    for (value, label) in columns.ticks(usize::from(plot.width / 12).max(1)) {
        let wide = width(&label) as u16;
        // Centred below its position, as far as the edges allow.
        let middle = (columns.at(value).round() as u16).saturating_sub(wide / 2);
        let x = middle.max(free).min(plot.right().saturating_sub(wide));
        if x >= free {
            buffer.set_string(x, y, &label, Style::new());
            free = x + wide + 2;
        }
    }
}

/// Every point faintly, and the smoothed curve through them.
fn losses(seen: &Seen, columns: Scale, rows: Scale) -> Canvas<'static, impl Fn(&mut canvas::Context<'_>)> {
    let points = seen.history.points();
    let all: Vec<(f64, f64)> = points.iter().map(|point| (point.step as f64, point.loss)).collect();
    let smooth = points.iter().zip(seen.history.smooth()).map(|(point, loss)| (point.step as f64, loss));
    let smooth: Vec<(f64, f64)> = smooth.collect();
    Canvas::default()
        .marker(Marker::Braille)
        .x_bounds([columns.low, columns.high])
        .y_bounds([rows.low, rows.high])
        .paint(move |canvas| {
            canvas.draw(&Points { coords: &all, color: FAINT });
            canvas.layer();
            canvas.draw(&Points { coords: &smooth, color: LEARNED });
            for pair in smooth.windows(2) {
                let [(x1, y1), (x2, y2)] = [pair[0], pair[1]];
                canvas.draw(&canvas::Line { x1, y1, x2, y2, color: LEARNED });
            }
        })
}

fn evaluations(buffer: &mut Buffer, plot: Rect, seen: &Seen, columns: Scale, rows: Scale) {
    for evaluation in seen.history.evaluations() {
        let x = columns.at(evaluation.step as f64).round() as u16;
        let y = rows.at(evaluation.loss).round() as u16;
        if plot.contains((x, y).into()) {
            buffer.set_span(x, y, &Span::from("●").fg(HELD_OUT).bg(Color::Reset), 1);
        }
    }
}
