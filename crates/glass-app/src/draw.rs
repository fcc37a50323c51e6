//! Drawing: pictures as SVG, and columns of text.

pub mod columns;
pub mod curve;
pub mod file;
pub mod history;
pub mod png;
pub mod scale;
pub mod svg;
