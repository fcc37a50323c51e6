//! The page around the model: `web/index.html` with all that it loads inside.
//!
//! Modules keep their form. An import map gives each of them a name and an address that holds its text, and their imports of
//! `"./x.js"` become imports of these names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use glass_page::files::{self, PageFile};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

/// The page before and after the model.
pub struct Shell {
    pub before: String,
    pub after: String,
}

/// The module that answers.
pub fn module() -> &'static [u8] {
    of("glass.wasm").bytes
}

/// Files that a page without a server has no use for, or takes otherwise than as a module.
const APART: [&str; 2] = ["worker.js", "docs.js"];

const MAIN: &str = "<script type=\"module\" src=\"page/main.js\"></script>\n";

/// What is executed first: says who answers, and in a browser from before 2023 what is missing.
const FIRST: &str = "globalThis.glassAlone = {};\n\
    if (!HTMLScriptElement.supports?.(\"importmap\")) document.getElementById(\"model\").textContent = \
    \"This browser is too old for this page; it needs one from 2023 or later.\";";

fn of(name: &str) -> PageFile {
    files::file(name).expect("the page has this file")
}

impl Shell {
    /// For a model with this description.
    pub fn of(card: &Value) -> Shell {
        let (mut allowed, mut styles) = (Vec::new(), Vec::new());
        let html = styled(of("index.html").text().replace(MAIN, ""), &mut styles);
        let (head, rest) = html.split_once("<meta charset=\"utf-8\">\n").expect("it names its characters");
        let (body, end) = rest.rsplit_once("</body>").expect("it has a body");
        let map = json!({"imports": modules()}).to_string();
        let scripts = [
            inline("", FIRST, &mut allowed),
            inline(" type=\"importmap\"", &map, &mut allowed),
            data("glass-card", &card.to_string().replace('<', "\\u003c")),
            data("glass-worker", of("worker.js").text()),
            inline(" type=\"module\" async", "import \"glass/main.js\";", &mut allowed),
        ];
        let policy = policy(&allowed.join(" "), &styles.join(" "));
        let meta = format!(
            "<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n"
        );
        Shell { before: format!("{head}{meta}{body}{}", scripts.concat()), after: format!("</body>{end}") }
    }
}

/// What the page may do: run what is inside, and nothing else. No address can be loaded from.
fn policy(scripts: &str, styles: &str) -> String {
    format!(
        "default-src 'none'; script-src {scripts} data: 'wasm-unsafe-eval'; worker-src blob:; style-src {styles}; \
         img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
}

/// A script or a style that the policy knows by its hash.
fn inline(attributes: &str, text: &str, allowed: &mut Vec<String>) -> String {
    allowed.push(hash(text));
    format!("<script{attributes}>{text}</script>\n")
}

/// A script or a style as a policy names it.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

/// A text that no browser executes.
fn data(id: &str, text: &str) -> String {
    format!("<script type=\"text/plain\" id=\"{id}\">{text}</script>\n")
}

/// The page with its styles and its icon inside, and without the lines about a service.
fn styled(html: String, allowed: &mut Vec<String>) -> String {
    let mut styled = String::new();
    for line in html.split_inclusive('\n').filter(|line| !line.contains("data-served")) {
        let linked = |name: &str| {
            line.split_once(&format!("{name}=\"page/")).and_then(|(_, rest)| rest.split_once('"'))
        };
        match linked("href") {
            Some((name, _)) if name.ends_with(".css") => {
                let text = of(name).text();
                allowed.push(hash(text));
                styled += &format!("<style>{text}</style>\n");
            }
            Some((name, _)) => {
                let file = of(name);
                styled += &line.replace(&format!("page/{name}"), &address(&file, file.bytes));
            }
            None => styled += line,
        }
    }
    styled
}

/// An address that holds a file.
fn address(file: &PageFile, bytes: &[u8]) -> String {
    format!("data:{};base64,{}", file.kind().replace("; ", ";"), STANDARD.encode(bytes))
}

/// All modules: name → address.
fn modules() -> Map<String, Value> {
    let modules = files::all().filter(|file| file.name.ends_with(".js") && !APART.contains(&file.name));
    let entry = |file: PageFile| {
        // Tools for developers then show the file by its name.
        let text = format!("{}\n//# sourceURL=glass/{}\n", renamed(&file), file.name);
        (format!("glass/{}", file.name), address(&file, text.as_bytes()).into())
    };
    modules.map(entry).collect()
}

/// A module whose imports are names of the map.
fn renamed(file: &PageFile) -> String {
    let folder = file.name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let line = |line: &str| match line.starts_with("import ").then(|| line.split_once("\".")).flatten() {
        Some((before, rest)) => {
            let (path, after) = rest.split_once('"').expect("an import ends on its line");
            format!("{before}\"glass/{}\"{after}", resolved(folder, &format!(".{path}")))
        }
        None => line.into(),
    };
    file.text().split_inclusive('\n').map(line).collect()
}

/// The name of a file from the folder of another one.
fn resolved(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_imports() {
        for (folder, path, name) in
            [("", "./a.js", "a.js"), ("flow", "./a.js", "flow/a.js"), ("flow", "../draw/b.js", "draw/b.js")]
        {
            assert_eq!(resolved(folder, path), name);
        }
    }

    #[test]
    fn every_import_is_a_name_of_the_map() {
        let map = modules();
        for file in files::all().filter(|file| map.contains_key(&format!("glass/{}", file.name))) {
            let text = renamed(&file);
            for line in text.lines().filter(|line| line.starts_with("import ") || line.contains("} from \""))
            {
                let name = line.split('"').nth(1).unwrap_or_default();
                assert!(map.contains_key(name), "{}: {line}", file.name);
            }
            assert!(!text.contains("import(") && !text.contains("import.meta"), "{}", file.name);
        }
    }

    #[test]
    fn nothing_is_loaded() {
        let shell = Shell::of(&json!({"id": "</script><b>"}));
        for word in ["src=\"", "href=\"page/", "<link rel=\"stylesheet\"", "</script><b>"] {
            assert!(!shell.before.contains(word), "{word}");
        }
        assert!(!of("worker.js").text().contains("</script") && !of("worker.js").text().contains("<!--"));
        assert_eq!(shell.before.matches("<script").count(), shell.before.matches("</script>").count());
    }
}
