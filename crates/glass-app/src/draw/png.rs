//! Renders a picture as PNG, with a font included in the program, so that it looks the same everywhere.

#[cfg(feature = "png")]
use std::sync::Arc;

#[cfg(feature = "png")]
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree, fontdb},
};

use crate::fail::Fail;

/// Pixels per unit of the picture: two, for screens of high density.
#[cfg(feature = "png")]
const SCALE: f32 = 2.0;

/// Renders an SVG as PNG.
#[cfg(feature = "png")]
pub fn png(svg: &str) -> Result<Vec<u8>, Fail> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::HACK_REGULAR.to_vec());
    let family = fonts.faces().next().and_then(|face| Some(face.families.first()?.0.clone()));
    let family = family.ok_or_else(|| Fail::failed("the included font cannot be read"))?;
    fonts.set_sans_serif_family(family.clone());
    let options = Options { fontdb: Arc::new(fonts), font_family: family, ..Options::default() };
    let failed =
        |error: &dyn std::fmt::Display| Fail::failed(format!("the picture cannot be drawn: {error}"));
    let tree = Tree::from_str(svg, &options).map_err(|error| failed(&error))?;
    let size = tree.size().to_int_size().scale_by(SCALE).ok_or_else(|| failed(&"it has no size"))?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or_else(|| failed(&"it is too large"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| failed(&error))
}

/// An error: the program was built without PNG.
#[cfg(not(feature = "png"))]
pub fn png(_: &str) -> Result<Vec<u8>, Fail> {
    Err(Fail::failed(
        "--png: this program was built without its feature \"png\"; write --svg instead, or build it with --features png",
    ))
}
