//! The style of the display: colours, titles.

use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::Span;
use ratatui::widgets::{Block, Borders};

/// The colour of training data.
pub const LEARNED: Color = Color::Blue;
/// The colour of validation data.
pub const HELD_OUT: Color = Color::Yellow;
/// The colour of secondary information.
pub const FAINT: Color = Color::DarkGray;

/// A title on a line.
pub fn titled<'a>(title: String) -> Block<'a> {
    let style = Style::new().fg(FAINT);
    Block::new().borders(Borders::TOP).border_style(style).title(Span::from(format!("{title} ")).bold())
}
