//! What `glass look` shows: lines that fit, pictures that can be read and say what they are of, and requests that are refused.

use std::fs;

use crate::program::{Scratch, TINY, book, command, glass, put_model};

const TEXT: &str = "The dog found a ball near house";
const OTHER: &str = "The cat found a ball near house";

/// Looks at the built-in model; the picture.
fn picture(scratch: &Scratch, args: &[&str]) -> String {
    let done = glass(&scratch.0, &[&["look"], args, &["--svg", "a.svg"]].concat(), b"");
    assert_eq!((done.status, &done.stdout[..]), (0, ""), "{args:?}: {}", done.stderr);
    fs::read_to_string(scratch.0.join("a.svg")).unwrap()
}

/// The texts of a picture, one after another.
fn said(svg: &str) -> String {
    let texts = svg.lines().filter(|line| line.starts_with("<text"));
    let texts = texts.filter_map(|line| line.split_once('>')?.1.strip_suffix("</text>"));
    texts.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_look_fits_its_terminal() {
    let scratch = Scratch::new("look-width");
    fs::write(scratch.0.join("d.txt"), "The dog ran to the house.\nThe cat sat.\n".repeat(9)).unwrap();
    fs::write(scratch.0.join("b.txt"), book()).unwrap();
    let train = ["train", "--data", "b.txt", "--out", "run", "--steps", "2", "--checkpoint-every", "1"];
    let done = glass(&scratch.0, &[&train[..], &TINY].concat(), b"");
    assert_eq!(done.status, 0, "{}", done.stderr);
    let long = "Once upon a time an incomprehensibly adventurous girl named Lily found a ball.";
    let looks: [&[&str]; 12] = [
        &[long],
        &["--names", "transformer-lens", "--ablate", "block.7.attention", long],
        &["--next", " ball", "--against", " big", "--top", "60", TEXT],
        &["--heads", TEXT],
        &["--heads", "--names", "transformer-lens", TEXT],
        &["--circuits", "3.1"],
        &["--neuron", "3.17", "--data", "d.txt"],
        &["--sweep", "words", long],
        &["--sweep", "residual", "--from", OTHER, "--names", "transformer-lens", TEXT],
        &["--word", "adventurous", "--beside", "Once upon an adventurous day", long],
        &["--word", "girl", "--of", "time", "--of", "adventurous", long],
        &["--train", "run"],
    ];
    for columns in [60, 80, 120] {
        for look in looks {
            let mut glass = command(&scratch.0, &[&["look"], look].concat());
            let done = glass.env("COLUMNS", columns.to_string()).output().unwrap();
            assert!(done.status.success(), "{look:?}: {}", String::from_utf8_lossy(&done.stderr));
            let shown = String::from_utf8(done.stdout).unwrap();
            for line in shown.lines() {
                let wide = line.chars().count();
                assert!(wide <= columns, "{look:?} at {columns} columns: {wide} in {line:?}");
                assert_eq!(line, line.trim_end(), "{look:?} at {columns} columns");
            }
            // The name of a part is whole.
            assert!(!shown.contains("value_up.…"), "{shown}");
        }
    }
}

#[test]
fn what_changes_nothing_or_does_not_exist_is_refused() {
    let scratch = Scratch::new("look-refused");
    put_model(&scratch.0, "m");
    let refused: [(&[&str], &str); 24] = [
        (&["--head", "99.0", TEXT], "--head: \"99.0\" does not exist; give BLOCK.HEAD, from 0.0 to 0.1"),
        (&["--head", "3", TEXT], "--head: \"3\" does not exist"),
        (&["--head", "a.b", TEXT], "--head: \"a.b\" does not exist"),
        (&["--head", "0.1", TEXT], "--head: only pictures use it"),
        (&["--head", "0.2", "--svg", "a.svg", TEXT], "--head: \"0.2\" does not exist"),
        (&["--transpose", TEXT], "--transpose: only pictures use it"),
        (&["--heads", "--head", "99.9", "--png", "h.png", TEXT], "--head: it changes nothing with --heads"),
        (&["--circuits", "0.1", "--head", "0.1"], "--head: it changes nothing with --circuits"),
        (&["--heads", "--transpose", "--svg", "h.svg", TEXT], "--transpose: it changes nothing with --heads"),
        (&["--heads", "--next", " ball", TEXT], "--next: it changes nothing with --heads"),
        (&["--circuits", "0.1", "--heads"], "--circuits and --heads are two different results"),
        (&["--from", OTHER, TEXT], "--from: nothing is taken from it"),
        (&["--sweep", "words", "--from", OTHER, TEXT], "--from: nothing is taken from it"),
        (&["--png", "x.jpg", TEXT], "--png: x.jpg ends in .jpg; name a file that ends in .svg or .png"),
        (&["--svg", "x.txt", TEXT], "--svg: x.txt ends in .txt; name a file that ends in .svg or .png"),
        (&["--png", "nofile", TEXT], "--png: nofile has no ending; name a file that ends in .svg or .png"),
        (&["--html", "page", TEXT], "--html: page has no ending; name a file that ends in .html or .htm"),
        (&["--cut", "1:90", TEXT], "--cut: \"1:90\": position 90 does not exist; TEXT has positions 0 to"),
        (&["--cut", "91:90", TEXT], "--cut: \"91:90\": position 91 does not exist"),
        (&["--cut", "3:1", TEXT], "--cut: \"3:1\": the query 1 does not come after the key 3"),
        (&["--cut", "one", TEXT], "\"one\" is not an edge"),
        (&["--cut", "block.4@0:1", TEXT], "the model has 1 block, counted from 0"),
        (&["--ablate", "block.0.attention.head.7", TEXT], "a block has 2 heads, counted from 0"),
        (&["--record", "block.9.mlp.out", "--out", "f", TEXT], "the model has 1 block, counted from 0"),
    ];
    for (args, sentence) in refused {
        let done = glass(&scratch.0, &[&["look", "-m", "m"], args].concat(), b"");
        assert_eq!((done.status, &done.stdout[..]), (2, ""), "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains(sentence), "{args:?}: {}", done.stderr);
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    }
    let done = glass(&scratch.0, &["weights", "gpt2", "--svg", "w.jpg"], b"");
    assert!(done.status == 2 && done.stderr.contains("--svg: w.jpg ends in .jpg"), "{}", done.stderr);
    for file in ["x.jpg", "x.txt", "nofile", "w.jpg", "h.png", "a.svg"] {
        assert!(!scratch.0.join(file).exists(), "{file}");
    }
}

#[test]
fn pictures_say_what_was_changed_and_what_rows_are() {
    let scratch = Scratch::new("look-changed");
    let plain = said(&picture(&scratch, &[TEXT]));
    assert!(!plain.contains("What was changed"), "{plain}");
    for sentence in ["Rows sum to one", "In each square rows are queries and columns keys"] {
        assert!(plain.contains(sentence), "{sentence}: {plain}");
    }
    let transposed = said(&picture(&scratch, &["--transpose", TEXT]));
    for sentence in ["Columns sum to one", "In each square rows are keys and columns queries"] {
        assert!(transposed.contains(sentence), "{sentence}: {transposed}");
    }
    assert!(!transposed.contains("a row's attention"), "{transposed}");
    let changes: [(&[&str], &str); 5] = [
        (&["--ablate", "block.7.mlp"], "of a changed run: block.7.mlp is ablated."),
        (&["--cut", "2:4"], "position 2 is hidden from position 4 in all blocks."),
        (&["--cut", "block.3@2"], "position 2 is hidden from later positions in block 3."),
        (
            &["--steer", "3:4.5: happy"],
            "4.5 times the direction of &quot; happy&quot; is added to what enters block 3.",
        ),
        (
            &["--patch", "block.3.residual", "--from", OTHER],
            "block.3.residual is taken from &quot;The cat found a ball near house&quot;.",
        ),
    ];
    for (args, sentence) in changes {
        let said = said(&picture(&scratch, &[args, &["--html", "a.html", TEXT]].concat()));
        assert!(said.contains(sentence) && said.contains("without the change"), "{sentence}: {said}");
        let page = fs::read_to_string(scratch.0.join("a.html")).unwrap();
        assert!(page.contains(sentence) && page.contains("<h2>What was changed</h2>"), "{sentence}");
    }
    let beside = ["--word", "ball", "--beside", OTHER, "--ablate", "block.7.mlp", TEXT];
    let beside = said(&picture(&scratch, &beside));
    for sentence in [
        "of a changed run: block.7.mlp is ablated.",
        "weaker parts are left out",
        "weaker tokens are left out",
    ] {
        assert!(beside.contains(sentence), "{sentence}: {beside}");
    }
}

#[test]
fn pictures_name_their_measures_and_signs() {
    let scratch = Scratch::new("look-measures");
    let sweep = said(&picture(&scratch, &["--sweep", "words", "--next", " ball", TEXT]));
    assert!(
        sweep.contains("The change of the logarithm of the probability of ·ball, which is -")
            && sweep.contains("(the largest: "),
        "{sweep}"
    );
    let sweep = ["--sweep", "heads", "--from", OTHER, "--next", " ball", "--against", " big", TEXT];
    let sweep = said(&picture(&scratch, &sweep));
    assert!(sweep.contains("The change of the logit of ·ball above that of ·big, which is "), "{sweep}");
    // One sign for a space, which is explained.
    let tour = said(&picture(&scratch, &[TEXT]));
    assert!(tour.contains("·dog") && tour.contains("· is a space"), "{tour}");
    assert!(tour.contains("query × key (largest: "), "{tour}");
    let told = glass(&scratch.0, &["look", TEXT], b"").stdout;
    assert!(told.contains("·dog") && told.contains("· is a space"), "{told}");
    fs::write(scratch.0.join("d.txt"), "The dog ran.<|endoftext|>The cat sat.").unwrap();
    let neuron = said(&picture(&scratch, &["--neuron", "1.3", "--data", "d.txt", "--top", "1"]));
    assert!(neuron.contains("in 2 texts were read. 1 weaker text is left out."), "{neuron}");
}

#[test]
fn one_checkpoint_is_seen() {
    let scratch = Scratch::new("look-one-checkpoint");
    fs::write(scratch.0.join("b.txt"), book()).unwrap();
    let train = ["train", "--data", "b.txt", "--out", "run", "--steps", "1"];
    let done = glass(&scratch.0, &[&train[..], &TINY].concat(), b"");
    assert_eq!(done.status, 0, "{}", done.stderr);
    let done = glass(&scratch.0, &["look", "--train", "run", "--svg", "a.svg"], b"");
    assert_eq!(done.status, 0, "{}", done.stderr);
    let grown = fs::read_to_string(scratch.0.join("a.svg")).unwrap();
    // Two lines of losses, two of heads, one of entropy and two of lengths: a mark for each.
    assert_eq!(grown.matches("<circle").count(), 7, "{grown}");
    let said = said(&grown);
    assert!(
        said.contains("random tokens") && said.contains("after block 0") && !said.contains("stand"),
        "{said}"
    );
}

/// A text of a picture, and its place.
struct Placed<'a> {
    x: f64,
    y: f64,
    slanted: bool,
    class: &'a str,
    anchor: &'a str,
    text: &'a str,
}

fn placed(line: &str) -> Option<Placed<'_>> {
    let value = |name: &str| Some(line.split_once(&format!(" {name}=\"")[..])?.1.split_once('"')?.0);
    let text = line.strip_prefix("<text")?.split_once('>')?.1.strip_suffix("</text>")?;
    let number = |text: &str| text.parse::<f64>().unwrap();
    let place = |text: &str| text.split_once(' ').map(|(x, y)| (number(x), number(y)));
    Some(match value("transform") {
        Some(moved) => {
            let (x, y) = place(moved.strip_prefix("translate(")?.split_once(')')?.0)?;
            Placed { x, y, slanted: true, class: "", anchor: "start", text }
        }
        None => {
            let (x, y) = (number(value("x")?), number(value("y")?));
            Placed { x, y, slanted: false, class: value("class")?, anchor: value("text-anchor")?, text }
        }
    })
}

#[test]
fn labels_stay_within_the_picture_and_off_its_titles() {
    const LETTER: f64 = 6.63;
    let scratch = Scratch::new("look-labels");
    let long = "Once upon a time there was an incomprehensibly adventurous girl.<|endoftext|>The";
    // 57 tokens, and the one that starts a text.
    let many = " Lily lost her red ball.".repeat(9) + " The dog";
    let looks: [&[&str]; 5] = [
        &["Hi"],
        &["--special", long],
        &["--special", "--head", "7.3", "--transpose", long],
        &["Lily lost her red ball in the park."],
        &[&many],
    ];
    for look in looks {
        let svg = picture(&scratch, look);
        let wide: f64 =
            svg.split_once("viewBox=\"0 0 ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
        for group in svg.split("<g transform=") {
            let texts: Vec<Placed<'_>> = group.lines().filter_map(placed).collect();
            let length = |placed: &Placed<'_>| {
                let text = placed.text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
                LETTER * text.replace("&amp;", "&").chars().count() as f64
            };
            for text in texts.iter().filter(|text| !text.slanted) {
                let (left, right) = match text.anchor {
                    "start" => (text.x, text.x + length(text)),
                    "end" => (text.x - length(text), text.x),
                    _ => (text.x - 0.5 * length(text), text.x + 0.5 * length(text)),
                };
                assert!(left >= 0.0 && right <= wide, "{look:?}: {:?} from {left} to {right}", text.text);
            }
            for label in texts.iter().filter(|text| text.slanted) {
                let (along, up) = (60f64.to_radians().cos(), 60f64.to_radians().sin());
                let end = (label.x + length(label) * along, label.y - length(label) * up);
                assert!(end.0 <= wide && end.1 >= 0.0, "{look:?}: {:?} ends at {end:?}", label.text);
                for title in texts.iter().filter(|text| text.class == "head") {
                    let through = (0..=40).map(|at| f64::from(at) / 40.0 * length(label)).any(|far| {
                        let (x, y) = (label.x + far * along, label.y - far * up);
                        let within = (title.x..title.x + length(title)).contains(&x);
                        within && (title.y - 9.0..title.y + 3.0).contains(&y)
                    });
                    assert!(!through, "{look:?}: {:?} runs through {:?}", label.text, title.text);
                }
            }
        }
    }
}
