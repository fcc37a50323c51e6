//! The files of the page, all that is in `web/`. They load nothing from elsewhere.

/// A file of the page.
pub struct PageFile {
    /// Its path in `web/`.
    pub name: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
}

/// All files, by name.
pub fn all() -> impl Iterator<Item = PageFile> {
    static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/web.rs"));
    FILES.iter().map(|&(name, bytes)| PageFile { name, bytes })
}

/// The file of a name.
pub fn file(name: &str) -> Option<PageFile> {
    all().find(|file| file.name == name)
}

impl PageFile {
    /// Its media type.
    pub fn kind(&self) -> &'static str {
        match self.name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("wasm") => "application/wasm",
            _ => "text/plain; charset=utf-8",
        }
    }

    /// Its text; empty for a file that is none.
    pub fn text(&self) -> &'static str {
        std::str::from_utf8(self.bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{all, file};

    /// Files that a page loads by name.
    fn named(text: &str) -> impl Iterator<Item = &str> {
        text.split(['"', '\'']).filter(|name| name.ends_with(".js") || name.ends_with(".css"))
    }

    #[test]
    fn every_file_that_is_named_is_there() {
        for of in all() {
            let folder = of.name.rsplit_once('/').map_or("", |(folder, _)| folder);
            for name in named(of.text()) {
                // Pages name files below `page/`, modules relative to themselves.
                let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
                for part in name.trim_start_matches("page/").split('/') {
                    match part {
                        "" | "." => {}
                        ".." => drop(parts.pop()),
                        part => parts.push(part),
                    }
                }
                assert!(file(&parts.join("/")).is_some(), "{name} in {}", of.name);
            }
        }
    }

    #[test]
    fn the_page_holds_no_code_that_its_policy_refuses() {
        for of in all() {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                " style=\"",
                "<script>",
            ] {
                assert!(!of.text().contains(word), "{word} in {}", of.name);
            }
        }
    }

    #[test]
    fn links_to_elsewhere_are_links() {
        // Nothing is loaded from another host: an address may stand in a link that a reader follows, and nowhere else.
        for of in all().filter(|of| !of.name.starts_with("course/")) {
            for word in ["https://", "http://"] {
                let outside =
                    of.text().split(word).skip(1).filter(|rest| !rest.starts_with("www.w3.org/2000/svg"));
                assert_eq!(outside.count(), 0, "{word} in {}", of.name);
            }
        }
    }
}
