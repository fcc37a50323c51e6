//! Pictures in files: the ending of a file's name says what it holds.

use std::fs;
use std::path::Path;

use glass::Error;

use super::png::png;
use crate::fail::Fail;

/// A picture format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageFormat {
    /// As drawn.
    Svg,
    /// As pixels.
    Png,
}

/// The ending of a file's name in small letters; empty where it has none.
pub fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// The kind that the ending of a file's name says; other endings are refused in the name of `option`.
pub fn kind(option: &str, path: &Path) -> Result<ImageFormat, Fail> {
    match ending(path).as_str() {
        "svg" => Ok(ImageFormat::Svg),
        "png" => Ok(ImageFormat::Png),
        _ => Err(wrong_ending(option, path, "name a file that ends in .svg or .png")),
    }
}

/// Refuses a file by its ending, and says what to do.
pub fn wrong_ending(option: &str, path: &Path, advice: &str) -> Fail {
    let found = match ending(path).as_str() {
        "" => "has no ending".into(),
        ending => format!("ends in .{ending}"),
    };
    Fail::asked(format!("{option}: {} {found}; {advice}", path.display()))
}

/// Writes a picture as what its file is called. Returns the number of bytes.
pub fn write(option: &str, path: &Path, svg: &str) -> Result<usize, Fail> {
    let bytes = match kind(option, path)? {
        ImageFormat::Svg => svg.as_bytes().to_vec(),
        ImageFormat::Png => png(svg)?,
    };
    fs::write(path, &bytes).map_err(|error| Error::io("cannot write", path, error))?;
    Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{ImageFormat, kind};

    #[test]
    fn a_file_is_what_it_is_called() {
        for (name, expected) in
            [("a.png", ImageFormat::Png), ("a.PNG", ImageFormat::Png), ("a.svg", ImageFormat::Svg)]
        {
            assert_eq!(kind("--svg", Path::new(name)).unwrap(), expected, "{name}");
        }
        for (name, found) in [("a.jpg", "a.jpg ends in .jpg;"), ("a", "a has no ending;")] {
            let refused = kind("--png", Path::new(name)).unwrap_err().to_string();
            assert!(refused.contains(found) && refused.contains(".svg or .png"), "{refused}");
        }
    }
}
