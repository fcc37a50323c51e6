//! Writes pictures to files: the extension chooses the format.

use std::fs;
use std::path::Path;

use glass::Error;

use super::png::png;
use crate::fail::Fail;

/// A picture format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// As drawn.
    Svg,
    /// As pixels.
    Png,
}

impl Kind {
    /// The format given by a file's extension; otherwise this one.
    fn of(self, path: &Path) -> Kind {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match ending.as_str() {
            "svg" => Kind::Svg,
            "png" => Kind::Png,
            _ => self,
        }
    }
}

/// Writes a picture; `kind` is used if the extension does not give a format. Returns the number of bytes.
pub fn write(path: &Path, svg: &str, kind: Kind) -> Result<usize, Fail> {
    let bytes = match kind.of(path) {
        Kind::Svg => svg.as_bytes().to_vec(),
        Kind::Png => png(svg)?,
    };
    fs::write(path, &bytes).map_err(|error| Error::io("cannot write", path, error))?;
    Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Kind;

    #[test]
    fn a_file_is_what_it_is_called() {
        for (name, kind) in
            [("a.png", Kind::Png), ("a.PNG", Kind::Png), ("a.svg", Kind::Svg), ("a", Kind::Svg)]
        {
            assert_eq!(Kind::Svg.of(Path::new(name)), kind, "{name}");
        }
        assert_eq!(
            (Kind::Png.of(Path::new("a.b")), Kind::Png.of(Path::new("a.svg"))),
            (Kind::Png, Kind::Svg)
        );
    }
}
