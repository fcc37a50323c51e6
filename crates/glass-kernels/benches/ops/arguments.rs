//! The arguments.

use glass_kernels::Isa;

pub struct Arguments {
    pub filters: Vec<String>,
    pub isa: Option<Isa>,
    pub threads: usize,
    pub rounds: usize,
    pub json: Option<String>,
}

impl Arguments {
    /// Whether a name was requested.
    pub fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter))
    }

    pub fn read() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut arguments = Self { filters: Vec::new(), isa: None, threads, rounds: 9, json: None };
        let mut given = std::env::args().skip(1);
        while let Some(word) = given.next() {
            let mut value = || given.next().unwrap_or_else(|| fail(&format!("{word} needs a value")));
            match word.as_str() {
                "--bench" => {}
                "--threads" => arguments.threads = number(&value()),
                "--rounds" => arguments.rounds = number(&value()),
                "--isa" => arguments.isa = Some(isa(&value())),
                "--json" => arguments.json = Some(value()),
                option if option.starts_with('-') => fail(&format!(
                    "{option} is not an option; give --isa, --threads, --rounds, --json, and words of a name"
                )),
                _ => arguments.filters.push(word),
            }
        }
        arguments
    }
}

fn number(value: &str) -> usize {
    value.parse().ok().filter(|&n| n > 0).unwrap_or_else(|| fail(&format!("{value} is not a number above 0")))
}

fn isa(name: &str) -> Isa {
    Isa::ALL
        .into_iter()
        .find(|isa| format!("{isa:?}").eq_ignore_ascii_case(name))
        .unwrap_or_else(|| fail(&format!("{name} is not an instruction set; give one of {:?}", Isa::ALL)))
}

pub fn fail(sentence: &str) -> ! {
    eprintln!("words: {sentence}");
    std::process::exit(2)
}
