//! The results as a table, and as a JSON record.

use std::process::Command;

use glass_kernels::{Cores, Precision};

use super::arguments::{Arguments, fail};
use super::{PLAIN_MOST, PLAIN_TURNS, Subject};

/// One cell: milliseconds, billions of operations or bytes per second, and percent of the peak.
fn cell(subject: &Subject, column: usize, subjects: &[Subject]) -> Option<[f64; 3]> {
    let (rate, peak) = (subject.rate(column)?, subjects[subject.peak as usize].rate(column)?);
    let time = subject.work.map_or(f64::NAN, |work| work / rate * 1e3);
    Some([time, rate / 1e9, 100.0 * rate / peak])
}

pub fn print(arguments: &Arguments, columns: &[Cores], subjects: &[Subject]) {
    println!(
        "{} threads, medians of {} rounds. GFLOP/s against multiplying (multiply-adds in registers), GB/s against reading,",
        arguments.threads, arguments.rounds
    );
    println!(
        "copying or updating in place. A pair of a query and a key it sees counts 4 operations per column of a head forward,"
    );
    println!(
        "10 backward. Plain takes a third of the turns, none above {} billion operations.",
        PLAIN_MOST / 1e9
    );
    print!("\n{:44} {:11}", "", "against");
    columns.iter().for_each(|cores| print!(" {:>9}{:>8}{:>7}", name(cores), "G/s", "peak"));
    println!();
    for subject in subjects {
        print!("{:44} {:11}", subject.name, format!("{:?}", subject.peak).to_lowercase());
        for column in 0..columns.len() {
            match cell(subject, column, subjects) {
                Some([time, rate, share]) if time.is_nan() => print!(" {:9}{rate:8.1}{share:5.0} %", ""),
                Some([time, rate, share]) => print!(" {time:6.2} ms{rate:8.1}{share:5.0} %"),
                None => print!(" {:>9}{:15}", "–", ""),
            }
        }
        println!();
    }
}

/// Writes the printed results as JSON, with the conditions they depend on.
pub fn write(file: &str, arguments: &Arguments, columns: &[Cores], subjects: &[Subject]) {
    let about = [
        ("what", quoted("the words of glass-kernels against the peaks of the same run")),
        ("date", quoted(&said(Command::new("date").arg("+%F")))),
        ("cpu", quoted(&cpu())),
        ("load", quoted(&std::fs::read_to_string("/proc/loadavg").unwrap_or_default())),
        ("commit", quoted(&said(Command::new("git").args(["describe", "--always", "--dirty"])))),
        ("threads", arguments.threads.to_string()),
        ("rounds", arguments.rounds.to_string()),
        ("plain", quoted(&format!("every turn in {PLAIN_TURNS}; none above {PLAIN_MOST} operations"))),
    ];
    let mut json = String::from("{\n");
    about.iter().for_each(|(key, value)| json += &format!("  \"{key}\": {value},\n"));
    let row = |subject: &Subject| {
        let peak = quoted(&format!("{:?}", subject.peak).to_lowercase());
        let mut row = format!("    {{\"word\": {}, \"against\": {peak}", quoted(&subject.name));
        for (column, cores) in columns.iter().enumerate() {
            if let Some([_, rate, share]) = cell(subject, column, subjects) {
                row += &format!(", \"{}\": {{\"rate\": {rate:.1}, \"percent\": {share:.1}}}", name(cores));
            }
        }
        row + "}"
    };
    let rows: Vec<String> = subjects.iter().map(row).collect();
    json += &format!("  \"rows\": [\n{}\n  ]\n}}\n", rows.join(",\n"));
    std::fs::write(file, json).unwrap_or_else(|error| fail(&format!("{file}: {error}")));
    println!("\nwritten: {file}");
}

fn name(cores: &Cores) -> String {
    match cores.precision() {
        Precision::F32 => format!("{:?}", cores.isa()).to_lowercase(),
        Precision::Mixed => "mixed".into(),
    }
}

/// The processor's name.
fn cpu() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    line.map_or(std::env::consts::ARCH.into(), |(_, name)| name.trim().into())
}

/// The output of a program; empty if it does not exist.
fn said(command: &mut Command) -> String {
    command.output().map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().into())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.trim().replace('\\', "\\\\").replace('"', "\\\""))
}
