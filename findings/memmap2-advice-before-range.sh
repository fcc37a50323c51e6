#!/usr/bin/env bash
# memmap2 0.9.12, `unchecked_advise_range(UncheckedAdvice::DontNeed, offset, len)`: gives a range of anonymous memory back to the
# system, which reads as zeros afterwards. madvise(2) refuses a start that is not at a page, so one expects an error or only the
# whole pages inside the range. memmap2 moves the start down to its page without saying so, and the numbers before the range, which
# the caller keeps using, become zeros too. Behind the range the system itself rounds up to a page.
#
# Observed (Linux, pages of 4096 bytes): of 3 pages of ones, bytes 6000 to 8191 are given back; bytes 4096 to 5999 are zeros as well.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/src"
cat >"$dir/Cargo.toml" <<'TOML'
[package]
name = "advice"
version = "0.0.0"
edition = "2024"

[dependencies]
memmap2 = "=0.9.12"
TOML
cat >"$dir/src/main.rs" <<'RUST'
fn main() {
    let mut map = memmap2::MmapMut::map_anon(3 * 4096).unwrap();
    map.fill(1);
    let (start, end) = (6000, 8192);
    // SAFETY: nothing refers to the map.
    unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start) }.unwrap();
    let before = map[..start].iter().filter(|byte| **byte == 0).count();
    let inside = map[start..end].iter().filter(|byte| **byte == 0).count();
    let after = map[end..].iter().filter(|byte| **byte == 0).count();
    println!("zeros: {before} of {start} bytes before the range, {inside} of {} inside, {after} behind it", end - start);
    assert_eq!([before, inside, after], [6000 - 4096, 2192, 0], "the behaviour has changed");
}
RUST
[ "$(getconf PAGESIZE)" = 4096 ] || { echo "pages are not of 4096 bytes here" >&2; exit 1; }
cargo run --quiet --manifest-path "$dir/Cargo.toml"
