//! The size of the L2 cache, as reported by the system, or else by the processor.
//!
//! If there are two kinds of cores, it is the size of one of them.

/// The bytes available to one thread, which is a part of a shared cache; `None` if unknown.
pub(crate) fn bytes() -> Option<usize> {
    // A virtual machine may report anything.
    linux().or_else(processor).map(|bytes| bytes.clamp(64 << 10, 16 << 20))
}

/// The L2 cache of the first processor, from Linux's files, which say how many threads share it.
fn linux() -> Option<usize> {
    let said = |i: usize, what: &str| {
        let file = format!("/sys/devices/system/cpu/cpu0/cache/index{i}/{what}");
        std::fs::read_to_string(file).ok().map(|text| text.trim().to_string())
    };
    let levels = (0..8).map_while(|i| Some((i, said(i, "level")?)));
    let mut second = levels.filter(|(_, level)| level == "2").map(|(i, _)| i);
    let i = second.find(|&i| said(i, "type").as_deref() != Some("Instruction"))?;
    let kibibytes: usize = said(i, "size")?.strip_suffix('K')?.parse().ok()?;
    let map = said(i, "shared_cpu_map").unwrap_or_default();
    let sharing: u32 = map.chars().filter_map(|digit| digit.to_digit(16)).map(u32::count_ones).sum();
    Some(kibibytes.checked_mul(1 << 10)? / sharing.max(1) as usize)
}

/// As reported by the processor (Intel, "Software Developer's Manual" volume 2A, CPUID, leaf 4; AMD's leaf 8000001D
/// has the same form).
#[cfg(target_arch = "x86_64")]
fn processor() -> Option<usize> {
    use std::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};
    const LEAVES: [u32; 2] = [4, 0x8000_001d];

    let field = |from: u32, first: u32, bits: u32| (from >> first & ((1 << bits) - 1)) as usize;
    // 0: there are no more caches; 2: an instruction cache.
    let kind = |cache: &CpuidResult| field(cache.eax, 0, 5);
    let known = |leaf: &u32| __cpuid(leaf & 0x8000_0000).eax >= *leaf;
    let caches = |leaf| (0..16).map(move |i| __cpuid_count(leaf, i)).take_while(|cache| kind(cache) != 0);
    let mut all = LEAVES.into_iter().filter(known).flat_map(caches);
    let cache = all.find(|cache| field(cache.eax, 5, 3) == 2 && kind(cache) != 2)?;
    let (line, partitions, ways) =
        (field(cache.ebx, 0, 12) + 1, field(cache.ebx, 12, 10) + 1, field(cache.ebx, 22, 10) + 1);
    // The maximum number of threads that share it; there may be fewer.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let sharing = (field(cache.eax, 14, 12) + 1).min(threads);
    (line * partitions * ways).checked_mul(cache.ecx as usize + 1).map(|bytes| bytes / sharing)
}

#[cfg(not(target_arch = "x86_64"))]
fn processor() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_and_processor_say_something_likely() {
        for bytes in [linux(), processor()].into_iter().flatten() {
            assert!((16 << 10..1 << 30).contains(&bytes), "{bytes}");
        }
    }
}
