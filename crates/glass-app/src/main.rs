//! The program `glass`.

fn main() {
    println!("glass");
}
