//! What the parts of the picture look like: colours, titles.

use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::Span;
use ratatui::widgets::{Block, Borders};

/// The colour of what is learned from.
pub const LEARNED: Color = Color::Blue;
/// The colour of what is validated on.
pub const HELD_OUT: Color = Color::Yellow;
/// The colour of what matters less.
pub const FAINT: Color = Color::DarkGray;

/// A title on a line.
pub fn titled<'a>(title: String) -> Block<'a> {
    let style = Style::new().fg(FAINT);
    Block::new().borders(Borders::TOP).border_style(style).title(Span::from(format!("{title} ")).bold())
}
