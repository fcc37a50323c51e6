//! Mapped files.

use std::fs;
use std::path::PathBuf;

use glass_kernels::map::Map;

/// A folder that is removed afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("glass-map-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_map_is_the_file() {
    let folder = Folder::new("whole");
    let path = folder.0.join("file");
    let bytes: Vec<u8> = (0..100_003u32).map(|i| ((i * 31) >> 3) as u8).collect();
    fs::write(&path, &bytes).unwrap();
    let map = Map::open(&path).unwrap();
    assert!(map[..] == bytes);
    #[cfg(unix)]
    {
        fs::remove_file(&path).unwrap();
        assert!(map[..] == bytes, "also when its name is gone");
    }
}

#[test]
fn an_empty_file_is_an_empty_slice() {
    let folder = Folder::new("empty");
    let path = folder.0.join("file");
    fs::write(&path, b"").unwrap();
    assert!(Map::open(&path).unwrap().is_empty());
}

#[test]
fn what_is_not_a_file_is_an_error() {
    let folder = Folder::new("none");
    assert!(Map::open(&folder.0).is_err(), "a folder");
    assert_eq!(Map::open(&folder.0.join("absent")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}
